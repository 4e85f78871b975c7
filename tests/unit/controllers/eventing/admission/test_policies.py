"""EventPolicies are refused as long as nobody has an identity."""

from __future__ import annotations

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
