"""Exchanges that begin or end in this process: `Serve` and `send`. Virtual time."""

from __future__ import annotations

import pytest

from eventmesh.model.cluster import Cluster
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, Serve
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.requests import OK, TWO, status

# ---- exchanges of this process


def serve(limit: int = 1_048_576) -> Route:
    return Route(RouteMatch(), Serve("h", max_body_bytes=limit), name="served")


def test_a_served_request_is_whole_and_its_reply_goes_down() -> None:
    mesh = Playbook(snapshot(routes=(serve(),)))
    client = mesh.connect()
    client.says(b"POST /p?q HTTP/1.1\r\nHost: h\r\nX-A: \xe9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
    assert not mesh.served
    client.says(b"1\r\nc\r\n0\r\n\r\n")
    ((exchange, handler, request),) = mesh.served
    assert (handler, request.method, request.authority, request.path) == ("h", "POST", "h", "/p?q")
    assert (request.body, request.protocol, request.peer) == (b"abc", "http1", "10.9.9.9:5")
    assert ("x-a", "\xe9") in request.headers
    mesh.reply(exchange, 201, b"done")
    client.hears(b"HTTP/1.1 201 Created\r\nx-by: handler\r\ncontent-length: 4\r\n\r\ndone")
    mesh.reply(exchange, 200)
    assert client.heard == b"" and mesh.engine.active() == 0


@pytest.mark.parametrize("framing", [b"Content-Length: 4\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"])
def test_a_body_too_long_for_its_handler_is_413(framing: bytes) -> None:
    mesh = Playbook(snapshot(routes=(serve(limit=3),)))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\n" + framing)
    assert status(client) == 413 and not mesh.served


def test_a_handler_invites_the_body_of_a_careful_client() -> None:
    mesh = Playbook(snapshot(routes=(serve(),)))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    client.hears(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.says(b"a")
    assert mesh.served[0][2].body == b"a"


def test_a_send_ends_with_its_response() -> None:
    mesh = Playbook()
    exchange = mesh.send("/p", b"abc", "POST")
    upstream = mesh.dialled()
    heard = upstream.takes()
    assert heard.startswith(b"POST /p HTTP/1.1\r\nhost: h\r\n") and heard.endswith(b"content-length: 3\r\n\r\nabc")
    upstream.says(b"HTTP/1.1 202 Accepted\r\nx-a: 1\r\nContent-Length: 2\r\n\r\nhi")
    response = mesh.done[exchange]
    assert (response.status, response.headers, response.body, response.error) == (202, [("x-a", "1")], b"hi", "")


def test_a_send_to_a_handler_of_this_process() -> None:
    mesh = Playbook(snapshot(routes=(serve(),)))
    exchange = mesh.send(body=b"x", method="POST")
    mesh.reply(mesh.served[0][0], 200, b"ok")
    assert (mesh.done[exchange].status, mesh.done[exchange].body) == (200, b"ok")


@pytest.mark.parametrize(
    ("cluster", "terms", "spoil", "expected"),
    [
        (Cluster("up"), {}, "", (503, "no_capacity")),
        (Cluster("up", hold=True), {"hold": False}, "", (503, "no_capacity")),
        (Cluster("up", TWO[:1]), {}, "refuse", (503, "connect_failed")),
        (Cluster("up", TWO[:1]), {}, "vanish", (503, "reset")),
        (Cluster("up", TWO[:1]), {}, "garbage", (502, "protocol_error")),
        (Cluster("up", TWO[:1]), {"timeout_s": 1.0}, "wait", (504, "timeout")),
        (Cluster("up", TWO[:1]), {"max_response_bytes": 1}, "answer", (502, "too_large")),
        (Cluster("other"), {}, "", (503, "no_route")),
    ],
)
def test_a_send_that_fails_says_why(
    cluster: Cluster, terms: dict[str, object], spoil: str, expected: tuple[int, str]
) -> None:
    mesh = Playbook(snapshot(cluster, routes=(forward("up"),)))
    exchange = mesh.send(**terms)  # type: ignore[arg-type]
    if spoil == "refuse":
        mesh.dials.pop().refuses()
    elif spoil:
        upstream = mesh.dialled()
        match spoil:
            case "vanish":
                upstream.vanishes()
            case "garbage":
                upstream.says(b"nonsense\r\n\r\n")
            case "wait":
                mesh.passes(2)
            case _:
                upstream.says(OK)
    response = mesh.done[exchange]
    assert (response.status, response.error) == expected


def test_a_cancelled_send_is_not_heard_of_again() -> None:
    mesh = Playbook()
    exchange = mesh.send()
    upstream = mesh.dialled()
    mesh.do(mesh.engine.cancel(exchange, mesh.now))
    assert upstream.events == ["abort"] and not mesh.done and mesh.engine.active() == 0


def test_what_cannot_be_sent_is_a_value_error() -> None:
    mesh = Playbook()
    with pytest.raises(ValueError, match="header"):
        mesh.engine.send("t", "GET", "h", "/", [("x", "a\r\nb: c")], b"", mesh.now)
    with pytest.raises(ValueError, match="path"):
        mesh.engine.send("t", "GET", "h", "/a b", [], b"", mesh.now)
