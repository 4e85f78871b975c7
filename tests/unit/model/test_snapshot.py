"""The JSON the core reads says the whole snapshot, and costs only what has changed."""

from __future__ import annotations

import dataclasses
import json

import pytest

from eventmesh.model import snapshot as subject
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import HeaderMatch, RouteMatch, TextKind
from eventmesh.model.route import DirectResponse, Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import MANY_ROUTES, CoreEncoder, Snapshot

ROUTES = (
    Route(RouteMatch("/a", headers=(HeaderMatch("x", TextKind.EXACT, "y"),)), Forward((WeightedCluster("c"),))),
    Route(RouteMatch(), DirectResponse(404, 'no "such" thing')),
)
SNAPSHOT = Snapshot(
    "v1",
    (Listener("in", "127.0.0.1:80", "t", WireProtocol.BOLT),),
    (RouteTable("t", (VirtualHost("h", ("*",), ROUTES),)),),
    tuple(Cluster(f"c{n}", (Endpoint("10.0.0.1:80"),)) for n in range(3)),
)


def test_every_value_is_in_the_json() -> None:
    document = json.loads(SNAPSHOT.to_core())
    assert (document["version"], document["listeners"][0]["protocol"]) == ("v1", "bolt")
    first, second = document["route_tables"][0]["virtual_hosts"][0]["routes"]
    assert first["match"]["headers"] == [
        {"name": "x", "kind": "exact", "value": "y", "invert": False, "ignore_case": False}
    ]
    assert first["action"]["forward"]["clusters"][0]["name"] == "c"
    assert second["action"] == {"direct_response": {"status": 404, "body": 'no "such" thing'}}
    assert [cluster["name"] for cluster in document["clusters"]] == ["c0", "c1", "c2"]


def test_an_empty_snapshot_is_json_too() -> None:
    empty = {"version": "", "listeners": [], "route_tables": [], "clusters": []}
    assert json.loads(Snapshot("").to_core()) == empty


def test_only_what_changed_is_encoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = CoreEncoder()
    encoder.encode(SNAPSHOT)
    fresh: list[object] = []
    encode = subject._json

    def counting(part: object) -> str:
        fresh.append(part)
        return encode(part)

    monkeypatch.setattr(subject, "_json", counting)
    changed = dataclasses.replace(SNAPSHOT.clusters[1], endpoints=(Endpoint("10.0.0.2:80"),))
    clusters = (SNAPSHOT.clusters[0], changed, SNAPSHOT.clusters[2])
    after = dataclasses.replace(SNAPSHOT, version="v2", clusters=clusters)
    data = encoder.encode(after)
    assert fresh == [changed]
    monkeypatch.undo()
    assert data == after.to_core()


def _hosts(count: int, routes: int) -> tuple[VirtualHost, ...]:
    return tuple(
        VirtualHost(
            f"h{n}", (f"h{n}.test",), tuple(Route(RouteMatch(f"/{r}"), DirectResponse(200)) for r in range(routes))
        )
        for n in range(count)
    )


@pytest.mark.parametrize(("hosts", "routes"), [(20, 2), (1, 3 * MANY_ROUTES), (3, MANY_ROUTES)])
def test_a_changed_host_or_route_is_encoded_alone(hosts: int, routes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = CoreEncoder()
    before = Snapshot("", route_tables=(RouteTable("t", _hosts(hosts, routes)), RouteTable("other", _hosts(2, 2))))
    encoder.encode(before)
    fresh: list[object] = []
    encode = subject._json

    def counting(part: object) -> str:
        fresh.append(part)
        return encode(part)

    monkeypatch.setattr(subject, "_json", counting)
    table = before.route_tables[0]
    route = Route(RouteMatch("/new"), DirectResponse(204))
    changed = dataclasses.replace(table.virtual_hosts[0], routes=(*table.virtual_hosts[0].routes, route))
    after = Snapshot("", route_tables=(RouteTable("t", (changed, *table.virtual_hosts[1:])), *before.route_tables[1:]))
    data = encoder.encode(after)
    many = [dataclasses.replace(host, routes=()) for host in (changed, *table.virtual_hosts[1:])]
    assert fresh == ([route, *many] if routes >= MANY_ROUTES else [changed])
    monkeypatch.undo()
    # As one table after the other says itself, without the pieces.
    assert json.loads(data)["route_tables"] == [json.loads(encode(table)) for table in after.route_tables]
