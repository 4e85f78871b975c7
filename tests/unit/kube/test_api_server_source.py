"""Which changes an ApiServerSource speaks of, and what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventmesh.kube.api import EventType
from eventmesh.kube.api_server_source import SOURCE, parse_api_server_source, selected_namespaces
from eventmesh.kube.references import plural_of
from eventmesh.kube.selectors import LabelSelector

UID = "7d8c1c9e-0000-4000-8000-000000000001"
POD = {"apiVersion": "v1", "kind": "Pod"}


def source(namespaces: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": "s", "namespace": "shop", "uid": UID, "generation": 3}
    status = {"namespaces": ["shop"] if namespaces is None else namespaces}
    return {"metadata": metadata, "spec": {"resources": [POD], **spec}, "status": status}


def pod(name: str = "p", namespace: str = "shop", owner: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "uid": "u", "resourceVersion": "9"}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"x": 1}}


@pytest.mark.parametrize(
    ("mode", "change", "type_", "data"),
    [
        ("Reference", EventType.ADDED, "dev.knative.apiserver.ref.add", None),
        ("Reference", EventType.DELETED, "dev.knative.apiserver.ref.delete", None),
        ("Resource", EventType.MODIFIED, "dev.knative.apiserver.resource.update", pod()),
    ],
)
def test_an_event_says_what_became_of_which_object(mode: str, change: EventType, type_: str, data: Any) -> None:
    watch = parse_api_server_source(source(mode=mode, ceOverrides={"extensions": {"shop": "7"}}))
    attributes, body = watch.message(change, watch.watched[0], pod())
    reference = {"kind": "Pod", "namespace": "shop", "name": "p", "apiVersion": "v1"}
    assert json.loads(body) == (data or reference)
    assert attributes.pop("id")
    assert attributes == {
        "specversion": "1.0",
        "type": type_,
        "source": SOURCE,
        "subject": "/apis/v1/namespaces/shop/pods/p",
        "kind": "Pod",
        "apiversion": "v1",
        "name": "p",
        "namespace": "shop",
        "datacontenttype": "application/json",
        "shop": "7",
    }


def test_the_same_change_has_the_same_id_and_another_has_another() -> None:
    watch = parse_api_server_source(source())
    first, again = (watch.message(EventType.ADDED, watch.watched[0], pod())[0]["id"] for _ in range(2))
    other = watch.message(EventType.DELETED, watch.watched[0], pod())[0]["id"]
    assert (first == again, first == other) == (True, False)


def test_only_objects_of_the_chosen_namespaces_count_and_those_outside_all() -> None:
    watch = parse_api_server_source(source(["a", "b"]))
    assert [watch.wants(pod(namespace=namespace)) for namespace in ("a", "b", "shop")] == [True, True, False]
    assert watch.wants({"metadata": {"name": "node"}})
    assert not parse_api_server_source(source([])).wants(pod())
    assert parse_api_server_source(source(namespaceSelector={})).wants(pod(namespace="anywhere"))


@pytest.mark.parametrize(
    ("owner", "controller", "wanted"),
    [
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet"}, ("apps/v1", "ReplicaSet"), True),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet"}, ("batch/v1", "Job"), False),
        ({"apiVersion": "apps/v1", "kind": "ReplicaSet"}, None, False),
    ],
)
def test_an_owner_is_the_controller_of_the_object(
    owner: dict[str, str], controller: tuple[str, str] | None, wanted: bool
) -> None:
    watch = parse_api_server_source(source(owner=owner))
    reference = {"apiVersion": controller[0], "kind": controller[1], "controller": True} if controller else None
    assert watch.wants(pod(owner=reference)) is wanted


def test_a_change_that_says_the_same_is_the_same_watch() -> None:
    before, after = source(), source()
    after["metadata"]["generation"] = 4
    assert parse_api_server_source(before) == parse_api_server_source(after)
    assert parse_api_server_source(before) != parse_api_server_source(source(mode="Resource"))


def test_namespaces_are_its_own_or_those_that_the_selector_matches() -> None:
    all_namespaces = [{"metadata": {"name": name, "labels": {"team": team}}} for name, team in (("b", "x"), ("a", "x"))]
    assert selected_namespaces({}, "shop", all_namespaces) == ["shop"]
    chosen = {"namespaceSelector": {"matchLabels": {"team": "x"}}}
    assert selected_namespaces(chosen, "shop", all_namespaces) == ["a", "b"]
    assert selected_namespaces({"namespaceSelector": {"matchLabels": {"team": "y"}}}, "shop", all_namespaces) == []


@pytest.mark.parametrize(
    ("kind", "plural"),
    [("Pod", "pods"), ("Ingress", "ingresses"), ("NetworkPolicy", "networkpolicies"), ("Endpoints", "endpoints")],
)
def test_plurals_are_guessed_as_kubernetes_does(kind: str, plural: str) -> None:
    assert plural_of(kind) == plural


def test_a_selector_is_written_as_it_is_read() -> None:
    expressions = [
        {"key": "a", "operator": "NotIn", "values": ["2", "1"]},
        {"key": "b", "operator": "Exists"},
        {"key": "c", "operator": "DoesNotExist"},
    ]
    selector = LabelSelector.of({"matchLabels": {"team": "x"}, "matchExpressions": expressions})
    assert str(selector) == "team in (x),a notin (1,2),b,!c"
    assert LabelSelector.parse(str(selector)) == selector
