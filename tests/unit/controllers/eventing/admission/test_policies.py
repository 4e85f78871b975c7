"""EventPolicies are refused as long as nobody has an identity; then, those that say nothing that could be enforced."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.controllers.eventing.admission.policies import EventPolicyAdmission
from eventmesh.kube.admission import AdmissionRequest

POLICY = {"metadata": {"name": "p"}, "spec": {"from": [{"sub": "*"}]}}


def test_a_policy_that_could_not_be_enforced_is_refused_in_knatives_words() -> None:
    (error,) = EventPolicyAdmission().validate(POLICY, AdmissionRequest("ada"))
    assert str(error) == "oidc-authentication feature not enabled"
    changed = {**POLICY, "spec": {"from": []}}
    assert EventPolicyAdmission().validate(changed, AdmissionRequest("ada", POLICY)) != []


def test_a_policy_that_is_there_may_lose_its_finalizers() -> None:
    relabelled = {**POLICY, "metadata": {"name": "p", "labels": {"a": "b"}}}
    assert EventPolicyAdmission().validate(relabelled, AdmissionRequest("ada", POLICY)) == []


BROKER = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker"}
TRIGGER = {"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "name": "t", "namespace": "ns"}


@pytest.mark.parametrize(
    ("spec", "paths"),
    [
        ({"to": [{"ref": {**BROKER, "name": "b"}}], "from": [{"ref": TRIGGER}, {"sub": "system:*"}]}, []),
        ({"to": [{"selector": {**BROKER, "matchLabels": {"a": "b"}}}], "filters": [{"prefix": {"type": "a"}}]}, []),
        ({}, []),
        ({"to": [{}]}, ["spec.to[0].ref, spec.to[0].selector"]),
        ({"to": [{"ref": {**BROKER, "name": "b"}, "selector": BROKER}]}, ["spec.to[0].ref, spec.to[0].selector"]),
        ({"to": [{"ref": BROKER}]}, ["spec.to[0].ref.name"]),
        ({"to": [{"ref": {**BROKER, "name": "b", "namespace": "other"}}]}, ["spec.to[0].ref.namespace"]),
        ({"to": [{"selector": {"matchLabels": {}}}]}, ["spec.to[0].selector.apiVersion, spec.to[0].selector.kind"]),
        (
            {"to": [{"selector": {**BROKER, "matchExpressions": [{"key": "a", "operator": "Near"}]}}]},
            ["spec.to[0].selector"],
        ),
        ({"from": [{}]}, ["spec.from[0].ref, spec.from[0].sub"]),
        ({"from": [{"ref": TRIGGER, "sub": "a"}]}, ["spec.from[0].ref, spec.from[0].sub"]),
        ({"from": [{"sub": "a*b"}]}, ["spec.from[0].sub"]),
        ({"filters": [{"exact": {"Type": "a"}}]}, ["spec.filters[0].exact.Type"]),
    ],
)
def test_what_a_policy_says_wrong_is_named(spec: dict[str, Any], paths: list[str]) -> None:
    errors = EventPolicyAdmission(lambda: True).validate(
        {"metadata": {"name": "p"}, "spec": spec}, AdmissionRequest("")
    )
    assert [error.path for error in errors] == paths


def test_an_origin_without_a_namespace_is_one_of_the_policys_own() -> None:
    origin = {field: value for field, value in TRIGGER.items() if field != "namespace"}
    policy = {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"from": [{"ref": origin}, {"sub": "a"}]}}
    made = EventPolicyAdmission().default(policy, AdmissionRequest(""))
    assert made["spec"]["from"] == [{"ref": TRIGGER}, {"sub": "a"}]
