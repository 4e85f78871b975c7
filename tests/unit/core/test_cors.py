"""Requests of pages from other origins: who may read what comes, and preflights. Virtual time."""

from __future__ import annotations

import dataclasses
import json

import pytest

from eventmesh.model.match import RouteMatch, TextKind, TextMatch
from eventmesh.model.policy import Cors, Filters
from eventmesh.model.route import DirectResponse, HeaderEdits, Route
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, forward, snapshot

OURS = TextMatch(TextKind.SUFFIX, ".shop.test")
CORS = Cors((OURS,), "GET, PUT", "x-token", "x-total", "600", credentials=True)
ORIGIN = "https://www.shop.test"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def mesh_with(cors: Cors, **fields: object) -> Playbook:
    route = dataclasses.replace(forward("up"), filters=Filters(cors=cors), **fields)  # type: ignore[arg-type]
    answer = Route(RouteMatch("/answer"), DirectResponse(200, "hi"), filters=Filters(cors=cors))
    return Playbook(snapshot(routes=(answer, route)))


def request(method: str, path: str = "/", **fields: str) -> bytes:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\nHost: h\r\n{head}\r\n".encode()


def test_a_preflight_of_an_allowed_origin_is_answered_here() -> None:
    mesh = mesh_with(CORS)
    client = mesh.connect()
    client.says(request("OPTIONS", origin=ORIGIN, access_control_request_method="PUT"))
    client.hears(
        b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://www.shop.test\r\n"
        b"access-control-allow-credentials: true\r\naccess-control-allow-methods: GET, PUT\r\n"
        b"access-control-allow-headers: x-token\r\naccess-control-max-age: 600\r\n"
        b"access-control-expose-headers: x-total\r\ncontent-length: 0\r\n\r\n"
    )
    assert not mesh.dials
    rows = json.loads(mesh.engine.stats())["counters"]
    assert ["envoy_http_cors_origin_valid", {"envoy_http_conn_manager_prefix": "in"}, 1] in rows


def test_an_answer_says_who_may_read_it_whatever_the_endpoint_said() -> None:
    mesh = mesh_with(CORS)
    client = mesh.connect()
    client.says(request("GET", origin=ORIGIN))
    server = mesh.dialled()
    server.says(OK.replace(b"\r\n\r\n", b"\r\nAccess-Control-Allow-Origin: *\r\n\r\n"))
    heard = client.takes()
    assert heard.count(b"access-control-allow-origin") == 1
    assert b"access-control-allow-origin: https://www.shop.test\r\n" in heard
    assert b"access-control-expose-headers: x-total\r\n" in heard and b"allow-credentials: true" in heard
    assert b"allow-methods" not in heard


@pytest.mark.parametrize("fields", [{}, {"origin": "https://evil.test"}, {"origin": ""}])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_other_origins_and_other_requests_are_passed_on_untouched(method: str, fields: dict[str, str]) -> None:
    mesh = mesh_with(CORS)
    client = mesh.connect()
    client.says(request(method, access_control_request_method="PUT", **fields))
    mesh.dialled().says(OK)
    assert b"access-control" not in client.takes()


def test_options_without_a_wish_is_no_preflight() -> None:
    mesh = mesh_with(CORS)
    client = mesh.connect()
    client.says(request("OPTIONS", origin=ORIGIN))
    mesh.dialled().says(OK)
    assert b"access-control-allow-origin: https://www.shop.test" in client.takes()


def test_answers_of_the_mesh_say_it_too() -> None:
    mesh = mesh_with(CORS)
    client = mesh.connect()
    client.says(request("GET", "/answer", origin=ORIGIN))
    assert b"access-control-allow-origin: https://www.shop.test" in client.takes()
    client.says(request("GET", origin=ORIGIN))
    mesh.dialled().vanishes()
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 503 ") and b"access-control-allow-origin: https://www.shop.test" in heard


def test_a_condition_that_a_star_meets_allows_all() -> None:
    mesh = mesh_with(Cors((TextMatch(TextKind.EXACT, "*"),)))
    client = mesh.connect()
    client.says(request("GET", origin="https://any.test"))
    mesh.dialled().says(OK)
    heard = client.takes()
    assert b"access-control-allow-origin: https://any.test" in heard and b"credentials" not in heard


def test_http2_callers_are_told_too_and_edits_of_the_request_change_nothing() -> None:
    mesh = mesh_with(CORS, request_headers=HeaderEdits(append=(("x-more", "1"),)))
    client = Http2Peer(mesh.connect(), is_client=True)
    fields = (("origin", ORIGIN), ("access-control-request-method", "GET"))
    stream = client.request("/", method="OPTIONS", fields=fields, body=b"")
    assert client.streams[stream].head["access-control-allow-origin"] == ORIGIN
    stream = client.request("/", fields=(("origin", ORIGIN),), body=b"")
    mesh.dialled().says(OK)
    client.exchange()
    assert client.streams[stream].head["access-control-allow-origin"] == ORIGIN


def test_what_cannot_be_is_refused_by_field() -> None:
    for cors, field in (
        (Cors((TextMatch(TextKind.REGEX, "("),)), "cors.origins"),
        (Cors(methods="GET\n"), "cors.methods"),
    ):
        with pytest.raises(ValueError, match=f"filters.{field}"):
            mesh_with(cors)
