"""Events that wait are load of the revisions that their subscribers' hosts lead to."""

from __future__ import annotations

from eventmesh.activator.demand import demand
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import DirectResponse, Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot

HELLO, SPLIT, GONE = (f"{name}.default.svc.cluster.local" for name in ("hello", "split", "gone"))


def host(name: str, *clusters: tuple[str, int]) -> VirtualHost:
    forward = Forward(tuple(WeightedCluster(cluster, weight) for cluster, weight in clusters))
    tagged = Route(RouteMatch("/tagged"), Forward((WeightedCluster("default/tagged"),)))
    return VirtualHost(name, (name, name.removesuffix(".cluster.local")), (tagged, Route(RouteMatch("/"), forward)))


SNAPSHOT = Snapshot(
    version="1",
    route_tables=(
        RouteTable("public", (host(HELLO, ("default/other", 1)),)),
        RouteTable(
            "local",
            (
                host(HELLO, ("default/hello-1", 1)),
                host(SPLIT, ("default/split-1", 3), ("default/split-2", 1)),
                VirtualHost(GONE, (GONE,), (Route(RouteMatch("/"), DirectResponse(404)),)),
            ),
        ),
    ),
)


def test_a_host_leads_to_its_revision_and_a_split_to_its_shares() -> None:
    waiting = [(f"http://{HELLO}/a", 3), ("http://hello.default.svc", 2), (f"http://{SPLIT}", 8)]
    assert demand(waiting, SNAPSHOT) == {"default/hello-1": 5.0, "default/split-1": 6.0, "default/split-2": 2.0}


def test_what_no_revision_serves_is_left_out() -> None:
    waiting = [("http://192.0.2.1:8080/", 4), (f"http://{GONE}", 4), ("http://no.where.svc", 1), (f"http://{HELLO}", 0)]
    assert demand(waiting, SNAPSHOT) == {}
