"""Whom the refusal of an inbound listener is about, and for how long."""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.kube.objects import Key
from eventmesh.xds.control.access.published import INBOUND
from eventmesh.xds.control.access.refusals import InboundRefusals
from eventmesh.xds.control.access.values import Action, AuthorizationPolicy, Policy, RequestAuthentication
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.grpc_servers import SERVER
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.subscriptions import Refusal
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.dialogue import CDS, LDS

SHOP = Audience(Role.SIDECAR, "shop")
OLD = AuthorizationPolicy(Key("shop", "old"), {}, Action.DENY, rules=())
NEW = AuthorizationPolicy(Key("shop", "new"), {}, Action.DENY, rules=())
TOKENS = RequestAuthentication(Key("shop", "new"), {}, ())


def nack(message: str, *names: str, type_: ResourceType = LDS, version: str = "2") -> Nack:
    return Nack("pod", Role.SIDECAR, Refusal(type_, 1, names, message, tuple(version for _ in names)), SHOP)


def blamed(known: InboundRefusals, one: Nack, is_new: Callable[[Policy], bool] = lambda policy: False) -> set[Policy]:
    return set(known.refused(one, lambda audience: [OLD, NEW, TOKENS] if audience == SHOP else [], is_new))


def test_a_policy_that_the_words_name_is_to_blame() -> None:
    known = InboundRefusals()
    assert blamed(known, nack("inbound: rbac policy shop/old[0]: no", INBOUND), lambda policy: policy is NEW) == {OLD}
    assert known.message(OLD) == "pod: inbound: rbac policy shop/old[0]: no" and known.message(NEW) is None


def test_without_names_what_is_new_is_to_blame_and_else_all_that_select_the_workload() -> None:
    assert blamed(InboundRefusals(), nack("no", INBOUND), lambda policy: policy is NEW) == {NEW}
    assert blamed(InboundRefusals(), nack("no", INBOUND)) == {OLD, NEW, TOKENS}


def test_a_refusal_that_may_be_about_something_else_blames_nobody() -> None:
    for one in (nack("no", INBOUND, "other"), nack("no", "other"), nack("no", INBOUND, type_=CDS)):
        assert blamed(InboundRefusals(), one) == set()


def test_it_stands_until_the_workload_is_told_something_else() -> None:
    known = InboundRefusals()
    blamed(known, nack("no", INBOUND), lambda policy: policy is NEW)
    assert known.published(lambda audience, type_, name: "2") == frozenset() and known.message(NEW) is not None
    assert known.published(lambda audience, type_, name: "3") == {NEW} and known.message(NEW) is None


def test_it_is_forgotten_with_the_last_workload_that_was_told() -> None:
    known = InboundRefusals()
    blamed(known, nack("no", INBOUND), lambda policy: policy is NEW)
    assert known.published(lambda audience, type_, name: None) == {NEW}


def test_a_server_without_a_sidecar_is_known_by_its_own_listener() -> None:
    known, name = InboundRefusals(), f"{SERVER}127.0.0.1:80"
    assert blamed(known, nack("no", name), lambda policy: policy is NEW) == {NEW}
    asked: list[tuple[ResourceType, str]] = []
    assert known.published(lambda audience, type_, listener: asked.append((type_, listener))) == {NEW}
    assert asked == [(LDS, name)]


def test_an_envoy_is_heard_about_the_filters_that_it_is_sent_by_name() -> None:
    known = InboundRefusals()
    refused = nack("deny: no", "deny", type_=ResourceType.EXTENSION)
    assert blamed(known, refused, lambda policy: policy is NEW) == {NEW}
    assert blamed(InboundRefusals(), nack("no", "other", type_=ResourceType.EXTENSION)) == set()
    asked: list[tuple[ResourceType, str]] = []
    assert known.published(lambda audience, type_, name: asked.append((type_, name))) == {NEW}
    assert asked == [(ResourceType.EXTENSION, "deny")]


def test_two_filters_that_one_envoy_refuses_stand_beside_one_another() -> None:
    known = InboundRefusals()
    assert blamed(known, nack("no", "jwt", type_=ResourceType.EXTENSION)) == {TOKENS}
    assert blamed(known, nack("never", "deny", type_=ResourceType.EXTENSION)) == {OLD, NEW}
    assert (known.message(TOKENS), known.message(OLD)) == ("pod: no", "pod: never")
    assert known.published(lambda audience, type_, name: "2" if name == "jwt" else "3") == {OLD, NEW}
    assert known.message(TOKENS) == "pod: no" and known.message(OLD) is None


def test_a_filter_by_name_is_about_the_policies_that_become_it() -> None:
    known = InboundRefusals()
    assert blamed(known, nack("no", "allow", type_=ResourceType.EXTENSION)) == set()
    asking = AuthorizationPolicy(Key("shop", "asking"), {}, Action.CUSTOM, rules=(), provider="gone")
    one = nack("no", "deny", type_=ResourceType.EXTENSION)
    assert known.refused(one, lambda audience: [NEW, TOKENS, asking], lambda policy: False) == {NEW, asking}
