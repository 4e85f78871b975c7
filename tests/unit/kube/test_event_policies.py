"""What a policy is about, whom it admits, and which switches say whether it holds."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.event_policies import audience_of, flow_within, fronts_of, is_about, is_admitted
from eventmesh.kube.eventing_features import DefaultAuthorization, Features, TransportEncryption, parse_features
from eventmesh.kube.objects import Key, owner_reference
from eventmesh.kube.resources import BROKER, CHANNEL, IN_MEMORY_CHANNEL, PARALLEL, SEQUENCE

SHOP: dict[str, Any] = {"metadata": {"name": "shop", "namespace": "ns", "labels": {"tier": "front"}}}
BROKER_KIND = {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker"}


def policy(*to: Object, namespace: str = "ns") -> Object:
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"to": list(to)} if to else {}}


@pytest.mark.parametrize(
    ("to", "about"),
    [
        ((), True),
        (({"ref": {**BROKER_KIND, "name": "shop"}},), True),
        (({"ref": {**BROKER_KIND, "apiVersion": "eventing.knative.dev/v1beta1", "name": "shop"}},), True),
        (({"ref": {**BROKER_KIND, "name": "other"}},), False),
        (({"ref": {"apiVersion": "messaging.knative.dev/v1", "kind": "Broker", "name": "shop"}},), False),
        (({"ref": {**BROKER_KIND, "name": "other"}}, {"ref": {**BROKER_KIND, "name": "shop"}}), True),
        (({"selector": {**BROKER_KIND, "matchLabels": {"tier": "front"}}},), True),
        (({"selector": {**BROKER_KIND, "matchLabels": {"tier": "back"}}},), False),
        (({"selector": {**BROKER_KIND, "kind": "Channel", "matchLabels": {"tier": "front"}}},), False),
    ],
)
def test_a_policy_is_about_what_it_names_in_its_namespace(to: tuple[Object, ...], about: bool) -> None:
    assert is_about(policy(*to), BROKER, SHOP) is about
    assert is_about(policy(*to, namespace="elsewhere"), BROKER, SHOP) is False


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [
        (["system:serviceaccount:ns:a"], True),
        (["system:serviceaccount:ns:*"], True),
        (["*"], True),
        (["system:serviceaccount:ns:ab"], False),
        (["system:serviceaccount:n:*"], False),
        ([], False),
    ],
)
def test_a_subject_is_admitted_by_its_name_or_by_its_beginning(allowed: list[str], admitted: bool) -> None:
    assert is_admitted("system:serviceaccount:ns:a", allowed) is admitted


def made(resource: Resource, name: str, owner: tuple[Resource, Object] | None = None) -> Object:
    owners = [owner_reference(*owner)] if owner else []
    return {"metadata": {"name": name, "namespace": "ns", "uid": f"{resource.kind}-{name}", "ownerReferences": owners}}


def cache(*objects: tuple[Resource, Object]) -> Any:
    known = {(resource, obj["metadata"]["name"]): obj for resource, obj in objects}

    def find(resource: Resource, key: Key) -> Object | None:
        return known.get((resource, key.name))

    return find


@pytest.mark.parametrize(
    ("flow_kind", "first", "inner"),
    [(SEQUENCE, "f-kn-sequence-0", "f-kn-sequence-1"), (PARALLEL, "f-kn-parallel", "f-kn-parallel-0")],
)
@pytest.mark.parametrize("template", [CHANNEL, IN_MEMORY_CHANNEL])
def test_a_flow_is_entered_by_its_first_channel_and_by_no_other(
    flow_kind: Resource, first: str, inner: str, template: Resource
) -> None:
    flow = made(flow_kind, "f")
    found: list[tuple[Resource, Object]] = [(flow_kind, flow)]
    backing = {}
    for name in (first, inner):
        channel = made(template, name, (flow_kind, flow))
        found.append((template, channel))
        backing[name] = made(IN_MEMORY_CHANNEL, name, (CHANNEL, channel)) if template is CHANNEL else channel
    kinds = [resource for resource, _ in fronts_of(backing[first], cache(*found))]
    assert kinds == [IN_MEMORY_CHANNEL, *([CHANNEL] if template is CHANNEL else []), flow_kind]
    assert flow_within(backing[first], cache(*found)) is None
    assert flow_kind not in [resource for resource, _ in fronts_of(backing[inner], cache(*found))]
    assert flow_within(backing[inner], cache(*found)) == (flow_kind, flow)


def test_an_owner_that_was_made_anew_is_another_one() -> None:
    channel = made(IN_MEMORY_CHANNEL, "f-kn-sequence-1", (SEQUENCE, made(SEQUENCE, "f")))
    later = {"metadata": {"name": "f", "namespace": "ns", "uid": "later"}}
    assert flow_within(channel, cache((SEQUENCE, later))) is None


def test_an_audience_is_named_as_knative_names_it() -> None:
    assert audience_of(BROKER, Key("ns", "Shop")) == "eventing.knative.dev/broker/ns/shop"


def test_the_switches_are_read_as_knative_writes_them() -> None:
    assert parse_features({}) == Features(False, DefaultAuthorization.ALLOW_SAME_NAMESPACE, False)
    said = parse_features({"authentication-oidc": " Enabled ", "default-authorization-mode": "allow-all"})
    assert said == Features(True, DefaultAuthorization.ALLOW_ALL, False)
    assert parse_features({"cross-namespace-event-links": "enabled"}) == Features(cross_namespace=True)


def test_an_authorisation_that_is_none_admits_nobody() -> None:
    assert parse_features({"default-authorization-mode": "alow-all"}).authorization is DefaultAuthorization.DENY_ALL


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ("Disabled", TransportEncryption.DISABLED),
        ("Permissive", TransportEncryption.PERMISSIVE),
        (" STRICT ", TransportEncryption.STRICT),
        ("", TransportEncryption.DISABLED),
    ],
)
def test_encryption_is_asked_for_in_knatives_words(said: str, mode: TransportEncryption) -> None:
    found = parse_features({"transport-encryption": said})
    assert (found.transport, found.without_effect) == (mode, ())


def test_an_encryption_that_is_none_is_named_with_those_there_are() -> None:
    found = parse_features({"transport-encryption": "enabled" + "d" * 1000})
    assert found.transport is TransportEncryption.DISABLED
    named = "transport-encryption: enabled" + "d" * 57
    assert found.without_effect == (f"{named} (it may be disabled, permissive, strict)",)


def test_switches_that_ask_for_what_is_not_done_are_named() -> None:
    said = {"kreference-mapping": "enabled", "delivery-timeout": "disabled", "kreference-group": " Disabled"}
    assert parse_features(said).without_effect == ("kreference-mapping: enabled", "delivery-timeout: disabled")
    assert parse_features({"delivery-timeout": "enabled", "transport-encryption": ""}).without_effect == ()
