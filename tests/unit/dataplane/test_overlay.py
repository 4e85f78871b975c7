"""Two snapshots in force together."""

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.dataplane.overlay import overlay
from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from eventmesh.model.route import RouteTable, VirtualHost
from eventmesh.model.snapshot import Snapshot

OWN = Snapshot("", (Listener("out", "127.0.0.1:1", "local"),), (RouteTable("local"),), (Cluster("user"),))


def test_both_are_in_force_under_the_version_of_the_configuration() -> None:
    base = Snapshot("7", (Listener("edge", "127.0.0.1:2", "public"),), (RouteTable("public"),), (Cluster("c"),))
    both = overlay(base, OWN)
    assert both.version == "7"
    assert [listener.name for listener in both.listeners] == ["edge", "out"]
    assert {table.name for table in both.route_tables} == {"public", "local"}
    assert {cluster.name for cluster in both.clusters} == {"c", "user"}


def test_a_configured_route_table_replaces_the_processes_default() -> None:
    configured = RouteTable("local", (VirtualHost("any", ("*",), ()),))
    assert overlay(Snapshot("1", (), (configured,)), OWN).route_tables == (configured,)


@pytest.mark.parametrize(
    ("base", "path"),
    [
        (Snapshot("1", (Listener("out", "127.0.0.1:9", "x"),)), "listener out"),
        (Snapshot("1", clusters=(Cluster("user"),)), "cluster user"),
    ],
)
def test_configuration_may_not_take_the_processes_own_names(base: Snapshot, path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        overlay(base, OWN)
    assert refused.value.path == path
