"""Each resource of a response has its own verdict."""

from __future__ import annotations

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.xds.client.known import Known
from eventmesh.xds.client.messages import Resource
from eventmesh.xds.client.subscription import Changes
from eventmesh.xds.client.unpack import unpack
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.translate.resources import ClusterResource, StaticResources
from eventmesh.xds.translate.route_tables import RouteTables

STATIC = StaticResources(clusters=(ClusterResource(Cluster("own")),))


def _resource(kind: ResourceType, name: str, fields: dict[str, object]) -> Resource:
    return Resource(name, "1", kind.value, write_wire(kind.value.rpartition("/")[2], fields))


def test_a_bad_cluster_is_refused_and_its_neighbour_taken() -> None:
    good = _resource(ResourceType.CLUSTER, "a", {"name": "a", "type": "STRICT_DNS"})
    bad = _resource(ResourceType.CLUSTER, "b", {"name": "b", "lb_policy": "CLUSTER_PROVIDED"})
    found = unpack(ResourceType.CLUSTER, Changes((good, bad), ("gone",)), Known(STATIC, (), 0.0), RouteTables())
    assert found.update.clusters is not None
    assert (list(found.update.clusters), tuple(found.update.removed_clusters)) == (["a"], ("gone",))
    assert list(found.refused) == ["b"]
    assert "lb_policy: CLUSTER_PROVIDED is not supported" in found.refused["b"]


def test_a_static_cluster_cannot_be_replaced() -> None:
    same = _resource(ResourceType.CLUSTER, "own", {"name": "own"})
    found = unpack(ResourceType.CLUSTER, Changes((same,), ()), Known(STATIC, (), 0.0), RouteTables())
    assert (found.update.clusters, list(found.refused)) == ({}, ["own"])


def test_a_resource_under_another_name_than_its_own_is_refused() -> None:
    resource = _resource(ResourceType.ROUTE, "public", {"name": "local"})
    assert list(
        unpack(ResourceType.ROUTE, Changes((resource,), ()), Known(STATIC, (), 0.0), RouteTables()).refused
    ) == ["public"]


def test_a_resource_of_another_type_is_refused() -> None:
    resource = Resource("a", "1", ResourceType.LISTENER.value, b"")
    assert list(
        unpack(ResourceType.CLUSTER, Changes((resource,), ()), Known(STATIC, (), 0.0), RouteTables()).refused
    ) == ["a"]


def test_what_is_ignored_is_told_with_its_resource() -> None:
    data = b"\x0a\x01a" + b"\xa0\x02\x01"
    resource = Resource("a", "1", ResourceType.ENDPOINT.value, data)
    found = unpack(ResourceType.ENDPOINT, Changes((resource,), ()), Known(STATIC, (), 0.0), RouteTables())
    # Field 36 of a ClusterLoadAssignment exists nowhere: refused, not ignored.
    assert list(found.refused) == ["a"]
    cluster = Resource("a", "1", ResourceType.CLUSTER.value, b"\x0a\x01a" + b"\x80\x02\x01")
    found = unpack(ResourceType.CLUSTER, Changes((cluster,), ()), Known(STATIC, (), 0.0), RouteTables())
    assert [warning.split(": ")[:2] for warning in found.warnings] == [["a", "ignore_health_on_host_removal"]]


def test_endpoints_of_every_priority_are_taken() -> None:
    def group(priority: int, health: str, port: int) -> dict[str, object]:
        address = {"socket_address": {"address": "10.0.0.1", "port_value": port}}
        return {
            "priority": priority,
            "lb_endpoints": [{"endpoint": {"address": address}, "health_status": health}],
        }

    fields: dict[str, object] = {
        "cluster_name": "a",
        "endpoints": [group(0, "UNHEALTHY", 80), group(1, "HEALTHY", 81)],
    }
    resource = _resource(ResourceType.ENDPOINT, "a", fields)
    found = unpack(ResourceType.ENDPOINT, Changes((resource,), ("absent",)), Known(STATIC, (), 0.0), RouteTables())
    assert found.update.assignments == {
        "a": (Endpoint("10.0.0.1:80", healthy=False), Endpoint("10.0.0.1:81", priority=1))
    }
    assert tuple(found.update.absent_assignments) == ("absent",)
    assert not found.warnings
