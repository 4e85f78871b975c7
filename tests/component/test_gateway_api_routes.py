"""What routes do with requests, by the names that Gateway API's conformance suite has for its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.kube.api import Object
from eventmesh.kube.resources import HTTP_ROUTE
from tests.component.gateway_api_world import (
    at,
    gateway,
    gateway_api_world,
    grpc_route,
    host,
    route,
    suffix,
    to,
)
from tests.component.ingress_world import SERVICE_PORT, World
from tests.waiting import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(
    tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[World]:
    async with gateway_api_world(tmp_path_factory.mktemp("mesh"), unused_tcp_port_factory) as made:
        yield made


async def test_http_route_simple_same_namespace(mesh: World) -> None:
    name, backend = host(mesh), await mesh.runtime("simple")
    await route(mesh, await gateway(mesh), to(backend), hosts=[name])
    assert await suffix(mesh, name) == "simple"
    assert (await mesh.get(host(mesh))).status == 404


async def test_http_route_matching(mesh: World) -> None:
    name, one, two = host(mesh), await mesh.runtime("one"), await mesh.runtime("two")
    version = [{"name": "Version", "value": "two"}]
    rules = [to(one, matches=[at("/"), at("/", headers=[{"name": "version", "value": "one"}])])]
    rules.append(to(two, matches=[at("/v2"), at("/", headers=version)]))
    await route(mesh, await gateway(mesh), *rules, hosts=[name])
    cases: tuple[tuple[str, dict[str, str], str], ...] = (
        ("/", {}, "one"),
        ("/example", {}, "one"),
        ("/", {"Version": "one"}, "one"),
        ("/v2", {}, "two"),
        ("/v2/example", {}, "two"),
        ("/v2example", {}, "one"),
        ("/", {"Version": "two"}, "two"),
        ("/foo/v2/example", {}, "one"),
    )
    for where, headers, answer in cases:
        assert await suffix(mesh, name, where, **headers) == answer, (where, headers)


async def test_http_route_matching_across_routes(mesh: World) -> None:
    name, one, two = host(mesh), await mesh.runtime("one"), await mesh.runtime("two")
    front = await gateway(mesh)
    # Of two routes of one second the first by name counts as the older one.
    await route(mesh, front, to(one, matches=[at("/"), at("/same")]), hosts=[name], name=mesh.name("a"))
    await route(mesh, front, to(two, matches=[at("/v2"), at("/same")]), hosts=[name], name=mesh.name("b"))
    answers = [await suffix(mesh, name, where) for where in ("/", "/v2", "/v2/x", "/same")]
    assert answers == ["one", "two", "two", "one"], "the older of two equal matches has it"


async def test_http_route_exact_path_matching(mesh: World) -> None:
    name, one, two = host(mesh), await mesh.runtime("one"), await mesh.runtime("two")
    rules = (
        to(one, matches=[at("/one", "Exact")]),
        to(two, matches=[at("/two", "Exact"), at("/n/[0-9]+", "RegularExpression")]),
    )
    await route(mesh, await gateway(mesh), *rules, hosts=[name])
    answers = [await suffix(mesh, name, where) for where in ("/one", "/two", "/one/", "/", "/n/12", "/n/x")]
    assert answers == ["one", "two", 404, 404, "two", 404]


async def test_http_route_method_and_query_param_matching(mesh: World) -> None:
    name, backends = host(mesh), [await mesh.runtime(word) for word in ("get", "animal", "both", "regex")]
    queries: tuple[Object, ...] = (
        {"queryParams": [{"name": "animal", "value": "whale"}]},
        {"queryParams": [{"name": "animal", "value": "whale"}, {"name": "color", "value": "blue"}]},
        {"queryParams": [{"name": "size", "type": "RegularExpression", "value": "[0-9]+"}]},
    )
    conditions: tuple[Object, ...] = ({"method": "GET", "headers": [{"name": "x", "value": "1"}]}, *queries)
    rules = [to(backend, matches=[at("/", **one)]) for backend, one in zip(backends, conditions, strict=True)]
    await route(mesh, await gateway(mesh), *rules, hosts=[name])
    for where, answer in (
        ("/?animal=whale", "animal"),
        ("/?animal=whale&color=blue", "both"),
        ("/?Animal=whale", 404),
        ("/?animal=dolphin", 404),
        ("/?size=12", "regex"),
        ("/?size=x", 404),
    ):
        assert await suffix(mesh, name, where) == answer, where
    assert await suffix(mesh, name, "/", x="1") == "get"


async def test_http_route_invalid_backend_refs(mesh: World) -> None:
    front, backend = await gateway(mesh), await mesh.runtime("good")
    port = {"backendRefs": [{"name": backend, "port": 12}]}
    unknown = {"backendRefs": [{"group": "x.test", "kind": "Thing", "name": "t", "port": 80}]}
    for rule_, reason in ((to("nobody"), "-BackendNotFound"), (port, "-BackendNotFound"), (unknown, "-InvalidKind")):
        name = host(mesh)
        rules = (rule_, to(backend, matches=[at("/good")]))
        await route(
            mesh, front, *rules, hosts=[name], Accepted="Accepted", ResolvedRefs=reason, Programmed="Programmed"
        )
        assert [await suffix(mesh, name, where) for where in ("/", "/good")] == [500, "good"]


async def test_http_route_weight(mesh: World) -> None:
    name, backends = host(mesh), [await mesh.runtime(word) for word in ("one", "two", "three")]
    await route(mesh, await gateway(mesh), to(*backends, weights=(70, 30, 0)), hosts=[name])
    seen = [await suffix(mesh, name) for _ in range(500)]
    assert 0.6 < seen.count("one") / 500 < 0.8 and seen.count("three") == 0


async def test_a_backend_that_is_missing_has_its_share_of_failures(mesh: World) -> None:
    name, backend = host(mesh), await mesh.runtime("there")
    rule_ = to(backend, "nobody", weights=(1, 1))
    await route(
        mesh, await gateway(mesh), rule_, hosts=[name], ResolvedRefs="-BackendNotFound", Programmed="Programmed"
    )
    seen = [await suffix(mesh, name) for _ in range(200)]
    assert set(seen) == {"there", 503} and 50 < seen.count(503) < 150


async def test_http_route_header_modifiers(mesh: World) -> None:
    async def answered(request: web.Request) -> web.Response:
        seen = {"headers": {name.lower(): ",".join(request.headers.getall(name)) for name in request.headers}}
        return web.json_response(seen, headers={"X-Set": "backend", "X-Gone": "1", "X-Add": "backend"})

    name, backend = host(mesh), await mesh.backend(answered)
    edits = {
        "set": [{"name": "X-Set", "value": "50%"}],
        "add": [{"name": "X-Add", "value": "rule"}],
        "remove": ["X-Gone"],
    }
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": edits},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": edits},
    ]
    own = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-own", "value": "share"}]}}]
    backends = [{"name": backend, "port": SERVICE_PORT, "filters": own}]
    await route(mesh, await gateway(mesh), {"backendRefs": backends, "filters": filters}, hosts=[name])
    seen = await mesh.get(name, X_Set="client", X_Gone="client", X_Add="client")
    asked = seen.request["headers"]
    assert (asked["x-set"], asked["x-own"]) == ("50%", "share") and "x-gone" not in asked
    assert asked["x-add"] == "client,rule"
    assert seen.headers["X-Set"] == "50%" and "X-Gone" not in seen.headers
    assert [value for field, value in seen.headers.items() if field.lower() == "x-add"] == ["backend", "rule"]


def redirect(**found: object) -> Object:
    return {"filters": [{"type": "RequestRedirect", "requestRedirect": found}]}


async def test_http_route_redirects(mesh: World) -> None:
    name = host(mesh)
    full, prefix = ({"type": "ReplaceFullPath", "replaceFullPath": "/full"}, {"type": "ReplacePrefixMatch"})
    rules = [
        {**redirect(hostname="other.test", statusCode=301), "matches": [at("/host")]},
        {**redirect(scheme="https", port=8443), "matches": [at("/scheme")]},
        {**redirect(path=full), "matches": [at("/whole")]},
        {**redirect(path={**prefix, "replacePrefixMatch": "/new"}), "matches": [at("/old")]},
        {**redirect(path={**prefix, "replacePrefixMatch": "/"}), "matches": [at("/cut")]},
    ]
    await route(mesh, await gateway(mesh), *rules, hosts=[name])
    for where, status, location in (
        ("/host/x?q=1", 301, "http://other.test/host/x?q=1"),
        ("/scheme", 302, f"https://{name}:8443/scheme"),
        ("/whole/of/it", 302, f"http://{name}/full"),
        ("/old/one", 302, f"http://{name}/new/one"),
        ("/cut/off", 302, f"http://{name}/off"),
        ("/cut", 302, f"http://{name}/"),
    ):
        seen = await mesh.get(name, where)
        assert (seen.status, seen.headers["Location"]) == (status, location)


def rewrite(**found: object) -> Object:
    return {"filters": [{"type": "URLRewrite", "urlRewrite": found}]}


async def test_http_route_rewrite_host_and_path(mesh: World) -> None:
    name, backend = host(mesh), await mesh.runtime()
    prefix = {"type": "ReplacePrefixMatch"}
    rules = [
        to(backend, **rewrite(hostname="inner.test"), matches=[at("/host")]),
        to(backend, **rewrite(path={"type": "ReplaceFullPath", "replaceFullPath": "/full"}), matches=[at("/whole")]),
        to(backend, **rewrite(path={**prefix, "replacePrefixMatch": "/v1/"}), matches=[at("/api")]),
        to(backend, **rewrite(path={**prefix, "replacePrefixMatch": "/"}), matches=[at("/cut")]),
        to(backend, **rewrite(path={**prefix, "replacePrefixMatch": "/deep"}), matches=[at("/")]),
    ]
    await route(mesh, await gateway(mesh), *rules, hosts=[name])
    for where, path_ in (
        ("/whole/of/it?q=1", "/full?q=1"),
        ("/api", "/v1"),
        ("/api/x?q=1", "/v1/x?q=1"),
        ("/cut", "/"),
        ("/cut/off?q=1", "/off?q=1"),
        ("/other", "/deep/other"),
    ):
        assert (await mesh.get(name, where)).request["path"] == path_
    assert (await mesh.get(name, "/host")).request["host"] == "inner.test"


async def test_http_route_timeouts_and_retries(mesh: World) -> None:
    tries = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal tries
        tries += 1
        if request.path == "/slow":
            await asyncio.sleep(20)
        return web.json_response({"suffix": "late"}, status=503 if tries < 3 else 200)

    name, backend = host(mesh), await mesh.backend(slow)
    rules = [
        to(backend, matches=[at("/slow")], timeouts={"request": "200ms"}),
        to(backend, matches=[at("/tried")], retry={"attempts": 3, "codes": [503], "backoff": "1ms"}),
    ]
    await route(mesh, await gateway(mesh), *rules, hosts=[name])
    assert (await mesh.get(name, "/slow")).status == 504
    assert await suffix(mesh, name, "/tried") == "late" and tries == 3


async def test_http_route_request_mirror(mesh: World) -> None:
    copied = asyncio.Queue[str]()

    async def heard(request: web.Request) -> web.Response:
        copied.put_nowait(request.raw_path)
        return web.Response(status=500)

    name, backend, shadow = host(mesh), await mesh.runtime("first"), await mesh.backend(heard)
    mirror = {"backendRef": {"name": shadow, "port": SERVICE_PORT}, "fraction": {"numerator": 1, "denominator": 1}}
    filters = [{"type": "RequestMirror", "requestMirror": mirror}]
    await route(mesh, await gateway(mesh), to(backend, filters=filters), hosts=[name])
    assert await suffix(mesh, name, "/copied") == "first"
    async with asyncio.timeout(WAIT_S):
        assert await copied.get() == "/copied"
    missing = [{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "nobody", "port": 80}}}]
    name = host(mesh)
    rule_, front = to(backend, filters=missing), await gateway(mesh)
    await route(mesh, front, rule_, hosts=[name], ResolvedRefs="-BackendNotFound", Programmed="Programmed")
    assert await suffix(mesh, name) == "first"


@pytest.mark.parametrize(
    ("rule_", "field"),
    [
        ({"filters": [{"type": "CORS"}]}, "spec.rules[0].filters[0].type"),
        ({"matches": [at("/(", "RegularExpression")]}, "spec.rules[0].matches[0].path.value"),
        ({"timeouts": {"request": "1s", "backendRequest": "2s"}}, "spec.rules[0].timeouts.backendRequest"),
        (
            {
                "filters": [
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"set": [{"name": "Host", "value": "x"}]},
                    }
                ]
            },
            "spec.rules[0].filters[0].requestHeaderModifier.set[0].name",
        ),
    ],
)
async def test_a_route_that_cannot_be_obeyed_says_which_field_and_holds_for_nothing(
    mesh: World, rule_: Object, field: str
) -> None:
    name, backend = host(mesh), await mesh.runtime()
    made = await route(mesh, await gateway(mesh), {**to(backend), **rule_}, hosts=[name], Accepted="-UnsupportedValue")
    conditions = mesh.bench.stored(HTTP_ROUTE, made)["status"]["parents"][0]["conditions"]
    assert any(one["type"] == "Accepted" and field in one["message"] for one in conditions)
    assert (await mesh.get(name)).status == 404


async def test_grpc_exact_method_matching(mesh: World) -> None:
    name, one, two = host(mesh), await mesh.runtime("one"), await mesh.runtime("two")
    rules = [
        to(one, matches=[{"method": {"service": "ping.Ping", "method": "Ping"}}]),
        to(two, matches=[{"method": {"service": "ping.Ping"}}, {"method": {"method": "Any"}}]),
    ]
    await grpc_route(mesh, await gateway(mesh), *rules, hosts=[name])
    answers = [
        await suffix(mesh, name, where) for where in ("/ping.Ping/Ping", "/ping.Ping/Other", "/x.Y/Any", "/x.Y/Z")
    ]
    assert answers == ["one", "two", "two", 404]
