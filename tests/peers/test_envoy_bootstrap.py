"""One bootstrap, two proxies: Envoy and eventmesh take the same file and answer the same requests alike."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.plane import DataPlane
from eventmesh.xds.bootstrap import load_bootstrap
from tests.peers.backends import backend
from tests.peers.envoy import envoy_on

pytestmark = pytest.mark.peer

TYPES = "type.googleapis.com/envoy.extensions"


def _set(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _add(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}}


def _everywhere(level: str) -> list[dict[str, Any]]:
    """Return edits that every level makes, so that their order shows."""
    return [_set("x-last", level), _add("x-all", level), _set("x-twice", "first"), _set("x-twice", level)]


def _matching(matcher: dict[str, Any], cluster: str) -> dict[str, Any]:
    return {"match": {"prefix": "/", "headers": [matcher]}, "route": {"cluster": cluster}}


def _asking(matcher: dict[str, Any], cluster: str) -> dict[str, Any]:
    return {"match": {"prefix": "/query", "query_parameters": [matcher]}, "route": {"cluster": cluster}}


VIRTUAL_HOSTS: list[dict[str, Any]] = [
    {
        "name": "exact",
        "domains": ["exact.test"],
        "routes": [
            {"match": {"path": "/path"}, "route": {"cluster": "a", "prefix_rewrite": "/other"}},
            {"match": {"path_separated_prefix": "/api"}, "route": {"cluster": "a", "prefix_rewrite": "/v1"}},
            {"match": {"prefix": "/host"}, "route": {"cluster": "a", "host_rewrite_literal": "inner.test"}},
            {
                "match": {"prefix": "/header"},
                "route": {"cluster": "a", "host_rewrite_header": "x-host"},
            },
            {"match": {"prefix": "/teapot"}, "direct_response": {"status": 418, "body": {"inline_string": "short"}}},
            {"match": {"prefix": "/gone"}, "redirect": {"https_redirect": True, "host_redirect": "other.test"}},
            {"match": {"prefix": "/moved"}, "redirect": {"path_redirect": "/new", "response_code": "FOUND"}},
            {"match": {"prefix": "/see"}, "redirect": {"host_redirect": "o.test", "response_code": "SEE_OTHER"}},
            {"match": {"prefix": "/port"}, "redirect": {"port_redirect": 8443, "https_redirect": True}},
            {"match": {"path_separated_prefix": "/old"}, "redirect": {"prefix_rewrite": "/young"}},
            {
                "match": {"path_separated_prefix": "/whole"},
                "route": {
                    "cluster": "a",
                    "regex_rewrite": {"pattern": {"regex": "^/.*$"}, "substitution": "/all"},
                },
            },
        ],
    },
    {
        "name": "matchers",
        "domains": ["match.test"],
        "routes": [
            _asking({"name": "Q", "string_match": {"exact": "1 2"}}, "a"),
            _asking({"name": "Q", "string_match": {"exact": "1%202"}}, "b"),
            _asking({"name": "q", "string_match": {"safe_regex": {"regex": "[0-9]+"}}}, "a"),
            _asking({"name": "p", "present_match": True}, "b"),
            _matching({"name": "x-a", "string_match": {"exact": "one"}}, "a"),
            _matching({"name": "x-b", "string_match": {"prefix": "be"}}, "b"),
            _matching({"name": "x-c", "string_match": {"suffix": "fin"}}, "a"),
            _matching({"name": "x-d", "string_match": {"contains": "mid"}}, "b"),
            _matching({"name": "x-e", "present_match": True}, "a"),
            _matching({"name": ":method", "string_match": {"exact": "DELETE"}}, "b"),
            {"match": {"safe_regex": {"regex": "/n/[0-9]+|/w/[a-z]*"}}, "route": {"cluster": "b"}},
            _matching({"name": "x-g", "string_match": {"safe_regex": {"regex": "a+b?"}}}, "b"),
            _matching({"name": "x-h", "safe_regex_match": {"regex": "[^x]*"}, "invert_match": True}, "b"),
            {"match": {"prefix": "/grpc", "grpc": {}}, "route": {"cluster": "b"}},
            _matching({"name": "x-f", "present_match": True, "invert_match": True}, "a"),
        ],
    },
    {
        "name": "edits",
        "domains": ["edit.test"],
        "request_headers_to_add": [_set("x-set", "host"), _add("x-add", "host"), *_everywhere("host")],
        "request_headers_to_remove": ["x-gone"],
        "response_headers_to_add": [_set("x-answer", "50%%")],
        "response_headers_to_remove": ["server"],
        "routes": [
            {
                "match": {"prefix": "/"},
                "route": {
                    "weighted_clusters": {
                        "clusters": [
                            {
                                "name": "a",
                                "weight": 5,
                                "request_headers_to_add": [_add("x-share", "a"), *_everywhere("share")],
                            },
                            {"name": "b", "weight": 0},
                        ]
                    }
                },
                "request_headers_to_add": [_add("x-route", "yes"), _add("x-empty", ""), *_everywhere("route")],
                "response_headers_to_add": [_set("x-answer", "route")],
            }
        ],
    },
    {
        "name": "suffix",
        "domains": ["*.wild.test"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "a"}}],
    },
    {
        "name": "longer suffix",
        "domains": ["*.very.wild.test"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}],
    },
    {
        "name": "prefix",
        "domains": ["start.*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "b"}}],
    },
]


@dataclass(frozen=True)
class Case:
    """One request; what must be equal is the answer and what the backend saw."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] | None = None


CASES = [
    Case("exact.test", "/path"),
    Case("exact.test", "/path?q=1"),
    Case("exact.test", "/paths"),
    Case("exact.test", "/api"),
    Case("exact.test", "/api/x?y=2"),
    Case("exact.test", "/apis"),
    Case("exact.test", "/host"),
    Case("exact.test", "/header", headers={"x-host": "named.test"}),
    Case("exact.test", "/header"),
    Case("exact.test", "/teapot"),
    Case("exact.test", "/gone?x=1"),
    Case("exact.test", "/moved"),
    Case("exact.test", "/see/that"),
    Case("exact.test", "/moved?q=1"),
    Case("exact.test", "/port/there?q=1"),
    Case("exact.test", "/old"),
    Case("exact.test", "/old/one?q=1"),
    Case("exact.test", "/whole/of/it?q=1"),
    Case("match.test", "/query?Q=1%202"),
    Case("match.test", "/query?q=12&q=x"),
    Case("match.test", "/query?q=x&q=12"),
    Case("match.test", "/query?a=1&p"),
    Case("match.test", "/query?p=&q"),
    Case("EXACT.test", "/host"),
    Case("unknown.test"),
    Case("match.test", headers={"x-a": "one"}),
    Case("match.test", headers={"x-a": "other"}),
    Case("match.test", headers={"x-b": "begin"}),
    Case("match.test", headers={"x-c": "the fin"}),
    Case("match.test", headers={"x-d": "amidst"}),
    Case("match.test", headers={"x-e": "", "x-f": "1"}),
    Case("match.test", headers={"x-f": "1"}),
    Case("match.test", method="DELETE", headers={"x-f": "1"}),
    Case("match.test", "/n/12?q=1", headers={"x-f": "1"}),
    Case("match.test", "/n/12/", headers={"x-f": "1"}),
    Case("match.test", "/w/", headers={"x-f": "1"}),
    Case("match.test", headers={"x-f": "1", "x-g": "aab"}),
    Case("match.test", headers={"x-f": "1", "x-g": "aabb"}),
    Case("match.test", headers={"x-f": "1", "x-h": "axa"}),
    Case("match.test", headers={"x-f": "1", "x-h": "aya"}),
    Case("match.test", "/grpc", headers={"x-f": "1", "content-type": "application/grpc"}),
    Case("edit.test", headers={"x-set": "client", "x-add": "client", "x-gone": "client"}),
    Case("edit.test"),
    Case("one.wild.test"),
    Case("one.very.wild.test"),
    Case("wild.test"),
    Case("start.anything"),
]

_OF_ENVOY_ALONE = ("x-envoy", "x-forwarded-proto")
"""Headers that Envoy adds unasked and eventmesh does not."""
_DRAWN = "x-request-id"
"""A header that both add, with a value drawn at random."""


@dataclass
class Pair:
    """Both proxies, on ports of their own."""

    envoy: int
    mesh: int
    http: aiohttp.ClientSession

    async def ask(self, port: int, case: Case) -> tuple[object, ...]:
        async with self.http.request(
            case.method,
            f"http://127.0.0.1:{port}{case.path}",
            headers={"Host": case.host, "Accept": "*/*", **(case.headers or {})},
            allow_redirects=False,
        ) as response:
            text = await response.text()
            # Without a route the mesh says so in the body, Envoy answers none.
            seen: object = _seen(json.loads(text)) if response.status == 200 else text * (response.status != 404)
            edited = {name: response.headers.getall(name) for name in ("x-answer",) if name in response.headers}
            return response.status, response.headers.get("Location"), edited, seen


def _seen(body: dict[str, Any]) -> object:
    """Return what a backend saw: the values of each header in their order, headers in any."""
    fields: dict[str, list[str]] = {}
    for name, value in body["fields"]:
        if not name.lower().startswith(_OF_ENVOY_ALONE):
            fields.setdefault(name.lower(), []).append(value if name.lower() != _DRAWN else "drawn")
    return body["name"], body["path"], fields


def _document(a: tuple[str, int], b: tuple[str, int]) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "common_http_protocol_options": {"idle_timeout": "60s"},
        "max_request_headers_kb": 32,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "name": "all",
            "virtual_hosts": VIRTUAL_HOSTS,
            "ignore_port_in_host_matching": True,
            "request_headers_to_add": _everywhere("table"),
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router", "suppress_envoy_headers": True},
            }
        ],
    }
    return {
        "node": {"id": "peer", "cluster": "peer"},
        "admin": {"address": _address("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": _address("127.0.0.1", 0),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [_cluster("a", a, "STATIC"), _cluster("b", b, "STRICT_DNS")],
        },
    }


def _cluster(name: str, address: tuple[str, int], kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "circuit_breakers": {"thresholds": [{"max_connections": 10}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*address)}}]}],
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        config = tmp_path / "bootstrap.json"
        config.write_text(json.dumps(_document(a, b)))
        plane = DataPlane(SystemClock(), {})
        stack.push_async_callback(plane.stop)
        await plane.start()
        bootstrap = load_bootstrap(config)
        assert bootstrap.warnings == ()
        await plane.apply(bootstrap.snapshot)
        envoy = await stack.enter_async_context(envoy_on(config))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        port = int(plane.addresses()["in"].rpartition(":")[2])
        yield Pair(await envoy.port("in"), port, http)


async def test_both_answer_alike_and_pass_on_the_same(pair: Pair) -> None:
    differences = []
    for case in CASES:
        by_envoy, by_mesh = await asyncio.gather(pair.ask(pair.envoy, case), pair.ask(pair.mesh, case))
        if by_envoy != by_mesh:
            differences.append(f"{case}\n  envoy     {by_envoy}\n  eventmesh {by_mesh}")
    assert not differences, "\n".join(differences)
