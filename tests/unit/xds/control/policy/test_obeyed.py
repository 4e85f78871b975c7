"""A policy becomes what data planes obey: published bytes are read back by the code of a data plane."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.objects import Key
from eventmesh.model.cluster import Balancing, Cluster
from eventmesh.model.policy import Fault, Filters, HashOn, HashPart, RateLimit, RetryOn
from eventmesh.model.route import Forward, Mirror, RouteTable
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.policy.attaching import attached, exists, winners
from eventmesh.xds.control.policy.values import Target, TargetKind
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import type_of_url
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_cluster
from eventmesh.xds.translate.route import read_route_table
from tests.unit.xds.control.views import (
    ingress,
    path,
    policy,
    revision,
    rule,
    serverless,
    service,
    split,
    world,
)

FUNCTION = [{"group": "serving.knative.dev", "kind": "Service", "name": "hello"}]
GATEWAY, ACTIVATOR, SIDECAR = Audience(Role.GATEWAY), Audience(Role.ACTIVATOR), Audience(Role.SIDECAR, "ns")
GRPC = Audience(Role.GRPC)
FULL: dict[str, Any] = {
    "timeouts": {"request": "2s", "backendRequest": "500ms"},
    "retry": {"attempts": 3, "codes": [503], "backoff": "10ms"},
    "circuitBreaker": {"maxConnections": 1, "maxPendingRequests": 2, "maxRequests": 3},
    "loadBalancer": {"type": "LeastRequest"},
}


def built(watcher: Watcher) -> ResourceBuilder:
    builder = ResourceBuilder(Settings())
    builder.update(lambda namespace: attached(watcher.of(namespace)), watcher.everything())
    return builder


def table(builder: ResourceBuilder, audience: Audience, name: str) -> RouteTable:
    """Return a route table as a data plane reads it, which must have nothing to remark."""
    remarks: list[str] = []
    resource = builder.sets(audience)[ResourceType.ROUTE][name]
    read = read_route_table(read_wire(type_of_url(ResourceType.ROUTE.value), resource.body, "", remarks), remarks)
    assert not remarks
    return read


def forwards(found: RouteTable, domain: str) -> list[Forward]:
    hosts = [host for host in found.virtual_hosts if domain in host.domains]
    return [route.action for host in hosts for route in host.routes if isinstance(route.action, Forward)]


def cluster(builder: ResourceBuilder, audience: Audience, name: str) -> Cluster:
    remarks: list[str] = []
    resource = builder.sets(audience)[ResourceType.CLUSTER][name]
    read = read_cluster(read_wire(type_of_url(ResourceType.CLUSTER.value), resource.body, "", remarks), remarks)
    assert not remarks
    return read.cluster


def function(*policies: Any) -> Watcher:
    """A function `hello` with two revisions, a plain Service `svc`, and policies."""
    watcher = world(
        ingress=[ingress("hello", rule("hello.test", paths=[path(split("hello-1", 90), split("hello-2", 10))]))],
        serverless=[serverless("hello-1"), serverless("hello-2"), serverless("other-1")],
        service=[service("svc")],
        policy=list(policies),
    )
    for name in ("hello-1", "hello-2", "other-1"):
        obj = revision(name, 0)
        obj["metadata"]["labels"] = {"serving.knative.dev/service": name.partition("-")[0]}
        watcher.revision(None, obj)
    return watcher


@pytest.mark.parametrize(("audience", "name"), [(GATEWAY, "public"), (GATEWAY, "local"), (SIDECAR, "local")])
def test_the_routes_of_a_function_obey_its_policy(audience: Audience, name: str) -> None:
    builder = built(function(policy("p", targetRefs=FUNCTION, **FULL)))
    routes = forwards(table(builder, audience, name), "hello.test")
    assert routes
    for route in routes:
        assert route.timeout_s == 2.0 and route.retry is not None
        assert set(route.retry.on) == {
            RetryOn.CONNECT_FAILURE,
            RetryOn.REFUSED_STREAM,
            RetryOn.RESET_BEFORE_REQUEST,
            RetryOn.RETRIABLE_STATUS_CODES,
        }
        assert (route.retry.max_retries, route.retry.status_codes) == (3, (503,))
        assert (route.retry.per_try_timeout_s, route.retry.base_interval_s) == (0.5, 0.01)
        assert route.retry.max_interval_s == pytest.approx(0.1)


def test_every_revision_of_a_function_has_its_limits_and_nobody_else() -> None:
    builder = built(function(policy("p", targetRefs=FUNCTION, **FULL)))
    for name in ("ns/hello-1", "ns/hello-2"):
        found = cluster(builder, GATEWAY, name)
        assert (found.max_connections, found.max_pending, found.max_requests) == (1, 2, 3)
        assert found.balancing is Balancing.LEAST_REQUEST
    for name in ("ns/other-1", "ns/svc:80"):
        found = cluster(builder, GATEWAY, name)
        assert found.max_requests > 1_000_000 and found.balancing is Balancing.ROUND_ROBIN


def test_the_activators_queue_keeps_its_own_limits_and_only_chooses_as_the_policy_says() -> None:
    plain = cluster(built(function()), ACTIVATOR, "ns/hello-1")
    found = cluster(built(function(policy("p", targetRefs=FUNCTION, **FULL))), ACTIVATOR, "ns/hello-1")
    assert (found.max_requests, found.max_pending) == (plain.max_requests, plain.max_pending)
    assert found.balancing is Balancing.LEAST_REQUEST
    (route,) = forwards(table(built(function(policy("p", targetRefs=FUNCTION, **FULL))), ACTIVATOR, "activator"), "*")[
        :1
    ]
    assert route.retry is None and route.timeout_s == 0.0


def test_a_plain_service_obeys_its_policy_under_its_own_name() -> None:
    builder = built(function(policy("p", **FULL)))
    (route,) = forwards(table(builder, SIDECAR, "local"), "svc.ns")
    assert route.timeout_s == 2.0 and route.retry is not None
    assert cluster(builder, SIDECAR, "ns/svc:80").max_requests == 3


def test_outliers_are_passed_over_as_the_policy_says() -> None:
    said = {"consecutive5xxErrors": 4, "consecutiveGatewayErrors": 3, "interval": "5s", "baseEjectionTime": "20s"}
    watcher = function(policy("p", outlierDetection={**said, "maxEjectionPercent": 50}))
    found = cluster(built(watcher), GATEWAY, "ns/svc:80").outlier
    assert found is not None
    assert (found.consecutive_5xx, found.consecutive_gateway_failure) == (4, 3)
    assert (found.enforcing_consecutive_5xx, found.enforcing_consecutive_gateway_failure) == (100, 100)
    assert (found.interval_s, found.base_ejection_time_s, found.max_ejection_percent) == (5.0, 20.0, 50)
    assert found.always_eject_one and found.enforcing_success_rate == 0
    assert cluster(built(watcher), GATEWAY, "ns/other-1").outlier is None


@pytest.mark.parametrize(
    ("hash_on", "read"),
    [
        ({"header": "X-User"}, HashOn(HashPart.HEADER, "x-user")),
        ({"cookie": "Session"}, HashOn(HashPart.COOKIE, "Session")),
        ({"queryParameter": "user"}, HashOn(HashPart.QUERY, "user")),
        ({"sourceIP": True}, HashOn(HashPart.SOURCE_IP)),
    ],
)
@pytest.mark.parametrize("kind", ["RingHash", "Maglev"])
def test_requests_that_are_alike_find_the_same_endpoint(kind: str, hash_on: dict[str, Any], read: HashOn) -> None:
    builder = built(function(policy("p", loadBalancer={"type": kind, "hashOn": hash_on})))
    (route,) = forwards(table(builder, SIDECAR, "local"), "svc.ns")
    assert route.hash_on == (read,)
    balancing = {"RingHash": Balancing.RING_HASH, "Maglev": Balancing.MAGLEV}[kind]
    assert cluster(builder, SIDECAR, "ns/svc:80").balancing is balancing


LIMITED: dict[str, Any] = {
    "rateLimit": {"requests": 10, "per": "1m", "burst": 3},
    "fault": {"delay": {"fixed": "2s", "percent": 0.5}, "abort": {"status": 503, "percent": 20}},
}


def test_limits_and_faults_stand_at_the_routes() -> None:
    builder = built(function(policy("p", targetRefs=FUNCTION, **LIMITED)))
    found = table(builder, GATEWAY, "public")
    filters = {route.filters for host in found.virtual_hosts if "hello.test" in host.domains for route in host.routes}
    limit = RateLimit(3, 10, 60.0, resource_exhausted=True)
    assert filters == {Filters(Fault(2.0, 5_000, 503, 200_000), limit)}
    others = [route for host in found.virtual_hosts if "hello.test" not in host.domains for route in host.routes]
    assert others and all(route.filters is None for route in others)


def test_proxyless_clients_obey_faults_and_are_spared_the_limits_they_would_refuse() -> None:
    local = rule("hello.ns.svc.cluster.local", paths=[path(split("hello-1"))], external=False)
    watcher = function(policy("p", targetRefs=FUNCTION, timeouts={"request": "2s"}, **LIMITED))
    watcher.ingress(None, ingress("hello", local))
    builder, name = built(watcher), "hello.ns.svc.cluster.local"
    for route in (route for host in table(builder, GRPC, name).virtual_hosts for route in host.routes):
        assert route.filters is not None and (route.filters.rate_limit, route.filters.fault is None) == (None, False)
        assert isinstance(route.action, Forward) and route.action.timeout_s == 2.0


def test_bolt_services_obey_too() -> None:
    annotations = {"eventmesh.io/service-interfaces": "com.acme.Orders:1.0"}
    bolt = service("orders", {"name": "bolt", "port": 12200}, annotations=annotations)
    target = [{"kind": "Service", "name": "orders"}]
    builder = built(world(service=[bolt], policy=[policy("p", targetRefs=target, **FULL)]))
    (route,) = forwards(table(builder, SIDECAR, "bolt"), "com.acme.orders:1.0") or forwards(
        table(builder, SIDECAR, "bolt"), "com.acme.Orders:1.0"
    )
    assert route.timeout_s == 2.0 and route.retry is not None


def test_a_split_between_two_functions_is_under_neither_policy() -> None:
    watcher = function(policy("p", targetRefs=FUNCTION, **FULL))
    both = ingress("both", rule("both.test", paths=[path(split("hello-1", 50), split("other-1", 50))]))
    watcher.ingress(None, both)
    for route in forwards(table(built(watcher), GATEWAY, "public"), "both.test"):
        assert route.retry is None and route.timeout_s == 0.0


def test_the_oldest_policy_of_a_target_holds() -> None:
    old = policy("z", created="2026-01-01T00:00:00Z", timeouts={"request": "1s"})
    young = policy("a", created="2026-02-01T00:00:00Z", timeouts={"request": "9s"})
    watcher = function(young, old)
    assert winners(watcher.of("ns"))[Target(TargetKind.SERVICE, "svc")].key == Key("ns", "z")
    (route,) = forwards(table(built(watcher), SIDECAR, "local"), "svc.ns")
    assert route.timeout_s == 1.0


def test_a_target_exists_when_there_is_a_service_or_a_function_of_that_name() -> None:
    view = function().of("ns")
    assert exists(view, Target(TargetKind.FUNCTION, "hello")) and exists(view, Target(TargetKind.SERVICE, "svc"))
    assert not exists(view, Target(TargetKind.FUNCTION, "svc")) and not exists(
        view, Target(TargetKind.SERVICE, "hello")
    )


def test_without_policies_nothing_is_looked_at() -> None:
    view = function().of("ns")
    assert attached(view) is view


def test_copies_of_a_functions_requests_reach_whoever_knows_the_route() -> None:
    said = [{"backendRef": {"group": "serving.knative.dev", "kind": "Revision", "name": "other-1"}, "percent": 25}]
    builder = built(function(policy("p", targetRefs=FUNCTION, mirror=said)))
    for audience, name in ((GATEWAY, "public"), (SIDECAR, "local")):
        found = forwards(table(builder, audience, name), "hello.test")
        assert found and {action.mirrors for action in found} == {(Mirror("ns/other-1", 250_000),)}
        assert "ns/other-1" in builder.sets(audience)[ResourceType.CLUSTER]
