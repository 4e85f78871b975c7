"""Rate limits, faults on purpose, and answers of the mesh with the edits of their routes. Virtual time."""

from __future__ import annotations

import dataclasses
import json

import pytest

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import Fault, Filters, RateLimit
from eventmesh.model.route import DirectResponse, HeaderEdits, Redirect, Route
from eventmesh.model.share import MILLION
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, TWO, status
from tests.unit.core.test_bolt import error, request
from tests.unit.core.test_retries import flags

LIMIT = RateLimit(max_tokens=2, tokens_per_fill=1, fill_interval_s=1.0)
GRPC = (("content-type", "application/grpc"), ("te", "trailers"))


def mesh_with(
    filters: Filters | None = None, *, of_route: Filters | None = None, cluster: Cluster | None = None
) -> Playbook:
    listener = Listener("in", "", "t", access_log="log", filters=filters)
    cluster = cluster or Cluster("up", TWO[:1])
    route = dataclasses.replace(forward("up"), filters=of_route)
    return Playbook(snapshot(cluster, routes=(route,), listener=listener))


def counters(mesh: Playbook) -> dict[str, int]:
    """Return what is counted of the filters of the listener."""
    rows = json.loads(mesh.engine.stats())["counters"]
    return {
        name.removeprefix("envoy_http_"): value
        for name, labels, value in rows
        if "http_fault" in name or "http_local" in name
    }


def statuses(mesh: Playbook, times: int) -> list[int]:
    """Ask so many times, one after the other; the server answers whatever reaches it."""
    found = []
    for _ in range(times):
        client = mesh.connect()
        client.says(GET)
        for server in [mesh.dialled() for _ in list(mesh.dials)] + [p for p in mesh.peers.values() if p.heard]:
            if server.address != "client" and server.takes():
                server.says(OK)
        found.append(status(client))
    return found


def test_requests_beyond_the_limit_are_refused_until_tokens_come() -> None:
    mesh = mesh_with(Filters(rate_limit=LIMIT))
    assert statuses(mesh, 4) == [200, 200, 429, 429] and flags(mesh) == ["-", "-", "RL", "RL"]
    mesh.passes(1)
    assert statuses(mesh, 2) == [200, 429]
    assert counters(mesh) == {
        "local_rate_limit_enabled": 6,
        "local_rate_limit_ok": 3,
        "local_rate_limit_rate_limited": 3,
        "local_rate_limit_enforced": 3,
    }


@pytest.mark.parametrize(("words", "passed"), [(16, 2), (2, 4)], ids=["with room", "full"])
def test_engines_that_share_memory_empty_one_bucket_while_it_has_room(words: int, passed: int) -> None:
    memory = memoryview(bytearray(8 * words)).cast("Q")
    meshes = [mesh_with(Filters(rate_limit=LIMIT)) for _ in range(2)]
    other = mesh_with(of_route=Filters(rate_limit=LIMIT))
    for mesh in (other, *meshes):
        mesh.engine.share_limits(memory)
    assert statuses(other, 3).count(200) == 2  # takes the only place of the small memory
    assert sum(statuses(mesh, 1).count(200) for mesh in meshes * 3) == passed


@pytest.mark.parametrize("memory", [bytes(16), bytearray(16), memoryview(bytearray(8)).cast("Q")])
def test_limits_are_not_kept_in_what_cannot_hold_them(memory: memoryview) -> None:
    with pytest.raises(ValueError, match="memory: expected a writable"):
        Playbook().engine.share_limits(memory)


def test_a_limit_of_a_route_is_in_place_of_the_listeners() -> None:
    mesh = mesh_with(Filters(rate_limit=LIMIT), of_route=Filters(rate_limit=dataclasses.replace(LIMIT, max_tokens=3)))
    assert statuses(mesh, 4) == [200, 200, 200, 429]
    mesh = mesh_with(Filters(rate_limit=LIMIT), of_route=Filters(fault=Fault(abort_millionths=MILLION)))
    assert statuses(mesh, 3) == [503, 503, 429], "what the route does not say is the listener's"


def test_a_limit_stands_over_a_new_configuration() -> None:
    mesh = mesh_with(Filters(rate_limit=LIMIT))
    statuses(mesh, 2)
    mesh.apply(snapshot(Cluster("up", TWO[:1]), listener=Listener("in", "", "t", filters=Filters(rate_limit=LIMIT))))
    assert statuses(mesh, 1) == [429]


def test_what_is_not_enforced_is_only_counted() -> None:
    mesh = mesh_with(Filters(rate_limit=dataclasses.replace(LIMIT, enforced_millionths=0)))
    assert statuses(mesh, 4) == [200] * 4
    counted = counters(mesh)
    assert counted["local_rate_limit_rate_limited"] == 2 and "local_rate_limit_enforced" not in counted
    assert statuses(mesh_with(Filters(rate_limit=dataclasses.replace(LIMIT, enabled_millionths=0))), 4) == [200] * 4


@pytest.mark.parametrize(("exhausted", "told"), [(False, "14"), (True, "8")])
def test_a_grpc_caller_is_told_by_its_status(exhausted: bool, told: str) -> None:
    limit = dataclasses.replace(LIMIT, max_tokens=1, resource_exhausted=exhausted)
    mesh = mesh_with(Filters(rate_limit=limit), cluster=Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2))
    client = Http2Peer(mesh.connect(), is_client=True)
    client.request("/s/m", method="POST", fields=GRPC, body=b"")
    stream = client.request("/s/m", method="POST", fields=GRPC, body=b"")
    assert client.streams[stream].head["grpc-status"] == told
    assert client.streams[stream].head["grpc-message"] == "local_rate_limited"


def test_a_bolt_caller_is_told_busy() -> None:
    cluster = Cluster("up", TWO[:1], protocol=WireProtocol.BOLT)
    mesh = mesh_with(of_route=Filters(rate_limit=dataclasses.replace(LIMIT, max_tokens=1)), cluster=cluster)
    caller = mesh.connect()
    caller.says(request(1) + request(2))
    caller.hears(error(2, 4))


def test_a_delay_comes_before_anything_is_sent() -> None:
    mesh = mesh_with(Filters(fault=Fault(delay_s=2.0, delay_millionths=MILLION)))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\nContent-Length: 4\r\n\r\nab")
    mesh.passes(1.9)
    assert not mesh.dials
    client.says(b"cd")
    mesh.passes(0.2)
    server = mesh.dialled()
    assert server.takes().endswith(b"\r\n\r\nabcd")
    mesh.passes(14.8)
    assert client.heard == b"", "the route's time runs from the end of the delay"
    server.says(OK)
    assert status(client) == 200 and flags(mesh) == ["DI"] and counters(mesh) == {"fault_delays_injected": 1}


def test_who_leaves_during_a_delay_is_forgotten() -> None:
    mesh = mesh_with(Filters(fault=Fault(delay_s=2.0, delay_millionths=MILLION)))
    client = mesh.connect()
    client.says(GET)
    client.vanishes()
    mesh.passes(5)
    assert not mesh.dials and mesh.engine.active() == 0


def test_a_fault_answers_its_share_of_the_requests() -> None:
    mesh = mesh_with(Filters(fault=Fault(abort_status=418, abort_millionths=MILLION // 4)))
    counted = statuses(mesh, 200)
    assert 30 < counted.count(418) < 70 and counted.count(200) == 200 - counted.count(418)
    assert set(flags(mesh)) == {"-", "FI"} and counters(mesh)["fault_aborts_injected"] == counted.count(418)


def test_a_delay_can_be_followed_by_a_fault() -> None:
    mesh = mesh_with(Filters(fault=Fault(1.0, MILLION, 503, MILLION)))
    client = mesh.connect()
    client.says(GET)
    mesh.passes(0.9)
    assert client.heard == b""
    mesh.passes(0.2)
    assert client.takes().endswith(b"fault filter abort") and not mesh.dials


def test_faults_are_told_in_the_caller_s_protocol() -> None:
    fault = Filters(fault=Fault(abort_status=503, abort_millionths=MILLION))
    mesh = mesh_with(fault, cluster=Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2))
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/s/m", method="POST", fields=GRPC, body=b"")
    assert client.streams[stream].head["grpc-status"] == "14"
    mesh = mesh_with(of_route=fault, cluster=Cluster("up", TWO[:1], protocol=WireProtocol.BOLT))
    caller = mesh.connect()
    caller.says(request(1))
    assert caller.takes()[10:12] == b"\0\4"


def test_answers_of_the_mesh_carry_the_edits_of_their_route() -> None:
    edits = HeaderEdits(
        set=(("x-set", "1"), ("content-type", "application/json")), append=(("x-add", "2"),), remove=("location",)
    )
    routes = (
        Route(RouteMatch("/r"), Redirect(302, host="o"), response_headers=HeaderEdits(set=(("x-moved", "yes"),))),
        Route(RouteMatch("/d"), DirectResponse(200, "{}"), response_headers=edits),
    )
    mesh = Playbook(snapshot(routes=routes))
    client = mesh.connect()
    client.says(b"GET /d HTTP/1.1\r\nHost: h\r\n\r\n")
    client.hears(
        b"HTTP/1.1 200 OK\r\nx-set: 1\r\ncontent-type: application/json\r\nx-add: 2\r\ncontent-length: 2\r\n\r\n{}"
    )
    client.says(b"GET /r HTTP/1.1\r\nHost: h\r\n\r\n")
    client.hears(b"HTTP/1.1 302 Found\r\nlocation: http://o/r\r\nx-moved: yes\r\ncontent-length: 0\r\n\r\n")
    second = Http2Peer(mesh.connect(), is_client=True)
    stream = second.request("/d", body=b"")
    assert second.streams[stream].head["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        (Filters(fault=Fault(delay_s=3601.0)), "fault.delay_s"),
        (Filters(fault=Fault(delay_s=-1.0)), "fault.delay_s"),
        (Filters(fault=Fault(abort_status=100)), "fault.abort_status"),
        (Filters(rate_limit=dataclasses.replace(LIMIT, max_tokens=0)), "rate_limit: max_tokens"),
        (Filters(rate_limit=dataclasses.replace(LIMIT, fill_interval_s=0.0)), "rate_limit.fill_interval_s"),
        (Filters(rate_limit=dataclasses.replace(LIMIT, status=600)), "rate_limit.status"),
    ],
)
def test_what_cannot_be_is_refused_by_field(filters: Filters, field: str) -> None:
    with pytest.raises(ValueError, match=f"filters.{field}"):
        mesh_with(filters)
    with pytest.raises(ValueError, match=f"filters.{field}"):
        mesh_with(of_route=filters)
