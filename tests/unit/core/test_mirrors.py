"""Copies of requests: what they hold, when they are sent, and that nobody else notices. Virtual time."""

from __future__ import annotations

import json

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Mirror, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook
from tests.unit.core.requests import OK, status
from tests.unit.core.test_bolt import id_of
from tests.unit.core.test_bolt import request as bolt_request
from tests.unit.core.test_bolt import response as bolt_response
from tests.unit.core.test_dubbo import call, value
from tests.unit.core.test_dubbo import id_of as dubbo_id_of

MAIN, COPY = "10.0.0.1:80", "10.0.0.2:80"
MIB = 1024 * 1024


def config(*mirrors: Mirror, protocol: WireProtocol = WireProtocol.HTTP1, copies: Cluster | None = None) -> Snapshot:
    action = Forward((WeightedCluster("up"),), mirrors=mirrors or (Mirror("copies"),))
    host = VirtualHost("any", ("*",), (Route(RouteMatch(), action, name="all"),))
    clusters = (
        Cluster("up", (Endpoint(MAIN),), protocol=protocol),
        copies or Cluster("copies", (Endpoint(COPY),), protocol=protocol),
    )
    listener = Listener("in", "", "t", protocol=WireProtocol.AUTO, via="gateway", access_log="log")
    return Snapshot("1", (listener,), (RouteTable("t", (host,)),), clusters)


def heard_at(mesh: Playbook, address: str) -> Peer | None:
    """Return the connection to an endpoint that has just been written to."""
    for peer in mesh.dials[:]:
        mesh.dialled(peer.address)
    return next((peer for peer in mesh.peers.values() if peer.address == address and peer.heard), None)


def counters(mesh: Playbook, cluster: str) -> dict[str, int]:
    rows = json.loads(mesh.engine.stats())["counters"]
    return {name: value for name, labels, value in rows if labels.get("envoy_cluster_name") == cluster}


def test_a_copy_is_the_request_under_a_marked_host_and_its_answer_goes_nowhere() -> None:
    mesh = Playbook(config())
    client = mesh.connect()
    client.says(b"POST /a?q HTTP/1.1\r\nHost: shop:8080\r\nX-Request-Id: 7\r\nContent-Length: 3\r\n\r\nabc")
    main, copy = heard_at(mesh, MAIN), heard_at(mesh, COPY)
    assert main is not None and copy is not None
    sent = main.takes()
    assert copy.takes() == sent.replace(b"shop:8080", b"shop-shadow:8080")
    copy.says(b"HTTP/1.1 500 Oh\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))
    assert client.heard == b""
    main.says(OK)
    assert status(client) == 200
    assert mesh.engine.active() == 0 and mesh.done == {}
    assert counters(mesh, "copies")["envoy_cluster_upstream_rq_total"] == 1
    assert len(mesh.engine.take_access_log()[0][1].splitlines()) == 1


def test_a_copy_is_sent_when_the_request_is_whole() -> None:
    mesh = Playbook(config())
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    main = heard_at(mesh, MAIN)
    assert main is not None and b"abc" in main.takes() and heard_at(mesh, COPY) is None
    client.says(b"0\r\nx-sum: 1\r\n\r\n")
    copy = heard_at(mesh, COPY)
    assert copy is not None
    assert copy.takes().endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")


@pytest.mark.parametrize("trouble", ["refused", "reset", "silent", "slow"])
def test_trouble_with_a_copy_is_nobodys(trouble: str) -> None:
    mesh = Playbook(config())
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    dials = {peer.address: peer for peer in mesh.dials}
    mesh.dials.clear()
    dials[MAIN].opens()
    if trouble == "refused":
        dials[COPY].refuses()
    elif trouble != "silent":
        dials[COPY].opens()
    if trouble == "reset":
        dials[COPY].vanishes()
    dials[MAIN].says(OK)
    assert status(client) == 200
    mesh.passes(20.0)
    assert mesh.engine.active() == 0
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    main = heard_at(mesh, MAIN)
    assert main is not None
    main.says(OK)
    assert status(client) == 200


def test_a_cluster_without_room_or_endpoint_gets_no_copies_and_holds_nobody_up() -> None:
    for copies in (
        Cluster("copies"),
        Cluster("copies", hold=True),
        Cluster("copies", (Endpoint(COPY),), max_requests_per_endpoint=1),
    ):
        mesh = Playbook(config(copies=copies))
        clients = [mesh.connect() for _ in range(3)]
        for client in clients:
            client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for peer in mesh.dials[:]:
            mesh.dialled(peer.address)
        for peer in list(mesh.peers.values()):
            if peer.address == MAIN:
                peer.says(OK)
        assert [status(client) for client in clients] == [200] * 3
        assert mesh.asked == [], "a function at zero is not woken for copies"


def test_a_request_that_is_refused_is_not_copied() -> None:
    snapshot = config()
    mesh = Playbook(Snapshot("1", snapshot.listeners, snapshot.route_tables, snapshot.clusters[1:]))
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert status(client) == 503 and not mesh.dials


def test_a_client_that_goes_away_in_the_middle_leaves_no_copy() -> None:
    mesh = Playbook(config())
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
    client.vanishes()
    assert heard_at(mesh, COPY) is None and mesh.engine.active() == 0


def test_a_share_of_the_requests_is_copied() -> None:
    mesh = Playbook(config(Mirror("copies", 250_000)))
    client = mesh.connect()
    for _ in range(400):
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for address in (MAIN, COPY):
            peer = heard_at(mesh, address)
            if peer is not None:
                peer.takes()
                peer.says(OK)
        assert status(client) == 200
    assert 60 < counters(mesh, "copies")["envoy_cluster_upstream_rq_total"] < 140


def test_several_clusters_may_get_copies_each_under_its_host() -> None:
    mirrors = (Mirror("copies", host_rewrite="test.shop"), Mirror("copies", marks_host=False), Mirror("nowhere"))
    mesh = Playbook(config(*mirrors))
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
    heard_at(mesh, MAIN)
    heard = [peer.heard for peer in mesh.peers.values() if peer.address == COPY]
    hosts = sorted(line for text in heard for line in text.split(b"\r\n") if line.startswith(b"host:"))
    assert hosts == [b"host: shop", b"host: test.shop"]


def test_a_body_beyond_the_limit_is_not_copied_and_that_is_counted() -> None:
    mesh = Playbook(config())
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (MIB + 1))
    main = heard_at(mesh, MAIN)
    assert main is not None
    for _ in range(16):
        client.says(bytes(MIB // 16))
    client.says(b"x")
    assert len(main.takes()) > MIB
    main.says(OK)
    assert status(client) == 200 and heard_at(mesh, COPY) is None
    assert counters(mesh, "copies")["eventmesh_cluster_mirror_overflow"] == 1


def test_copies_share_one_bound_however_many_requests_there_are() -> None:
    mesh = Playbook(config())
    clients = [mesh.connect() for _ in range(20)]
    for client in clients:
        client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % MIB)
        for peer in mesh.dials[:]:
            mesh.dialled(peer.address)
        for _ in range(15):
            client.says(bytes(MIB // 16))
    for client in clients:
        client.says(bytes(MIB // 16))
    for peer in mesh.dials[:]:
        mesh.dialled(peer.address)
    copied = sum(1 for peer in mesh.peers.values() if peer.address == COPY and len(peer.heard) > MIB)
    # Seventeen times fifteen sixteenths of a MiB are what sixteen MiB hold.
    assert copied == 17
    assert counters(mesh, "copies")["eventmesh_cluster_mirror_overflow"] == 3


def test_an_upgrade_is_not_copied() -> None:
    mesh = Playbook(config())
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert heard_at(mesh, MAIN) is not None and heard_at(mesh, COPY) is None


def test_a_bolt_call_is_copied_under_an_id_of_its_own() -> None:
    mesh = Playbook(config(protocol=WireProtocol.BOLT))
    caller = mesh.connect()
    caller.says(bolt_request(7, b"body"))
    main, copy = heard_at(mesh, MAIN), heard_at(mesh, COPY)
    assert main is not None and copy is not None
    sent, copied = main.takes(), copy.takes()
    assert copied[9:] == sent[9:]
    copy.says(bolt_response(id_of(copied), b"never seen"))
    main.says(bolt_response(id_of(sent)))
    caller.hears(bolt_response(7))
    assert mesh.engine.active() == 0


def test_http2_requests_are_copied_with_their_trailers() -> None:
    mesh = Playbook(config(protocol=WireProtocol.HTTP2))
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/a", method="POST", body=b"abc", fields=[("x-request-id", "7")])
    heard_at(mesh, MAIN)
    (copy,) = (peer for peer in mesh.peers.values() if peer.address == COPY)
    server = Http2Peer(copy, is_client=False)
    (asked,) = server.streams.values()
    assert (asked.head[":authority"], asked.head[":path"], asked.body, asked.ended) == ("h-shadow", "/a", b"abc", True)
    assert stream not in client.streams or not client.streams[stream].ended


def test_a_dubbo_call_is_copied_under_an_id_of_its_own() -> None:
    mesh = Playbook(config(protocol=WireProtocol.DUBBO))
    caller = mesh.connect()
    caller.says(call(7))
    main, copy = heard_at(mesh, MAIN), heard_at(mesh, COPY)
    assert main is not None and copy is not None
    sent, copied = main.takes(), copy.takes()
    assert copied[12:] == sent[12:] == call(7)[12:]
    copy.says(value(dubbo_id_of(copied)))
    main.says(value(dubbo_id_of(sent)))
    caller.hears(value(7))
    assert mesh.engine.active() == 0
