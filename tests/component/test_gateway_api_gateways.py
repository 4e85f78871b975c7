"""Gateways and what is attached to them, by the names that Gateway API's conformance suite has for its tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from eventmesh.kube.api import Object
from eventmesh.kube.resources import ENDPOINT_SLICE, GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, SERVICE
from tests.component.gateway_api_world import (
    CLASS,
    FILES,
    at,
    certificate,
    gateway,
    gateway_api_world,
    grant,
    host,
    listener,
    namespace,
    route,
    said,
    suffix,
    to,
    until,
)
from tests.component.ingress_world import SECURED_HOST, SERVICE_PORT, World, path, rule, split
from tests.waiting import WAIT_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(
    tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[World]:
    async with gateway_api_world(tmp_path_factory.mktemp("mesh"), unused_tcp_port_factory) as made:
        yield made


async def test_gateway_class_observed_generation_bump(mesh: World) -> None:
    def accepted(obj: Object) -> bool:
        conditions = (obj.get("status") or {}).get("conditions") or []
        return said(conditions, obj["metadata"]["generation"], Accepted="Accepted")

    found = await until(mesh, GATEWAY_CLASS, CLASS, accepted, "")
    assert {"name": "HTTPRoute"} in found["status"]["supportedFeatures"]


async def test_http_route_hostname_intersection(mesh: World) -> None:
    backend, domain = await mesh.runtime("hosts"), f"{mesh.name('d')}.test"
    listeners = [listener("wide", hostname=f"*.{domain}"), listener("one", hostname=f"exact.very.{domain}")]
    front = await gateway(mesh, *listeners)
    await route(mesh, front, to(backend), hosts=[f"a.{domain}", f"exact.very.{domain}", "elsewhere.test"])
    answers = [await suffix(mesh, f"{name}.{domain}") for name in ("a", "b", "exact.very")]
    assert answers == ["hosts", 404, "hosts"] and await suffix(mesh, "elsewhere.test") == 404
    narrow = {"name": front, "sectionName": "one"}
    await route(mesh, narrow, to(backend), hosts=["no.test"], Accepted="-NoMatchingListenerHostname")
    # A route without hosts has those of its listener.
    whole = f"{mesh.name('d')}.test"
    await route(mesh, await gateway(mesh, listener("all", hostname=f"*.{whole}")), to(backend))
    assert await suffix(mesh, f"deep.down.{whole}") == "hosts" and await suffix(mesh, whole) == 404


async def test_http_route_invalid_parent_refs(mesh: World) -> None:
    backend, front = await mesh.runtime("never"), await gateway(mesh)
    for ref, reason in (
        ({"name": front, "sectionName": "nowhere"}, "-NoMatchingParent"),
        ({"name": front, "port": 81}, "-NoMatchingParent"),
        ({"group": "", "kind": "Service", "name": "nobody"}, "-NoMatchingParent"),
    ):
        await route(mesh, ref, to(backend), hosts=[host(mesh)], Accepted=reason, Programmed="-NotAccepted")


async def test_http_route_cross_namespace(mesh: World) -> None:
    backend, other = await mesh.runtime("crossed"), await namespace(mesh, mesh.name("other"), team="green")
    ref = {"name": backend, "namespace": "default", "port": SERVICE_PORT}
    by_label = {"from": "Selector", "selector": {"matchLabels": {"team": "green"}}}
    same, all_, chosen = [
        await gateway(mesh, listener("http", allowedRoutes={"namespaces": namespaces}))
        for namespaces in ({"from": "Same"}, {"from": "All"}, by_label)
    ]
    for front, accepted in ((same, "-NotAllowedByListeners"), (all_, "Accepted"), (chosen, "Accepted")):
        parent = {"name": front, "namespace": "default"}
        await route(mesh, parent, {"backendRefs": [ref]}, hosts=[host(mesh)], namespace=other, Accepted=accepted)


async def test_http_route_reference_grant(mesh: World) -> None:
    backend, other, name = await mesh.runtime("granted"), await namespace(mesh, mesh.name("other")), host(mesh)
    front = await gateway(mesh, listener("http", allowedRoutes={"namespaces": {"from": "All"}}))
    parent, ref = (
        {"name": front, "namespace": "default"},
        {"name": backend, "namespace": "default", "port": SERVICE_PORT},
    )
    rules, where = {"backendRefs": [ref]}, mesh.name("route")
    await route(
        mesh,
        parent,
        rules,
        hosts=[name],
        name=where,
        namespace=other,
        ResolvedRefs="-RefNotPermitted",
        Programmed="Programmed",
    )
    assert await suffix(mesh, name) == 500
    await grant(mesh, other, "default")
    generation = mesh.bench.informers.of(HTTP_ROUTE).get(where, other)["metadata"]["generation"]  # type: ignore[index]

    def resolved(obj: Object) -> bool:
        conditions = obj["status"]["parents"][0]["conditions"]
        return said(conditions, generation, ResolvedRefs="ResolvedRefs", Programmed="Programmed")

    await until(mesh, HTTP_ROUTE, where, resolved, other)
    assert await suffix(mesh, name) == "granted"


async def test_gateway_with_attached_routes_and_observed_generation_bump(mesh: World) -> None:
    front, backend = await gateway(mesh), await mesh.runtime()
    for _ in range(2):
        await route(mesh, front, to(backend), hosts=[host(mesh)])

    def counted(obj: Object) -> bool:
        return [one["attachedRoutes"] for one in obj["status"]["listeners"]] == [2]

    found = await until(mesh, GATEWAY, front, counted, "default")
    assert found["status"]["addresses"] == [{"type": "IPAddress", "value": "127.0.0.1"}]
    await gateway(mesh, listener("http"), listener("more", hostname="more.test"), name=front)
    assert len(mesh.bench.stored(GATEWAY, front)["status"]["listeners"]) == 2


@pytest.mark.parametrize(
    ("bad", "conditions"),
    [
        (listener("bad", port=1234), {"Accepted": "-PortUnavailable"}),
        (listener("bad", 81, "TCP"), {"Accepted": "-UnsupportedProtocol"}),
        (
            listener("bad", hostname="kinds.test", allowedRoutes={"kinds": [{"kind": "TCPRoute"}]}),
            {"ResolvedRefs": "-InvalidRouteKinds"},
        ),
        (listener("bad"), {"Conflicted": "HostnameConflict", "Accepted": "-HostnameConflict"}),
        (listener("bad", 443, "HTTPS"), {"Accepted": "-UnsupportedValue"}),
        (
            listener("bad", 443, "HTTPS", tls={"certificateRefs": [{"name": "nobody"}]}),
            {"ResolvedRefs": "-InvalidCertificateRef"},
        ),
        (
            listener("bad", 443, "HTTPS", tls={"certificateRefs": [{"name": "x", "namespace": "elsewhere"}]}),
            {"ResolvedRefs": "-RefNotPermitted"},
        ),
    ],
)
async def test_a_listener_that_cannot_be_served_says_why_and_the_others_work(
    mesh: World, bad: Object, conditions: dict[str, str]
) -> None:
    name, backend = host(mesh), await mesh.runtime("others")
    made = mesh.name("gateway")
    accepted = "ListenersNotValid" if conditions.get("Accepted") else "Accepted"
    await gateway(mesh, listener("good"), bad, name=made, Accepted=accepted)

    def told(obj: Object) -> bool:
        found = {one["name"]: one["conditions"] for one in obj["status"]["listeners"]}
        generation = obj["metadata"]["generation"]
        return said(found["bad"], generation, Programmed="-Invalid", **conditions) and said(
            found["good"], generation, Programmed="Programmed"
        )

    await until(mesh, GATEWAY, made, told, "default")
    await route(mesh, made, to(backend), hosts=[name])
    assert await suffix(mesh, name) == "others"


async def test_http_route_https_listener(mesh: World) -> None:
    backend = await mesh.runtime("secure")
    tls = {"certificateRefs": [{"name": await certificate(mesh)}]}
    front = await gateway(mesh, listener("https", 443, "HTTPS", tls=tls, hostname=SECURED_HOST))
    await route(mesh, front, to(backend), hosts=[SECURED_HOST])
    context = ssl.create_default_context(cafile=str(FILES / "authority.pem"))
    url, headers = f"https://{mesh.secure}/", {"Host": SECURED_HOST}
    async with mesh.http.get(url, headers=headers, ssl=context, server_hostname=SECURED_HOST) as response:
        assert (await response.json())["suffix"] == "secure"
    assert (await mesh.get(SECURED_HOST)).status == 404, "a listener for TLS serves nobody in clear text"


async def test_a_function_is_a_backend_by_its_own_shares(mesh: World) -> None:
    name, one, two = host(mesh), await mesh.runtime("one"), await mesh.runtime("two")
    function = mesh.name("function")
    labels = {"serving.knative.dev/route": function}
    ports = {"ports": [{"name": "http", "port": 80}], "type": "ExternalName", "externalName": "gateway.test"}
    await mesh.bench.create(SERVICE, function, ports, labels=labels)
    inside = f"{function}.default.svc.cluster.local"
    shares = path(split(one, 50, Knative_Serving_Revision="one"), split(two, 50, Knative_Serving_Revision="two"))
    await mesh.ingress(rule([inside], shares, visibility="ClusterLocal"))
    await route(mesh, await gateway(mesh), to(function), hosts=[name])
    answers = [await mesh.get(name) for _ in range(100)]
    assert {(seen.request["suffix"], seen.header("Knative-Serving-Revision")) for seen in answers} == {
        ("one", "one"),
        ("two", "two"),
    }


async def test_a_host_of_a_function_stays_the_functions(mesh: World) -> None:
    name, function, backend = host(mesh), await mesh.runtime("function"), await mesh.runtime("route")
    await mesh.ingress(rule([name], path(split(function))))
    await route(mesh, await gateway(mesh), to(backend), hosts=[name], Accepted="-HostnameConflict")
    assert await suffix(mesh, name) == "function"


async def test_mesh_basic(mesh: World) -> None:
    old, new = await mesh.runtime("old"), await mesh.runtime("new")
    inside = f"{old}.default.svc.cluster.local"
    service = {"group": "", "kind": "Service", "name": old}
    rules = [to(new, matches=[at("/new")]), to(old, matches=[at("/old")])]
    made = await route(mesh, service, *rules)

    async def answers() -> list[object]:
        found = [await mesh.get(inside, where, port=mesh.local) for where in ("/new", "/old", "/other")]
        return [seen.request.get("suffix", seen.status) for seen in found]

    assert await answers() == ["new", "old", 404]
    await mesh.bench.api.delete(HTTP_ROUTE, made, "default")
    async with asyncio.timeout(WAIT_S):
        while await answers() != ["old", "old", "old"]:
            await asyncio.sleep(0.02)


async def test_a_route_follows_the_endpoints_of_its_backend(mesh: World) -> None:
    name, backend = host(mesh), await mesh.runtime("here")
    await route(mesh, await gateway(mesh), to(backend), hosts=[name])
    assert await suffix(mesh, name) == "here"
    await mesh.bench.api.delete(ENDPOINT_SLICE, f"{backend}-0", "default")
    async with asyncio.timeout(WAIT_S):
        while await suffix(mesh, name) != 503:
            await asyncio.sleep(0.02)
