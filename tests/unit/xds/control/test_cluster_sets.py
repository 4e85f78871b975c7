"""Clusters of the whole mesh: what contributors put, move and take away."""

from __future__ import annotations

import pytest

from eventmesh.xds.control import envoy
from eventmesh.xds.control.cluster_sets import ClusterSets, Kind, Named
from eventmesh.xds.control.envoy import Protocol
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.services import BROKER_CLUSTER, Settings
from eventmesh.xds.resource_types import ResourceType

A, B = envoy.cluster("a", Protocol.HTTP1), envoy.cluster("b", Protocol.HTTP2)
NOBODY = envoy.endpoints("a", ())
SOMEBODY = envoy.endpoints("a", (("10.0.0.1", 80),))


@pytest.fixture
def sets() -> ClusterSets:
    made = ClusterSets(Settings())
    made.put("ns", {Kind.CLUSTERS: {"a": A}, Kind.HOLDING: {"a": B}, Kind.ENDPOINTS: {"a": NOBODY}})
    return made


def clusters(sets: ClusterSets, role: Role) -> Named:
    return {name: one for name, one in sets.of(role)[ResourceType.CLUSTER].items() if name != BROKER_CLUSTER}


def test_the_activator_sees_clusters_of_its_own(sets: ClusterSets) -> None:
    assert clusters(sets, Role.GATEWAY) == {"a": A} and clusters(sets, Role.ACTIVATOR) == {"a": B}


def test_what_a_contributor_puts_replaces_all_that_it_has_put_and_nothing_of_others(sets: ClusterSets) -> None:
    sets.put("other", {Kind.CLUSTERS: {"b": B}})
    sets.put("ns", {})
    assert clusters(sets, Role.GATEWAY) == {"b": B} and clusters(sets, Role.ACTIVATOR) == {}


def test_moved_endpoints_go_with_their_contributor(sets: ClusterSets) -> None:
    sets.move("ns", {"a": SOMEBODY}, {})
    assert sets.of(Role.SIDECAR)[ResourceType.ENDPOINT]["a"] == SOMEBODY
    assert sets.versions("a") == {A.version, B.version, SOMEBODY.version}
    sets.put("ns", {})
    assert "a" not in sets.of(Role.SIDECAR)[ResourceType.ENDPOINT]


def test_what_was_told_before_stays_as_it_was(sets: ClusterSets) -> None:
    before = sets.of(Role.SIDECAR)[ResourceType.ENDPOINT]
    sets.move("ns", {"a": SOMEBODY}, {})
    assert before["a"] == NOBODY
