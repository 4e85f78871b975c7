"""Filters of access by name: what an Envoy beside a workload is told of policies."""

from __future__ import annotations

import pytest

from eventmesh.kube.api import Object
from eventmesh.model.access import AccessStep, Rbac, RuleAction
from eventmesh.model.jwt import Jwt
from eventmesh.xds.control.access import by_name
from eventmesh.xds.control.access.by_name import NAMES, FiltersByName
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.snapshot_cache import differences
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import type_of_url
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.discovered_filters import Extension, read_extension
from eventmesh.xds.translate.filters import FILTERS
from tests.unit.xds.control.test_access import World, policy, tokens
from tests.unit.xds.control.views import service

CUSTOM: Object = {"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{}]}


def told(world: World, namespace: str = "ns", *, on_demand: bool = False, **labels: str) -> FiltersByName:
    audience = Audience(Role.SIDECAR, namespace, labels=frozenset(labels.items()), on_demand=on_demand)
    found = world.builder.sets(audience)[ResourceType.EXTENSION]
    assert isinstance(found, FiltersByName)
    return found


def read(filters: FiltersByName, name: str) -> Extension:
    warnings: list[str] = []
    message = read_wire(type_of_url(ResourceType.EXTENSION.value), filters[name].body, "", warnings)
    assert (message.text("name"), warnings) == (name, [])
    return read_extension(message, frozenset(FILTERS))


def rules_of(extension: Extension) -> tuple[RuleAction, list[str]] | None:
    assert isinstance(extension.config, AccessStep) and isinstance(extension.config.step, Rbac)
    rules = extension.config.step.rules
    return (rules.action, [one.name for one in rules.policies]) if rules is not None else None


def test_all_three_are_there_without_any_policy_and_let_everybody_through() -> None:
    filters = told(World())
    assert (tuple(filters), len(filters)) == (NAMES, 3)
    assert [rules_of(read(filters, name)) for name in ("deny", "allow")] == [None, None]
    jwt = read(filters, "jwt").config
    assert isinstance(jwt, AccessStep) and isinstance(jwt.step, Jwt) and not jwt.step.rules


def test_policies_that_select_the_workload_and_the_meshs_own_are_in_them() -> None:
    world = World(
        policy("may", rules=[{}], selector={"matchLabels": {"app": "a"}}),
        policy("must-not", "eventmesh-system", action="DENY", rules=[{}]),
        tokens(),
    )
    for on_demand in (False, True):
        chosen = told(world, app="a", on_demand=on_demand)
        assert rules_of(read(chosen, "allow")) == (RuleAction.ALLOW, ["ns/may[0]"])
        assert rules_of(read(chosen, "deny")) == (RuleAction.DENY, ["eventmesh-system/must-not[0]"])
        jwt = read(chosen, "jwt").config
        assert isinstance(jwt, AccessStep) and isinstance(jwt.step, Jwt)
        assert [one.name for one in jwt.step.providers] == ["ns/t[0]"]
    assert rules_of(read(told(world, app="b"), "allow")) is None
    assert rules_of(read(told(world, "other"), "deny")) == (RuleAction.DENY, ["eventmesh-system/must-not[0]"])


def test_whom_a_service_would_be_asked_about_is_refused() -> None:
    assert rules_of(read(told(World(policy("ask", **CUSTOM))), "deny")) == (RuleAction.DENY, ["ns/ask[0]"])


def test_a_name_that_there_is_not_is_answered_as_such() -> None:
    assert told(World()).get("ask/opa") is None


def test_a_change_is_told_of_the_filter_that_differs_alone() -> None:
    world = World(policy("may", rules=[{}]), tokens())
    before = told(world)
    assert differences(before, told(world)) == frozenset()
    world.put(policy("elsewhere", "other", rules=[{}]))
    assert differences(before, told(world)) == frozenset()
    world.put(policy("must-not", action="DENY", rules=[{}]))
    after = told(world)
    assert differences(before, after) == {"deny"}
    assert after.touched(frozenset(("deny", "jwt")), frozenset(("deny",))) == {"deny"}
    assert before["allow"].version == after["allow"].version and before["deny"].version != after["deny"].version


def test_a_change_of_something_else_has_no_filters_made(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(policy("may", rules=[{}]))
    before = told(world)
    world.watcher.service(None, service("svc"))
    world.put()
    after = told(world)

    def refuse(*_: object) -> None:
        raise AssertionError("filters made although nobody has asked and no policy has changed")

    monkeypatch.setattr(by_name, "filters_of", refuse)
    assert differences(before, after) == frozenset()
