"""Circuit breakers: what is refused at once, what waits, and what is counted. Virtual time."""

from __future__ import annotations

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener, WireProtocol
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.requests import GET, OK, TWO, status
from tests.unit.core.test_bolt import error, request
from tests.unit.core.test_retries import counters, flags


def mesh_with(cluster: Cluster) -> Playbook:
    return Playbook(snapshot(cluster, listener=Listener("in", "", "t", access_log="log")))


def test_requests_beyond_the_limit_are_refused_at_once() -> None:
    mesh = mesh_with(Cluster("up", TWO[:1], max_requests=1))
    one, two = mesh.connect(), mesh.connect()
    one.says(GET)
    server = mesh.dialled()
    assert counters(mesh)["circuit_breakers_default_rq_open"] == 1
    two.says(GET)
    heard = two.takes()
    assert heard.startswith(b"HTTP/1.1 503 ") and heard.endswith(b"reset reason: overflow") and flags(mesh) == ["UO"]
    assert counters(mesh)["upstream_rq_active_overflow"] == 1
    server.says(OK)
    two.says(GET)
    server.says(OK)
    assert status(two) == 200 and counters(mesh)["circuit_breakers_default_rq_open"] == 0


def test_who_waits_for_a_connection_counts_from_the_first_on() -> None:
    mesh = mesh_with(Cluster("up", TWO[:1], max_pending=1))
    one, two = mesh.connect(), mesh.connect()
    one.says(GET)
    assert counters(mesh)["circuit_breakers_default_rq_pending_open"] == 1
    two.says(GET)
    assert status(two) == 503 and flags(mesh) == ["UO"] and len(mesh.dials) == 1
    server = mesh.dialled()
    two.says(GET)
    assert len(mesh.dials) == 1 and two.heard == b"", "the first waits no more"
    server.says(OK)
    assert status(one) == 200


def test_beyond_their_connections_requests_wait_within_a_limit() -> None:
    mesh = mesh_with(Cluster("up", TWO[:1], max_connections=1, max_pending=1))
    clients = [mesh.connect() for _ in range(3)]
    clients[0].says(GET)
    server = mesh.dialled()
    clients[1].says(GET)
    clients[2].says(GET)
    assert status(clients[2]) == 503 and not mesh.dials
    counted = counters(mesh)
    assert (counted["circuit_breakers_default_cx_open"], counted["upstream_cx_overflow"]) == (1, 1)
    server.says(OK)
    server.says(OK)
    assert [status(client) for client in clients[:2]] == [200, 200]


def test_an_endpoint_without_a_connection_gets_one_whatever_the_others_have() -> None:
    mesh = mesh_with(Cluster("up", TWO, max_connections=1))
    for _ in range(4):
        mesh.connect().says(GET)
    assert sorted(peer.address for peer in mesh.dials) == [endpoint.address for endpoint in TWO]


def test_streams_that_wait_for_one_connection_are_counted_one_by_one() -> None:
    mesh = mesh_with(Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2, max_pending=2))
    clients = [mesh.connect() for _ in range(3)]
    for client in clients:
        client.says(GET)
    assert len(mesh.dials) == 1 and status(clients[2]) == 503
    server = Http2Peer(mesh.dialled(), is_client=False)
    assert counters(mesh)["upstream_rq_pending_active"] == 0
    for stream in (1, 3):
        server.respond(stream)
    assert [status(client) for client in clients[:2]] == [200, 200]


def test_a_bolt_caller_is_told_busy() -> None:
    mesh = mesh_with(Cluster("up", TWO[:1], protocol=WireProtocol.BOLT, max_requests=1))
    caller = mesh.connect()
    caller.says(request(1) + request(2))
    caller.hears(error(2, 4))


def test_where_requests_have_a_queue_the_limit_lets_them_wait() -> None:
    mesh = mesh_with(Cluster("up", TWO[:1], max_requests=1, hold=True))
    one, two = mesh.connect(), mesh.connect()
    one.says(GET)
    two.says(GET)
    server = mesh.dialled()
    server.says(OK)
    server.says(OK)
    assert (status(one), status(two)) == (200, 200)
