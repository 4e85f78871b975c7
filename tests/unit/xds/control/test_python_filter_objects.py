"""PythonFilter: what is read, what is refused, who is told of it, and which data planes cannot do as it says."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key
from eventmesh.model.authz import FilterConfig
from eventmesh.model.authz import PythonFilter as Asked
from eventmesh.xds.control.access.filter_reading import MAX_CONFIG_BYTES, MAX_CONFIG_DEPTH, read_python_filter
from eventmesh.xds.control.access.refusals import InboundRefusals
from eventmesh.xds.control.access.values import Action, AuthorizationPolicy, Policy, PythonFilter
from eventmesh.xds.control.acks import Nack
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.subscriptions import Refusal
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE
from eventmesh.xds.resource_types import ResourceType
from tests.unit.xds.control.test_access import World, policy, steps_of, tokens


def filtering(called: str = "f", namespace: str = "ns", **spec: Any) -> Object:
    metadata = {"name": called, "namespace": namespace}
    header = {"apiVersion": "eventmesh.io/v1alpha1", "kind": "PythonFilter", "metadata": metadata}
    return {**header, "spec": {"file": "tenants.py", "name": "tenant", **spec}}


class FilteredWorld(World):
    """The same with filters in Python."""

    def put(self, *objects: Object) -> None:
        for obj in objects:
            if obj["kind"] == "PythonFilter":
                self.watcher.python_filter(None, obj)
        super().put(*(obj for obj in objects if obj["kind"] != "PythonFilter"))


def asked_by(world: World, **labels: str) -> list[Asked]:
    listener = world.told(**labels)
    steps = listener.filters.access if listener is not None and listener.filters is not None else ()
    return [one.step for one in steps if isinstance(one.step, Asked)]


def test_a_selected_workload_asks_the_filter_as_the_object_says() -> None:
    said = filtering(selector={"matchLabels": {"app": "cart"}}, timeout="250ms", statusOnError=429)
    world = FilteredWorld(said)
    assert asked_by(world, app="cart") == [Asked("tenants.py", "tenant", 0.25, False, 429)]
    assert asked_by(world, app="till") == []


def test_without_more_a_filter_has_a_second_and_fails_closed() -> None:
    assert asked_by(FilteredWorld(filtering())) == [Asked("tenants.py", "tenant", 1.0, False, 503)]
    assert asked_by(FilteredWorld(filtering(failStrategy="FAIL_OPEN")))[0].fail_open


def nested(depth: int) -> object:
    return {"a": nested(depth - 1)} if depth else 1


def test_a_workload_is_told_what_its_filters_are_made_with() -> None:
    said = {"headers": ["x-a"], "most": 2**53, "share": -0.5, "text": "\u20ac" * (MAX_CONFIG_BYTES // 3 - 200)}
    said["deep"] = nested(MAX_CONFIG_DEPTH - 1)
    config = FilterConfig.of(said)
    assert asked_by(FilteredWorld(filtering(config=said))) == [Asked("tenants.py", "tenant", config=config)]
    assert asked_by(FilteredWorld(filtering(config={}))) == [Asked("tenants.py", "tenant")]


def test_filters_stand_behind_policies_in_the_order_of_their_priority_and_the_mesh_s_own_first() -> None:
    world = FilteredWorld(
        filtering("a"),
        filtering("b", priority=5),
        filtering("m", SYSTEM_NAMESPACE),
        tokens(),
        policy("no", action="DENY", rules=[{}]),
        policy("yes", rules=[{}]),
    )
    own = [f"python:{one}" for one in ("ns/b", f"{SYSTEM_NAMESPACE}/m", "ns/a")]
    assert steps_of(world.told()) == ["jwt", "deny", "allow", *own]


def test_a_change_of_a_filter_reaches_those_it_selects() -> None:
    world = FilteredWorld(filtering("m", SYSTEM_NAMESPACE))
    assert [one.name for one in asked_by(world)] == ["tenant"]
    world.put(filtering("m", SYSTEM_NAMESPACE, name="other"))
    assert [one.name for one in asked_by(world)] == ["other"]
    world.watcher.python_filter(filtering("m", SYSTEM_NAMESPACE), None)
    world.put()
    assert world.told() is None


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"file": ""}, "spec.file"),
        ({"file": "../etc/passwd.py"}, "spec.file"),
        ({"file": "a/b.py"}, "spec.file"),
        ({"file": "tenants"}, "spec.file"),
        ({"name": "a b"}, "spec.name"),
        ({"name": 1}, "spec.name"),
        ({"timeout": "61s"}, "spec.timeout"),
        ({"timeout": "0s"}, "spec.timeout"),
        ({"failStrategy": "PERHAPS"}, "spec.failStrategy"),
        ({"failStrategy": "FAIL_OPEN", "statusOnError": 503}, "spec.statusOnError"),
        ({"statusOnError": 200}, "spec.statusOnError"),
        ({"priority": 2**31}, "spec.priority"),
        ({"selector": {"matchLabels": {"a": 1}}}, "spec.selector.matchLabels"),
        ({"module": "x"}, "spec.module"),
        ({"config": ["x"]}, "spec.config"),
        ({"config": "x"}, "spec.config"),
        ({"config": {"a": [{"b": 2**53 + 1}]}}, "spec.config.a[0].b"),
        ({"config": {"a": "\ud800"}}, "spec.config"),
        ({"config": {"a": "x" * MAX_CONFIG_BYTES}}, "spec.config"),
        ({"config": nested(MAX_CONFIG_DEPTH + 1)}, "spec.config" + ".a" * MAX_CONFIG_DEPTH),
    ],
)
def test_what_is_wrong_with_a_filter_is_named_and_nobody_is_asked(spec: dict[str, Any], path: str) -> None:
    value, errors = read_python_filter(filtering(**spec))
    assert value is None and [error.path for error in errors] == [path]
    world = FilteredWorld(filtering(**spec))
    assert world.told() is None and path in world.watcher.invalid_filters[Key("ns", "f")]


SIDECAR = Audience(Role.SIDECAR, "ns")


def _filter(name: str, file: str = "tenants.py", function: str = "tenant") -> PythonFilter:
    value, _ = read_python_filter(filtering(name, file=file, name=function))
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("message", "blamed"),
    [
        ("inbound: filter tenants.py: has no filter 'tenant'; it has: none", {"a"}),
        ("inbound: filter tenants.py: has no filter 'ten'; it has: none", set()),
        ("inbound: filter other.py: cannot be run: SyntaxError: bad", {"c"}),
        ("inbound: filter tenants.py: this process has no filters", {"a", "b"}),
        ("inbound: filter tenants.py: 'tenant' in python:ns/a refuses {}: no", {"a"}),
        ("inbound: filter tenants.py: 'tenant' in python:ns/a, python:ns/b refuses {}: no", {"a", "b"}),
        ('inbound: filter other.py: \'tenant\' in python:ns/c refuses {"n":"ns/p ns/a"}: no', {"c"}),
    ],
)
def test_a_refusal_is_told_to_the_filters_that_it_is_about(message: str, blamed: set[str]) -> None:
    access = AuthorizationPolicy(Key("ns", "p"), {}, Action.DENY, ())
    policies: list[Policy] = [_filter("a"), _filter("b", function="late"), _filter("c", "other.py"), access]
    refusal = Refusal(ResourceType.LISTENER, 1, ("inbound",), message, ("v1",))
    nack = Nack("pod-1", Role.SIDECAR, refusal, SIDECAR)
    found = InboundRefusals().refused(nack, lambda _: policies, lambda _: False)
    # Whom no words name is not to blame while somebody else is; without anybody all of them are.
    assert {one.key.name for one in found} == (blamed or {"a", "b", "c", "p"})
