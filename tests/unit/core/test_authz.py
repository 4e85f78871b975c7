"""Asking an authorization service: what it is asked, what its answers do, and what becomes of silence. Virtual time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, HeaderValueOptionHeaderAppendAction
from envoy_data_plane.envoy.service.auth.v3 import CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.rpc import Status

from eventmesh.model.access import AccessStep, Off, Policy, Rbac, RuleAction, Rules
from eventmesh.model.authz import (
    AskedByGrpc,
    AskedByHttp,
    AuthzOverride,
    AuthzService,
    CheckedBody,
    ExtAuthz,
    PythonFilter,
)
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import TextKind, TextMatch
from eventmesh.model.policy import Filters
from eventmesh.model.question import Anything, IsText, Metadata, UrlPath
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, status
from tests.unit.core.test_retries import flags

ASKED = "10.0.0.9:80"
SERVER = "10.0.0.1:80"
HTTP = AuthzService("authz", AskedByHttp())
GRPC = AuthzService("authz", AskedByGrpc(metadata=(("x-mesh", "yes"),)))
POST = b"POST /a HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n"
MILLION = 1_000_000
SET = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD


def named(*names: str) -> tuple[TextMatch, ...]:
    return tuple(TextMatch(TextKind.EXACT, name) for name in names)


def mesh_with(
    service: AuthzService = HTTP,
    *,
    of_route: tuple[AccessStep, ...] = (),
    after: tuple[AccessStep, ...] = (),
    before: tuple[AccessStep, ...] = (),
    **terms: Any,
) -> Playbook:
    step = AccessStep("ask", ExtAuthz(service, **terms))
    listener = Listener("in", "10.0.0.8:8443", "t", access_log="log", filters=Filters(access=(*before, step, *after)))
    route = dataclasses.replace(forward("up"), filters=Filters(access=of_route))
    config = snapshot(Cluster("up", (Endpoint(SERVER),)), routes=(route,), listener=listener)
    by_grpc = isinstance(service.by, AskedByGrpc)
    protocol = WireProtocol.HTTP2 if by_grpc else WireProtocol.HTTP1
    other = Cluster("authz", (Endpoint(ASKED),), protocol=protocol)
    return Playbook(dataclasses.replace(config, clusters=(*config.clusters, other)))


def answers(peer: Peer, code: int = 200, body: bytes = b"", **headers: str) -> None:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    peer.says(f"HTTP/1.1 {code} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def counted(mesh: Playbook) -> dict[str, int]:
    rows = json.loads(mesh.engine.stats())["counters"]
    prefix = "envoy_http_ext_authz_"
    return {name.removeprefix(prefix): value for name, _, value in rows if name.startswith(prefix) and value}


def test_a_service_is_asked_by_the_requests_own_head() -> None:
    by = AskedByHttp(prefix="/check", add=(("x-mesh", "yes"), ("x-told", "ours")))
    mesh = mesh_with(AuthzService("authz", by), allowed=named("x-told", "cookie"))
    mesh.connect().says(
        GET.replace(b"/ ", b"/a?b=c ").replace(
            b"x-request-id: 1\r\n", b"authorization: Basic x\r\nx-told: theirs\r\nx-untold: 1\r\ncookie: a=b\r\n"
        )
    )
    mesh.dialled(ASKED).hears(
        b"GET /check/a?b=c HTTP/1.1\r\nhost: h\r\nauthorization: Basic x\r\ncookie: a=b\r\n"
        b"x-mesh: yes\r\nx-told: ours\r\n\r\n"
    )
    assert not mesh.dials, "the request waits"


def test_a_good_answer_sends_the_request_on_with_what_it_says() -> None:
    by = AskedByHttp(upstream=named("x-user"), upstream_append=named("x-request-id"), client_on_success=named("x-told"))
    mesh = mesh_with(AuthzService("authz", by))
    client = mesh.connect()
    client.says(GET.replace(b"\r\n\r\n", b"\r\nx-user: forged\r\nx-gone: 1\r\n\r\n"))
    asked, remove = mesh.dialled(ASKED), "x-gone, host"
    answers(asked, x_user="me", x_request_id="2", x_told="hello", x_other="1", x_envoy_auth_headers_to_remove=remove)
    server = mesh.dialled(SERVER)
    sent = server.takes().decode()
    assert "x-user: me\r\n" in sent and "x-request-id: 2\r\n" in sent and "host: h\r\n" in sent
    assert not any(word in sent for word in ("forged", "x-gone", "x-other", "x-told"))
    server.says(OK)
    assert b"x-told: hello\r\n" in client.takes() and counted(mesh) == {"ok": 1}


def test_a_refusal_is_what_the_service_says() -> None:
    mesh = mesh_with()
    client = mesh.connect()
    client.says(GET)
    answers(mesh.dialled(ASKED), 302, b"log in", location="https://login.test/", set_cookie="a=b", x_why="no")
    head, _, body = client.takes().decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 302 ") and body == "log in"
    assert {"location: https://login.test/", "set-cookie: a=b", "x-why: no"} <= set(head.split("\r\n"))
    assert flags(mesh) == ["UAEX"] and counted(mesh) == {"denied": 1} and not mesh.dials


def test_of_a_refusal_only_listed_headers_are_told_and_where_to_log_in() -> None:
    mesh = mesh_with(AuthzService("authz", AskedByHttp(client=named("x-why"))))
    client = mesh.connect()
    client.says(GET)
    answers(mesh.dialled(ASKED), 401, www_authenticate="Basic", x_why="no", x_secret="1")
    heard = client.takes()
    assert b"www-authenticate: Basic\r\n" in heard and b"x-why: no\r\n" in heard and b"x-secret" not in heard


def refuses(mesh: Playbook) -> None:
    mesh.dials.pop(0).refuses()


def fails(mesh: Playbook) -> None:
    answers(mesh.dialled(ASKED), 500)


def says_nothing(mesh: Playbook) -> None:
    mesh.dialled(ASKED)
    mesh.passes(0.21)


SILENCES = (refuses, fails, says_nothing)


@pytest.mark.parametrize("silence", SILENCES)
def test_silence_refuses(silence: Callable[[Playbook], None]) -> None:
    mesh = mesh_with(status_on_error=503)
    client = mesh.connect()
    client.says(GET)
    silence(mesh)
    assert status(client) == 503 and flags(mesh) == ["UAEX"] and counted(mesh) == {"error": 1} and not mesh.dials


@pytest.mark.parametrize("silence", SILENCES)
def test_silence_lets_through_where_that_is_asked_for(silence: Callable[[Playbook], None]) -> None:
    mesh = mesh_with(fail_open=True, marks_failure=True)
    mesh.connect().says(GET)
    silence(mesh)
    assert b"x-envoy-auth-failure-mode-allowed: true\r\n" in mesh.dialled(SERVER).takes()
    assert counted(mesh) == {"error": 1, "failure_mode_allowed": 1}


def test_a_service_that_there_is_not_is_silence() -> None:
    mesh = mesh_with(AuthzService("nobody", AskedByHttp()))
    client = mesh.connect()
    client.says(GET)
    assert status(client) == 403 and not mesh.dials


def test_a_body_is_told_whole_and_then_sent_on() -> None:
    mesh = mesh_with(body=CheckedBody(10))
    client = mesh.connect()
    client.says(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert not mesh.dials and client.takes() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.says(b"ab")
    assert not mesh.dials
    client.says(b"cd")
    asked = mesh.dialled(ASKED)
    heard = asked.takes()
    assert b"x-envoy-auth-partial-body: false\r\n" in heard and heard.endswith(b"content-length: 4\r\n\r\nabcd")
    answers(asked)
    sent = mesh.dialled(SERVER).takes()
    assert sent.endswith(b"\r\n\r\nabcd") and b"partial-body" not in sent


def test_the_beginning_of_a_body_is_told_where_that_is_enough() -> None:
    mesh = mesh_with(body=CheckedBody(3, partial=True))
    client = mesh.connect()
    client.says(POST + b"Content-Length: 6\r\n\r\nab")
    assert not mesh.dials
    client.says(b"cd")
    asked = mesh.dialled(ASKED)
    heard = asked.takes()
    assert b"x-envoy-auth-partial-body: true\r\n" in heard and heard.endswith(b"\r\n\r\nabc")
    client.says(b"e")
    answers(asked)
    server = mesh.dialled(SERVER)
    assert server.takes().endswith(b"\r\n\r\nabcde")
    client.says(b"f")
    assert server.takes() == b"f"


@pytest.mark.parametrize("framing", ["Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"])
def test_a_longer_body_is_refused_before_anybody_is_asked(framing: str) -> None:
    mesh = mesh_with(body=CheckedBody(4), fail_open=True)
    client = mesh.connect()
    client.says(POST + framing.encode())
    assert status(client) == 413 and not mesh.dials and counted(mesh) == {}


def test_a_body_beyond_the_windows_is_taken_in_while_it_waits() -> None:
    mesh = mesh_with(body=CheckedBody(MILLION))
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/a", method="POST")
    for _ in range(32):
        client.data(stream, b"x" * 16_000)
    client.data(stream, b"", end=True)
    asked = mesh.dialled(ASKED)
    assert asked.takes().count(b"x" * 16_000) == 32
    answers(asked)
    assert mesh.dialled(SERVER).takes().count(b"x" * 16_000) == 32


def test_whoever_is_asked_need_not_answer_a_caller_who_has_gone() -> None:
    mesh = mesh_with()
    client = mesh.connect()
    client.says(GET)
    asked = mesh.dialled(ASKED)
    client.vanishes()
    assert asked.events == ["abort"] and not mesh.dials and mesh.engine.active() == 0


def test_a_route_switches_it_off_and_asks_somebody_else() -> None:
    mesh = mesh_with(of_route=(AccessStep("ask", Off()),))
    mesh.connect().says(GET)
    assert mesh.dialled(SERVER)
    other = AuthzOverride(AuthzService("up", AskedByHttp(prefix="/own")), without_body=True)
    mesh = mesh_with(of_route=(AccessStep("ask", other),), body=CheckedBody(10))
    mesh.connect().says(POST + b"Content-Length: 4\r\n\r\nabcd")
    assert mesh.dialled(SERVER).takes().startswith(b"POST /own/a HTTP/1.1\r\n")


def test_where_a_listener_asks_nobody_a_route_may() -> None:
    route = dataclasses.replace(forward("up"), filters=Filters(access=(AccessStep("ask", AuthzOverride(HTTP)),)))
    config = snapshot(routes=(route,))
    mesh = Playbook(dataclasses.replace(config, clusters=(*config.clusters, Cluster("authz", (Endpoint(ASKED),)))))
    mesh.connect().says(GET)
    answers(mesh.dialled(ASKED))
    assert mesh.dialled(SERVER)


def test_who_is_not_asked_about_goes_on_or_is_refused() -> None:
    mesh = mesh_with(enabled_millionths=0)
    mesh.connect().says(GET)
    assert mesh.dialled(SERVER) and counted(mesh) == {"disabled": 1}
    mesh = mesh_with(enabled_millionths=0, deny_at_disable=True, status_on_error=401)
    client = mesh.connect()
    client.says(GET)
    assert status(client) == 401 and not mesh.dials


def test_only_requests_that_shadow_rules_mean_are_asked_about() -> None:
    admin = Policy("custom-1", (UrlPath(TextMatch(TextKind.PREFIX, "/admin")),), (Anything(),))
    shadow = AccessStep("which", Rbac(None, Rules(RuleAction.DENY, (admin,)), shadow_prefix="mine_"))
    means = IsText(TextMatch(TextKind.PREFIX, "custom-"))
    which = Metadata("envoy.filters.http.rbac", ("mine_shadow_effective_policy_id",), means)
    mesh = mesh_with(before=(shadow,), enabled_if=which)
    mesh.connect().says(GET)
    assert mesh.dialled(SERVER)
    mesh.connect().says(GET.replace(b"/ ", b"/admin "))
    assert mesh.dialled(ASKED) and not mesh.dials


# ---- by gRPC


def option(name: str, value: str, **how: Any) -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key=name, value=value), **how)


def says_by_grpc(mesh: Playbook, response: CheckResponse, code: str = "0") -> CheckRequest:
    """Answer the question that is asked, and return it."""
    asked = Http2Peer(mesh.dialled(ASKED), is_client=False)
    ((stream, heard),) = asked.streams.items()
    assert heard.head[":path"] == "/envoy.service.auth.v3.Authorization/Check" and heard.head["x-mesh"] == "yes"
    assert heard.head["grpc-timeout"] == "200m"
    message = bytes(response)
    asked.respond(
        stream,
        fields=[("content-type", "application/grpc")],
        body=b"\0" + len(message).to_bytes(4, "big") + message,
        end=False,
    )
    asked.trailers(stream, [("grpc-status", code)])
    assert heard.body[:5] == b"\0" + (len(heard.body) - 5).to_bytes(4, "big")
    return CheckRequest.parse(heard.body[5:])


def ok(**fields: Any) -> CheckResponse:
    return CheckResponse(status=Status(code=0), ok_response=OkHttpResponse(**fields))


def test_a_check_tells_of_the_request() -> None:
    extensions = AccessStep("ask", AuthzOverride(extensions=(("route", "one"),)))
    mesh = mesh_with(GRPC, of_route=(extensions,), body=CheckedBody(10), disallowed=named("x-secret"))
    lines = b"x-a: 1\r\nx-a: 2\r\nx-secret: 3\r\nContent-Length: 2\r\n\r\nhi"
    mesh.connect().says(b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n" + lines)
    attributes = says_by_grpc(mesh, ok()).attributes
    assert attributes is not None and attributes.request is not None and attributes.request.http is not None
    http = attributes.request.http
    assert (http.method, http.path, http.host, http.protocol, http.body) == ("POST", "/a?b=c", "h", "HTTP/1.1", "hi")
    assert http.query == "b=c" and http.size == 2
    assert http.headers["x-a"] == "1,2" and http.headers[":authority"] == "h" and "x-secret" not in http.headers
    assert http.headers["x-envoy-auth-partial-body"] == "false"
    assert attributes.context_extensions == {"route": "one"}
    assert attributes.source is not None and attributes.source.address is not None
    assert attributes.source.address.socket_address is not None
    assert attributes.source.address.socket_address.address == "10.9.9.9"
    assert mesh.dialled(SERVER).takes().endswith(b"hi")


def test_what_a_check_says_changes_both_heads() -> None:
    mesh = mesh_with(GRPC)
    client = mesh.connect()
    client.says(GET.replace(b"\r\n\r\n", b"\r\nx-set: old\r\nx-gone: 1\r\n\r\n"))
    says_by_grpc(
        mesh,
        ok(
            headers=[option("X-Set", "new", append_action=SET), option("x-add", "1"), option(":path", "/other")],
            headers_to_remove=["x-gone", ":path", "host"],
            response_headers_to_add=[option("x-told", "1"), option("content-length", "99")],
        ),
    )
    server = mesh.dialled(SERVER)
    sent = server.takes().decode()
    assert sent.startswith("GET /other HTTP/1.1\r\nhost: h\r\n") and "x-set: new\r\n" in sent and "x-add: 1" in sent
    assert "old" not in sent and "x-gone" not in sent
    server.says(OK)
    heard = client.takes()
    assert b"x-told: 1\r\n" in heard and b"99" not in heard


def test_what_a_check_says_of_the_answer_holds_for_one_of_our_own() -> None:
    mesh = mesh_with(GRPC, after=(AccessStep("python", PythonFilter("f.py", "f")),))
    client = mesh.connect()
    client.says(GET)
    says_by_grpc(mesh, ok(response_headers_to_add=[option("x-why", "hidden", append_action=SET)]))
    ((token, _, _),) = mesh.screened
    mesh.do(mesh.engine.turn_away(token, 402, [("x-why", "unpaid")], b"", mesh.now))
    heard = client.takes()
    assert b"x-why: hidden\r\n" in heard and heard.count(b"x-why") == 1


def test_what_cannot_be_sent_on_refuses_the_request() -> None:
    mesh = mesh_with(GRPC, fail_open=True)
    client = mesh.connect()
    client.says(GET)
    says_by_grpc(mesh, ok(headers=[option("x-a", "1\r\nx-b: 2")]))
    assert status(client) == 500 and not mesh.dials and counted(mesh) == {"error": 1}


def test_a_check_refuses_in_its_own_words() -> None:
    mesh = mesh_with(GRPC)
    client = mesh.connect()
    client.says(GET)
    denied = DeniedHttpResponse(
        status=HttpStatus(code=StatusCode.Unauthorized), headers=[option("x-why", "no")], body="go away"
    )
    says_by_grpc(mesh, CheckResponse(status=Status(code=7), denied_response=denied))
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 401 ") and b"x-why: no\r\n" in heard and heard.endswith(b"\r\n\r\ngo away")
    client.says(GET)


def test_a_grpc_caller_is_told_by_its_own_status() -> None:
    mesh = mesh_with(GRPC)
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/a.B/C", method="POST", fields=[("content-type", "application/grpc")], body=b"")
    denied = DeniedHttpResponse(body="not you")
    says_by_grpc(mesh, CheckResponse(status=Status(code=7), denied_response=denied))
    client.exchange()
    head = client.streams[stream].head
    assert (head[":status"], head["grpc-status"], head["grpc-message"]) == ("200", "7", "not you")


@pytest.mark.parametrize("broken", ["status", "message"])
def test_an_answer_that_is_none_is_silence(broken: str) -> None:
    mesh = mesh_with(GRPC)
    client = mesh.connect()
    client.says(GET)
    if broken == "status":
        says_by_grpc(mesh, ok(), code="14")
    else:
        asked = Http2Peer(mesh.dialled(ASKED), is_client=False)
        asked.respond(1, fields=[("content-type", "application/grpc")], body=b"\0\0\0\0\x02\x0a\xff", end=False)
        asked.trailers(1, [("grpc-status", "0")])
    assert status(client) == 403 and counted(mesh) == {"error": 1}


def test_later_steps_look_at_what_a_check_has_noted() -> None:
    noted = Metadata("envoy.filters.http.ext_authz", ("who",), IsText(TextMatch(TextKind.EXACT, "me")))
    rules = Rules(RuleAction.ALLOW, (Policy("p", (noted,), (Anything(),)),))
    struct = b"\x22\x0b\x0a\x09\x0a\x03who\x12\x02\x1a\x00"
    for who, expected in ((b"me", 200), (b"it", 403)):
        mesh = mesh_with(GRPC, after=(AccessStep("rbac", Rbac(rules)),))
        client = mesh.connect()
        client.says(GET)
        struct = b"\x0a\x0b\x0a\x03who\x12\x04\x1a\x02" + who
        message = b"\x22" + bytes([len(struct)]) + struct
        asked = Http2Peer(mesh.dialled(ASKED), is_client=False)
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        asked.respond(1, fields=[("content-type", "application/grpc")], body=framed, end=False)
        asked.trailers(1, [("grpc-status", "0")])
        if expected == 200:
            mesh.dialled(SERVER).says(OK)
        assert status(client) == expected


def test_terms_that_cannot_be_kept_are_refused_by_name() -> None:
    for terms, field in (
        ({"body": CheckedBody(0)}, "body.max_bytes"),
        ({"body": CheckedBody(2_000_000)}, "body.max_bytes"),
        ({"status_on_error": 99}, "status_on_error"),
        ({"service": AuthzService("authz", AskedByHttp(), timeout_s=0.0)}, "timeout_s"),
        ({"service": AuthzService("authz", AskedByHttp(prefix="x y"))}, "prefix"),
        ({"service": AuthzService("authz", AskedByHttp(add=(("a b", "c"),)))}, "a b"),
        ({"allowed": (TextMatch(TextKind.REGEX, "("),)}, "allowed"),
    ):
        with pytest.raises(ValueError, match=field):
            mesh_with(**terms)
