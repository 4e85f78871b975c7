"""What may be written of DomainMappings and ClusterDomainClaims, in Knative's words."""

from typing import Any

import pytest

from eventmesh.controllers.serving.names import CREATOR, LAST_MODIFIER
from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.api import Object
from eventmesh.kube.resources import DOMAIN_CLAIM, DOMAIN_MAPPING
from tests.unit.controllers.serving.admitting import CREATE, admit

REFERENCE = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "hello"}


def mapping(name: str = "www.example.com", **reference: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ref": {**REFERENCE, **reference}},
    }


def complaints(obj: Object, request: AdmissionRequest = CREATE) -> list[str]:
    return admit(obj, request, DOMAIN_MAPPING)[1]


def test_namespace_of_the_reference_and_author_are_filled_in() -> None:
    defaulted, errors = admit(mapping(), resource=DOMAIN_MAPPING)
    assert errors == []
    assert defaulted["spec"]["ref"]["namespace"] == "default"
    assert defaulted["metadata"]["annotations"] == {CREATOR: "alice", LAST_MODIFIER: "alice"}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("single", "should be a domain with at least two segments separated by dots"),
        ("a..b", "a lowercase RFC 1123 subdomain must consist of"),
        ("UPPER.com", "a lowercase RFC 1123 subdomain must consist of"),
        ("x" * 64 + ".com", "must be no more than 63 characters"),
        ("x." * 130 + "com", "must be no more than 253 characters"),
    ],
)
def test_a_name_that_is_no_domain_is_refused(name: str, told: str) -> None:
    (error,) = complaints(mapping(name))
    assert error.startswith(f'invalid name "{name}": name: Invalid value: "')
    assert told in error and error.endswith(": metadata.name")


def test_domains_of_the_cluster_are_not_to_be_mapped() -> None:
    (error,) = complaints(mapping("hello.default.svc.cluster.local"))
    assert error == (
        'invalid name "hello.default.svc.cluster.local": must not be a subdomain of cluster local domain '
        '"cluster.local": metadata.name'
    )


def test_a_generated_name_is_refused() -> None:
    obj = mapping()
    obj["metadata"]["generateName"] = "www-"
    assert complaints(obj) == ["must not set the field(s): metadata.generateName"]


def test_the_reference_is_whole_and_of_the_same_namespace() -> None:
    bare: Object = {"metadata": {"name": "www.example.com", "namespace": "default"}, "spec": {"ref": {}}}
    assert complaints(bare) == [f"missing field(s): spec.ref.{field}" for field in ("name", "apiVersion", "kind")]
    assert complaints(mapping(group="serving.knative.dev")) == ["must not set the field(s): spec.ref.group"]
    (error,) = complaints(mapping(namespace="other"))
    assert error == 'mismatched namespaces: spec.ref.namespace\nparent namespace: "default" does not match ref: "other"'


def test_the_author_stays_who_he_was() -> None:
    stored, _ = admit(mapping(), resource=DOMAIN_MAPPING)
    forged = {**stored, "metadata": {**stored["metadata"], "annotations": {CREATOR: "mallory", LAST_MODIFIER: "alice"}}}
    assert complaints(forged, AdmissionRequest("mallory", old=stored)) == [
        f"annotation value is immutable: metadata.annotations.{CREATOR}"
    ]


def test_one_that_is_being_deleted_is_left_alone() -> None:
    obj = mapping("single")
    obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert complaints(obj) == []


def test_a_claim_names_its_namespace() -> None:
    claim: Object = {"metadata": {"name": "www.example.com"}, "spec": {}}
    assert admit(claim, resource=DOMAIN_CLAIM)[1] == ["missing field(s): spec.namespace"]
    assert admit({**claim, "spec": {"namespace": "default"}}, resource=DOMAIN_CLAIM)[1] == []
