"""What a change would push: to whom, of what type, and which virtual hosts differ."""

from __future__ import annotations

import copy

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import AUTHORIZATION_POLICY, CONFIG_MAP, KINGRESS, NAMESPACE, SERVICE
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.preview import MAX_OBJECTS, Preview, preview
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.tracing import TRACING_CLUSTER
from eventmesh.xds.control.watcher import Watcher
from tests.unit.xds.control.test_access import policy
from tests.unit.xds.control.views import ingress, namespace, path, rule, service, split, world

GATEWAY, OWN, OTHER = Audience(Role.GATEWAY), Audience(Role.SIDECAR, "ns"), Audience(Role.SIDECAR, "other")


def typed(resource: Resource, obj: Object) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def previewed(watcher: Watcher, *objects: Object) -> Preview:
    return preview(watcher, Settings(), objects, [GATEWAY, OWN, OTHER, GATEWAY])


def present() -> Watcher:
    return world(ingress=[ingress("a", rule("a.test"))], service=[service("svc"), service("other")])


def test_the_same_again_pushes_nothing() -> None:
    assert previewed(present(), typed(KINGRESS, ingress("a", rule("a.test")))).changes == ()


def test_a_changed_route_is_pushed_to_those_who_see_it_and_its_virtual_host_is_named() -> None:
    changed = typed(KINGRESS, ingress("a", rule("a.test", paths=[path(split("other"))])))
    found = previewed(present(), changed)
    assert [(c.audience, c.type.short, c.name, c.what) for c in found.changes] == [
        (GATEWAY, "rds", "local", "changed"),
        (GATEWAY, "rds", "public", "changed"),
        (OWN, "rds", "local", "changed"),
    ]
    assert {detail for change in found.changes for detail in change.details} == {"~ ns/a/0"}


def test_a_new_service_adds_a_cluster_its_endpoints_and_a_host() -> None:
    found = previewed(present(), typed(SERVICE, service("new")))
    told = {(c.type.short, c.name, c.what) for c in found.changes if c.audience == OWN}
    assert told == {("cds", "ns/new:80", "added"), ("eds", "ns/new:80", "added"), ("rds", "local", "changed")}
    assert {d for c in found.changes for d in c.details} == {"+ ns/new"}


def test_declared_egress_concerns_the_sidecars_of_its_namespace() -> None:
    found = previewed(present(), typed(NAMESPACE, namespace("other", "ns/*")))
    assert {change.audience for change in found.changes} == {OTHER}


def test_a_policy_of_access_changes_the_inbound_listener_of_those_it_selects() -> None:
    found = previewed(present(), typed(AUTHORIZATION_POLICY, policy(rules=[{}])))
    assert [(c.audience, c.type.short, c.name, c.what) for c in found.changes] == [(OWN, "lds", "inbound", "added")]


def settings_map(namespace_: str, name: str, data: dict[str, str]) -> Object:
    return typed(CONFIG_MAP, {"metadata": {"namespace": namespace_, "name": name}, "data": data})


def test_a_change_of_how_the_mesh_traces_concerns_everybody() -> None:
    traced = {"tracing-protocol": "grpc", "tracing-endpoint": "http://collector.obs:4317"}
    found = previewed(present(), settings_map("knative-serving", "config-observability", traced))
    assert not found.unread and {change.audience for change in found.changes} == {GATEWAY, OWN, OTHER}
    assert {change.name for change in found.changes if change.what == "added"} == {TRACING_CLUSTER}


def test_settings_that_are_not_understood_are_named_and_other_config_maps_are_not_read() -> None:
    wrong = settings_map("eventmesh-system", "config-mesh", {"mesh": "extensionProviders: 3"})
    found = previewed(present(), wrong, settings_map("ns", "mine", {}))
    assert found.changes == () and found.unread == ("ConfigMap/mine",)
    assert found.invalid[0].startswith("eventmesh-system/config-mesh: mesh.extensionProviders: expected a list")


def test_looking_changes_nothing() -> None:
    watcher = present()
    before = copy.deepcopy(watcher.of("ns"))
    previewed(watcher, typed(SERVICE, service("new")), typed(KINGRESS, ingress("b", rule("b.test"))))
    assert watcher.of("ns") == before


def test_what_control_does_not_read_or_cannot_route_is_named() -> None:
    ksvc = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "f", "namespace": "ns"}}
    bad = typed(KINGRESS, ingress("bad", rule("b.test", paths=[path(split("svc", 60))])))
    found = previewed(present(), ksvc, bad)
    assert found.changes == ()
    assert found.unread == ("Service/f",)
    assert found.invalid[0].startswith("ns/bad: spec.rules[0].http.paths[0].splits: percents add up to 60")


def test_a_preview_has_a_largest_size() -> None:
    with pytest.raises(UsageError, match="1001 objects"):
        previewed(present(), *[typed(SERVICE, service("s"))] * (MAX_OBJECTS + 1))
