"""HTTP/1.1 through the engine, message by message."""

from __future__ import annotations

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import HeaderEdits, Route
from tests.unit.core.playbook import Playbook, forward, snapshot

GET = b"GET /a?b HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n\r\n"
GET_UP = b"GET /a?b HTTP/1.1\r\nhost: h\r\nx-request-id: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
OK_DOWN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


def test_a_request_goes_up_and_its_response_comes_down() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled("10.0.0.1:80")
    upstream.hears(GET_UP)
    upstream.says(OK)
    client.hears(OK_DOWN)
    assert mesh.engine.active() == 0


def test_connections_are_kept_on_both_sides() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    for _ in range(3):
        upstream.hears(GET_UP)
        upstream.says(OK)
        client.hears(OK_DOWN)
        client.says(GET)
    assert not mesh.dials


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_a_request_cut_anywhere_is_the_same_request(cut: int) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET[:cut])
    assert not mesh.dials
    client.says(GET[cut:])
    mesh.dialled().hears(GET_UP)


def test_pipelined_requests_are_answered_in_order() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET.replace(b"/a", b"/1") + GET.replace(b"/a", b"/2"))
    upstream = mesh.dialled()
    upstream.hears(GET_UP.replace(b"/a", b"/1"))
    upstream.says(OK)
    upstream.hears(GET_UP.replace(b"/a", b"/2"))
    upstream.says(OK)
    client.hears(OK_DOWN * 2)


def test_bodies_stream_both_ways() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    upstream = mesh.dialled()
    head = b"POST / HTTP/1.1\r\nhost: h\r\nx-request-id: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    upstream.hears(head + b"3\r\nabc\r\n")
    upstream.says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
    client.hears(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
    client.says(b"1\r\nd\r\n0\r\nT: 1\r\n\r\n")
    upstream.hears(b"1\r\nd\r\n0\r\nt: 1\r\n\r\n")
    upstream.says(b"0\r\nU: 2\r\n\r\n")
    client.hears(b"0\r\nu: 2\r\n\r\n")
    assert mesh.engine.active() == 0


def test_a_body_until_close_becomes_chunks() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(b"HTTP/1.0 200 OK\r\n\r\nabc")
    upstream.half_closes()
    client.hears(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert upstream.events == ["close"] and client.events == []


def test_an_http10_client_gets_no_chunks_and_no_interim_responses() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
    upstream = mesh.dialled()
    upstream.says(
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    client.hears(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nx")
    assert client.events == ["close"]


@pytest.mark.parametrize(
    ("request_line", "response", "down"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (
            b"GET",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
        ),
    ],
)
def test_responses_without_body_end_at_their_head(request_line: bytes, response: bytes, down: bytes) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET.replace(b"GET", request_line))
    mesh.dialled().says(response)
    client.hears(down)
    assert mesh.engine.active() == 0


def test_continue_is_passed_before_the_body() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    upstream = mesh.dialled()
    assert b"expect: 100-continue\r\n" in upstream.takes()
    upstream.says(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.hears(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.says(b"ab")
    upstream.hears(b"ab")


def test_websocket_bytes_pass_opaquely_until_both_sides_close() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    upstream = mesh.dialled()
    assert upstream.takes().endswith(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    upstream.says(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01a")
    assert client.takes().endswith(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n\x81\x01a")
    client.says(b"\r\n\r\n\x00")
    upstream.hears(b"\r\n\r\n\x00")
    mesh.passes(60)
    client.half_closes()
    assert upstream.events == ["shutdown"]
    upstream.says(b"last")
    client.hears(b"last")
    upstream.half_closes()
    assert client.events[-1] == "close" and upstream.events[-1] == "close" and mesh.engine.active() == 0


def test_an_upgrade_to_http2_is_not_tunnelled() -> None:
    mesh = Playbook()
    client = mesh.connect()
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n" + upgrade + b"\r\n")
    mesh.dialled().hears(b"GET / HTTP/1.1\r\nhost: h\r\nx-request-id: 1\r\n\r\n")


@pytest.mark.parametrize(
    "smuggled",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"Content-Length: 3, 3\r\n\r\nabc",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b" Folded: yes\r\n\r\n",
        b"X: a\x00b\r\n\r\n",
        b"X: a\rY: b\r\n\r\n",
        b"X: a\nY: b\r\n\r\n",
        b"Host: other\r\n\r\n",
    ],
)
def test_what_two_parsers_may_read_differently_goes_nowhere(smuggled: bytes) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\n" + smuggled + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
    heard = client.takes()
    assert heard.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")) and heard.count(b"HTTP/1.1") == 1
    assert b"connection: close\r\n" in heard and "shutdown" in client.events
    assert not mesh.dials
    mesh.passes(2)
    assert client.events[-1] == "close"


@pytest.mark.parametrize("chunk", [b"g\r\n", b"1;\x00\r\n", b"1\nx", b"2\r\nabc\r\n", b"10000000000000000\r\n"])
def test_a_bad_chunk_ends_both_connections(chunk: bytes) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    upstream = mesh.dialled()
    client.says(chunk)
    assert client.takes().startswith(b"HTTP/1.1 400 ")
    assert upstream.events == ["abort"] and mesh.engine.active() == 0


def test_heads_are_bounded() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", max_head_bytes=200, max_head_count=3)))
    client = mesh.connect()
    client.says(b"GET /" + b"a" * 200)
    assert client.takes().startswith(b"HTTP/1.1 431 ")
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n")
    assert client.takes().startswith(b"HTTP/1.1 431 ")


def test_connect_is_refused() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n")
    assert client.takes().startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ],
)
def test_a_malformed_response_is_502_and_its_connection_is_not_used_again(response: bytes) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(response)
    assert client.takes().startswith(b"HTTP/1.1 502 ")
    assert upstream.events and upstream.events[-1] in ("close", "abort")
    client.says(GET)
    assert mesh.dialled() is not upstream


def test_an_early_answer_to_a_long_body_closes_gently() -> None:
    mesh = Playbook(snapshot(Cluster("up")))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\nabc")
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 503 ") and b"connection: close" in heard
    assert client.events == ["shutdown"]
    client.says(b"x" * 1000)
    client.half_closes()
    assert client.events == ["shutdown", "close"]


def test_an_early_answer_to_a_short_body_keeps_the_connection() -> None:
    mesh = Playbook(snapshot(Cluster("up")))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" * 2)
    heard = client.takes()
    assert heard.count(b"HTTP/1.1 503 ") == 2 and b"no healthy upstream" in heard and client.events == []


def test_via_and_request_id_are_added() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", via="gateway")))
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 x\r\ntraceparent: 00-a-b-01\r\n\r\n")
    upstream = mesh.dialled()
    heard = upstream.takes()
    assert b"via: 1.0 x, 1.1 gateway\r\n" in heard and b"\r\nx-request-id: " in heard
    assert b"traceparent: 00-a-b-01\r\n" in heard
    upstream.says(OK)
    assert b"via: 1.1 gateway\r\n" in client.takes()


def test_an_edge_tells_who_the_client_is_whatever_it_claims() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", use_remote_address=True)))
    claims = b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n"
    mesh.connect().says(b"GET / HTTP/1.1\r\nHost: h\r\n" + claims + b"\r\n")
    heard = mesh.dialled().takes()
    assert b"\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 10.9.9.9\r\n" in heard
    assert b"\r\nx-forwarded-proto: http\r\n" in heard and b"https" not in heard and b"forwarded: " not in heard


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: http\r\n", b"\r\nforwarded: for=1.1.1.1;proto=http\r\n"),
        (b"X-Forwarded-For: 1.1.1.1\r\nForwarded: for=3.3.3.3\r\n", b"\r\nforwarded: for=3.3.3.3\r\n"),
    ],
)
def test_a_sidecar_says_it_the_standard_way_unless_somebody_has(said: bytes, told: bytes) -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", forwarded_header=True)))
    mesh.connect().says(b"GET / HTTP/1.1\r\nHost: h\r\n" + said + b"\r\n")
    heard = mesh.dialled().takes()
    assert told in heard and heard.count(b"\r\nforwarded: ") == 1


def test_header_edits_apply_both_ways() -> None:
    plain = forward("up")
    edited = Route(
        RouteMatch(),
        plain.action,
        request_headers=HeaderEdits(set=(("x-set", "1"),), remove=("x-request-id",)),
        response_headers=HeaderEdits(append=(("x-back", "2"),)),
    )
    mesh = Playbook(snapshot(routes=(edited,)))
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    assert b"x-set: 1\r\n" in upstream.takes()
    upstream.says(OK)
    assert b"x-back: 2\r\n" in client.takes()


def test_a_slow_client_pauses_its_upstream_and_no_other() -> None:
    mesh = Playbook(snapshot(Cluster("up", (Endpoint("10.0.0.1:80"),))))
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    client.is_writable(False)
    upstream.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
    assert upstream.events == ["pause"]
    client.is_writable(True)
    assert upstream.events == ["pause", "resume"]


def test_a_slow_upstream_pauses_its_client() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
    assert client.events == ["pause"]
    upstream = mesh.dialled()
    assert client.events == ["pause", "resume"] and len(upstream.takes()) > 100_000
    upstream.is_writable(False)
    client.says(b"x" * 100_000)
    assert client.events[-1] == "pause"
    upstream.is_writable(True)
    assert client.events[-1] == "resume"


def test_an_idle_connection_that_sends_bytes_is_closed() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    upstream.says(OK)
    assert upstream.events == ["close"]


# ---- limits of the core, each at its breach


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 61_440,
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(101)) + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17,
    ],
    ids=["head bytes", "head fields", "interim responses"],
)
def test_response_heads_are_bounded(response: bytes) -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    mesh.dialled().says(response)
    assert b"HTTP/1.1 502 " in client.takes() and mesh.engine.active() == 0


def test_trailers_are_bounded() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: " + b"a" * 61_440)
    assert client.takes().startswith(b"HTTP/1.1 431 ")


def test_a_chunk_size_line_is_bounded() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 256)
    assert client.takes().startswith(b"HTTP/1.1 400 ")


def test_pipelined_bytes_are_bounded_by_a_pause() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET + GET + b"x" * 70_000)
    assert client.events == ["pause"]
    upstream = mesh.dialled()
    upstream.says(OK)
    upstream.says(OK)
    assert b"HTTP/1.1 431 " in client.takes(), "what was kept is read at last"


def test_what_is_thrown_away_after_an_early_answer_is_bounded() -> None:
    mesh = Playbook(snapshot(Cluster("up")))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.takes().startswith(b"HTTP/1.1 503 ") and client.events == []
    for _ in range(2):
        client.says(b"A000\r\n" + b"x" * 0xA000 + b"\r\n")
    assert client.events == ["shutdown"]
