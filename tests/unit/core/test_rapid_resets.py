"""HTTP/2 streams that are opened and given up at once (CVE-2023-44487): what they cost an endpoint and others."""

from __future__ import annotations

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, snapshot

UP = "10.0.0.1:80"
CANCEL = 8


def mesh_to(protocol: WireProtocol) -> Playbook:
    return Playbook(snapshot(Cluster("up", (Endpoint(UP),), protocol=protocol, max_connections=1)))


def client_of(mesh: Playbook) -> Http2Peer:
    client = Http2Peer(mesh.connect(), is_client=True)
    client.exchange()
    return client


def open_and_give_up(client: Http2Peer, streams: int, body: bytes = b"") -> None:
    """Begin that many requests and reset each, all in one read."""
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "h"), (":path", "/")]
    for _ in range(streams):
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, fields, end_stream=not body)
        if body:
            client.h2.send_data(stream, body)
        client.h2.reset_stream(stream, CANCEL)
    client.exchange()


@pytest.mark.parametrize("protocol", [WireProtocol.HTTP1, WireProtocol.HTTP2])
def test_a_request_given_up_in_the_read_that_brought_it_dials_nobody(protocol: WireProtocol) -> None:
    mesh = mesh_to(protocol)
    client = client_of(mesh)
    open_and_give_up(client, 5)
    assert not mesh.dials
    assert mesh.engine.active() == 0
    client.request("/", body=b"")
    assert mesh.dialled(UP)


@pytest.mark.parametrize("body", [b"", b"some"])
def test_a_request_given_up_in_the_read_that_brought_it_leaves_its_connection_to_others(body: bytes) -> None:
    mesh = mesh_to(WireProtocol.HTTP1)
    polite = mesh.connect()
    polite.says(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
    upstream = mesh.dialled(UP)
    assert upstream.takes().startswith(b"GET /1 ")
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    open_and_give_up(client_of(mesh), 5, body)
    upstream.hears(b"")
    polite.says(b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert upstream.takes().startswith(b"GET /2 ")
    assert not mesh.dials
    assert not upstream.events


@pytest.mark.parametrize("body", [b"", b"some"])
def test_a_request_given_up_after_it_has_left_ends_its_connection(body: bytes) -> None:
    mesh = mesh_to(WireProtocol.HTTP1)
    client = client_of(mesh)
    stream = client.request("/1", method="POST")
    upstream = mesh.dialled(UP)
    assert upstream.takes()
    if body:
        client.h2.send_data(stream, body)
    client.reset(stream, CANCEL)
    assert upstream.events == ["abort"]
