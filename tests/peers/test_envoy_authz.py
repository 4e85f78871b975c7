"""One authorization service asked by Envoy and by eventmesh: both do the same with each of its answers."""

from __future__ import annotations

import json
import warnings
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, QueryParameter
from envoy_data_plane.envoy.config.core.v3 import HeaderValueOptionHeaderAppendAction as How
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse, DeniedHttpResponse, OkHttpResponse
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.rpc import Status

from tests.peers.authz_service import SCRIPT, AuthzService, authz_service
from tests.peers.backends import backend
from tests.peers.pairs import TYPES, Pair, Proxy, cluster, document, pair_on

pytestmark = pytest.mark.peer

AUTHZ = f"{TYPES}.filters.http.ext_authz.v3"
H2C = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{TYPES}.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}


def option(name: str, value: str, how: How | bool = How.APPEND_IF_EXISTS_OR_ADD) -> HeaderValueOption:
    """Return a header; a truth says it in the older field, whose class warns of it."""
    header = HeaderValue(key=name, value=value)
    if isinstance(how, How):
        return HeaderValueOption(header=header, append_action=how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return HeaderValueOption(header=header, append=how)


def ok(**fields: Any) -> CheckResponse:
    return CheckResponse(status=Status(code=0), ok_response=OkHttpResponse(**fields))


def denied(code: StatusCode = StatusCode.Empty, code_: int = 7, **fields: Any) -> CheckResponse:
    status = HttpStatus(code=code) if code else None
    return CheckResponse(status=Status(code=code_), denied_response=DeniedHttpResponse(status=status, **fields))


WAYS: tuple[How | bool, ...] = (*How, True, False)
EACH_WAY = [option(name, "new", how) for name in ("x-one", "x-nil") for how in WAYS]
RESPONSES: dict[str, CheckResponse | grpc.StatusCode] = {
    "plain": CheckResponse(status=Status(code=0)),
    "nothing": CheckResponse(),
    **{
        f"{how!r} {name}": ok(
            headers=[option(name, "new", how)], response_headers_to_add=[option("x-told", "1", how)]
        )
        for how in WAYS
        for name in ("x-one", "x-two", "x-nil", "X-One")
    },
    "each way": ok(headers=EACH_WAY),
    "several": ok(headers=[option("x-two", "3"), option("x-two", "4")]),
    "pseudo": ok(headers=[option(":path", "/other?x=y", How.OVERWRITE_IF_EXISTS_OR_ADD)]),
    "removed": ok(headers_to_remove=["x-one", "X-Two", "host", ":path", "nil"]),
    "query": ok(
        query_parameters_to_set=[QueryParameter(key="a", value="9"), QueryParameter(key="z", value="1")],
        query_parameters_to_remove=["b"],
    ),
    "denied": CheckResponse(status=Status(code=7)),
    "denied ok": CheckResponse(status=Status(code=7), ok_response=OkHttpResponse(headers=[option("x-one", "1")])),
    "not denied": denied(StatusCode.Unauthorized, 0, body="no"),
    "unauthorized": denied(StatusCode.Unauthorized, body="who?", headers=[option("www-authenticate", "Basic")]),
    "teapot": denied(StatusCode.ImATeapot if hasattr(StatusCode, "ImATeapot") else StatusCode.Gone, body="short"),
    "redirect": denied(StatusCode.Found, headers=[option("location", "/login"), option("set-cookie", "a=b"),
                                                 option("set-cookie", "c=d")]),
    "html": denied(body="<p>", headers=[option("content-type", "text/html")]),
    "busy": denied(StatusCode.ServiceUnavailable, 14, body="later"),
    "unavailable": grpc.StatusCode.UNAVAILABLE,
    "permission": grpc.StatusCode.PERMISSION_DENIED,
}  # fmt: skip

ASKED = {"x-one": "1", "x-two": "1, 2", "x-other": "0"}


def _filter(**fields: Any) -> dict[str, Any]:
    return {"name": "ask", "typed_config": {"@type": f"{AUTHZ}.ExtAuthz", **fields}}


def _by_grpc(**fields: Any) -> dict[str, Any]:
    service = {"envoy_grpc": {"cluster_name": "by-grpc"}, "timeout": "20s"}
    return _filter(grpc_service=service, transport_api_version="V3", **fields)


def _by_http(timeout: str = "20s", **fields: Any) -> dict[str, Any]:
    uri = {"uri": "http://authz.test/", "cluster": "by-http", "timeout": timeout}
    allowed = {"patterns": [{"exact": SCRIPT}]}
    service = {"server_uri": uri, **fields.pop("service", {})}
    return _filter(http_service=service, allowed_headers=allowed, **fields)


async def _pair(
    stack: AsyncExitStack, directory: Path, filter_: dict[str, Any], *routes: dict[str, Any]
) -> tuple[Pair, AuthzService]:
    service = await stack.enter_async_context(authz_service(RESPONSES))
    up = await stack.enter_async_context(backend("up"))
    clusters = [
        cluster("up", up),
        cluster("by-grpc", service.grpc_address, **H2C),
        cluster("by-http", service.http_address),
    ]
    hosts = [
        {"name": "h", "domains": ["*"], "routes": [*routes, {"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
    ]
    pair = await stack.enter_async_context(pair_on(document(hosts, clusters, filters=[filter_]), directory))
    return pair, service


Seen = tuple[int, str, list[tuple[str, str]], str, list[tuple[str, str]]]


async def _answered(proxy: Proxy, script: str, path: str, method: str = "GET", body: str = "") -> Seen:
    """Return status, text and headers of the answer, and what the server saw: path and headers."""
    found = await proxy.ask(path, method=method, body=body, headers={**ASKED, SCRIPT: script})
    own = [(name.lower(), value) for name, value in found.headers.items()]
    told = sorted((name, value) for name, value in own if name.startswith("x-t") or name in _TOLD)
    if found.status != 200 or not found.text.startswith("{"):
        return found.status, found.text, told, "", []
    seen = found.seen
    fields = sorted(
        (name.lower(), value.replace(", ", ","))
        for name, value in seen["fields"]
        if name.lower().startswith(("x-one", "x-two", "x-nil", "x-other", "x-envoy-auth"))
    )
    return found.status, "", told, seen["path"], fields


_TOLD = ("www-authenticate", "location", "set-cookie", "content-type", "x-why", "x-path", "x-method", "x-body")


async def _alike(pair: Pair, script: str, path: str = "/p?a=1&b=2&c=3", **request: str) -> Seen:
    envoy, mesh = [await _answered(proxy, script, path, **request) for proxy in pair.both]
    # Which of its own words a proxy sends with an empty body is its own affair.
    assert mesh == envoy, script
    return mesh


async def test_both_do_the_same_with_each_answer_by_grpc(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pair, service = await _pair(stack, tmp_path, _by_grpc())
        statuses = {name: (await _alike(pair, name))[0] for name in RESPONSES}
        assert {200, 302, 401, 403, 503} <= set(statuses.values())
        theirs, ours = (_told_of(service, name) for name in ("envoy", "mesh"))
        assert ours == theirs


def _told_of(service: AuthzService, asker: str) -> list[object]:
    """Return what the service was told of the requests of one proxy, without what is the proxy's own."""
    told: list[object] = []
    for check in service.checks:
        assert check.attributes is not None and check.attributes.request is not None
        http = check.attributes.request.http
        assert http is not None
        if http.headers["x-asker"] == asker:
            headers = {
                name: value for name, value in http.headers.items() if name in (*ASKED, SCRIPT, ":path", ":method")
            }
            told.append((http.method, http.path, http.protocol, http.body, http.headers[":method"], headers))
    return told


async def test_both_do_the_same_with_each_answer_by_http(tmp_path: Path) -> None:
    lists = {
        "path_prefix": "/check",
        "authorization_response": {
            "allowed_upstream_headers": {"patterns": [{"exact": "x-one"}, {"exact": "x-nil"}]},
            "allowed_upstream_headers_to_append": {"patterns": [{"exact": "x-two"}, {"exact": "x-nil-too"}]},
            "allowed_client_headers": {"patterns": [{"prefix": "x-why"}]},
            "allowed_client_headers_on_success": {"patterns": [{"prefix": "x-told"}]},
        },
    }
    named = [
        ["x-one", "9"],
        ["x-nil-too", "9"],
        ["x-two", "9"],
        ["x-nil", "9"],
        ["x-why", "no"],
        ["x-told", "1"],
        ["x-secret", "1"],
    ]
    remove = [*named, ["x-envoy-auth-headers-to-remove", "x-other, x-two"]]
    login = [["location", "/login"], ["www-authenticate", "Basic"], ["x-why", "no"], ["set-cookie", "a=b"]]
    async with AsyncExitStack() as stack:
        pair, _ = await _pair(stack, tmp_path, _by_http(service=lists))
        scripts = [{"status": status, "text": "t", "headers": named} for status in (200, 201, 302, 401, 403, 404, 429)]
        scripts += [{"status": status, "text": "t"} for status in (500, 503, 504)]
        scripts += [{"status": 200, "headers": remove}, {"status": 401, "headers": login}]
        statuses = [(await _alike(pair, json.dumps(script)))[0] for script in scripts]
        assert statuses == [200, 201, 302, 401, 403, 404, 429, 403, 403, 403, 200, 401]


async def test_without_lists_a_refused_caller_is_told_all(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pair, _ = await _pair(stack, tmp_path, _by_http())
        named = [["x-why", "no"], ["set-cookie", "a=b"], ["set-cookie", "c=d"]]
        status, text, told, *_ = await _alike(pair, json.dumps({"status": 403, "text": "t", "headers": named}))
        assert (status, text) == (403, "t") and ("set-cookie", "c=d") in told and ("x-path", "/p?a=1&b=2&c=3") in told


@pytest.mark.parametrize("fail_open", [False, True])
async def test_both_do_the_same_with_silence(fail_open: bool, tmp_path: Path) -> None:
    terms = {"failure_mode_allow": fail_open, "failure_mode_allow_header_add": True}
    async with AsyncExitStack() as stack:
        asked = _by_http("0.2s", status_on_error={"code": "BadGateway"}, **terms)
        pair, _ = await _pair(stack, tmp_path, asked)
        status, _, _, _, fields = await _alike(pair, json.dumps({"hangs": True, "status": 200}))
        assert (status, bool(fields)) == ((200, True) if fail_open else (502, False))
        await _alike(pair, json.dumps({"status": 503}))


async def test_both_tell_a_body_and_refuse_a_longer_one(tmp_path: Path) -> None:
    body = {"max_request_bytes": 5}
    good, bad = json.dumps({"status": 200}), json.dumps({"status": 403})
    async with AsyncExitStack() as stack:
        pair, _ = await _pair(stack, tmp_path, _by_http(with_request_body=body))
        assert (await _alike(pair, good, method="POST", body="abcde"))[0] == 200
        assert ("x-body", "abcde") in (await _alike(pair, bad, method="POST", body="abcde"))[2]
        assert [(await proxy.ask("/", method="POST", body="abcdef", headers={SCRIPT: good})).status
                for proxy in pair.both] == [413, 413]  # fmt: skip


async def test_both_tell_the_beginning_of_a_body_where_that_is_enough(tmp_path: Path) -> None:
    body = {"max_request_bytes": 5, "allow_partial_message": True}
    async with AsyncExitStack() as stack:
        pair, _ = await _pair(stack, tmp_path, _by_http(with_request_body=body))
        bad = json.dumps({"status": 403})
        assert ("x-body", "abcde") in (await _alike(pair, bad, method="POST", body="abcdefgh"))[2]


async def test_both_obey_routes(tmp_path: Path) -> None:
    def route(path: str, **settings: Any) -> dict[str, Any]:
        per_route = {"@type": f"{AUTHZ}.ExtAuthzPerRoute", **settings}
        match = {"match": {"path": path}, "route": {"cluster": "up"}}
        return {**match, "typed_per_filter_config": {"ask": per_route}}

    told = {"context_extensions": {"route": "told"}}
    by_grpc = {"grpc_service": {"envoy_grpc": {"cluster_name": "by-grpc"}}}
    async with AsyncExitStack() as stack:
        routes = [route("/off", disabled=True), route("/told", check_settings={**told, **by_grpc})]
        pair, service = await _pair(stack, tmp_path, _by_http(), *routes)
        assert (await _alike(pair, "{}", "/off"))[0] == 200
        assert (await _alike(pair, "denied", "/told"))[0] == 403
        attributes = [check.attributes for check in service.checks]
        assert [one.context_extensions for one in attributes if one is not None] == [{"route": "told"}] * 2
