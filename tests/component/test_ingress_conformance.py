"""Knative's ingress conformance through our gateway: a test of the same name for each of its requirements.

`/` and `-` of the names are `_` here; source: knative/networking test/conformance/ingress. The images' behaviour is
made anew in `ingress_world`; streams and connections stand in `test_ingress_conformance_streams`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.resources import ENDPOINT_SLICE, KINGRESS, SERVICE
from eventmesh.xds.control.ingress_hash import ingress_hash
from tests.component.ingress_world import World, path, rule, split, world

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOLERANCE = 10
"""Percentage points: over six standard deviations of the suite's 1,000 requests."""
PERCENTS = (1, 2, 4, 8, 16, 32, 37, 0, 0, 0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[World]:
    ports = [unused_tcp_port_factory() for _ in range(3)]
    async with world(tmp_path_factory.mktemp("ingress"), ports) as made:
        yield made


async def test_basics(gateway: World) -> None:
    host = f"{gateway.name('basics')}.example.com"
    await gateway.ingress(rule([host], path(split(await gateway.runtime()))))
    seen = await gateway.get(host)
    assert (seen.status, seen.request["host"]) == (200, host)


async def test_headers_pre_split(gateway: World) -> None:
    host = f"{gateway.name('pre')}.example.com"
    await gateway.ingress(rule([host], path(split(await gateway.runtime()), appendHeaders={"Foo-Bar-Baz": "blah"})))
    assert (await gateway.get(host)).header("Foo-Bar-Baz") == "blah"
    assert (await gateway.get(host, Foo_Bar_Baz="bogus")).header("Foo-Bar-Baz") == "blah"


async def test_headers_post_split(gateway: World) -> None:
    host, backend = f"{gateway.name('post')}.example.com", await gateway.runtime()
    splits = [split(backend, 25, Foo_Bar_Baz=word) for word in ("blurg", "asdf", "qwer", "zxcv")]
    await gateway.ingress(rule([host], path(*splits)))
    seen = {(await gateway.get(host, Foo_Bar_Baz="bogus")).header("Foo-Bar-Baz") for _ in range(100)}
    assert seen == {"blurg", "asdf", "qwer", "zxcv"}


async def test_headers_probe(gateway: World) -> None:
    host = f"{gateway.name('probe')}.example.com"
    name = await gateway.ingress(rule([host], path(split(await gateway.runtime()))))
    spec = gateway.bench.stored(KINGRESS, name)["spec"]
    wanted = ingress_hash(spec, "default", name)
    assert (await gateway.get(host, K_Network_Hash="override")).headers["K-Network-Hash"] == wanted
    assert (await gateway.get(host, K_Network_Hash="other")).headers["K-Network-Hash"] == "other"


async def test_headers_tags(gateway: World) -> None:
    host = f"{gateway.name('tags')}.example.com"
    tagged, plain = await gateway.runtime("tagged"), await gateway.runtime("plain")
    header = {"Knative-Serving-Tag": {"exact": "the-tag"}}
    await gateway.ingress(rule([host], path(split(tagged), headers=header), path(split(plain))))
    for tag, suffix in (("the-tag", "tagged"), ("", "plain"), ("not-the-tag", "plain")):
        assert (await gateway.get(host, Knative_Serving_Tag=tag)).request["suffix"] == suffix
    assert (await gateway.get(host)).request["suffix"] == "plain"


async def test_hosts_multiple(gateway: World) -> None:
    name = gateway.name("hosts")
    hosts = [
        f"{name}{end}" for end in (".foo.com", ".www.foo.com", ".a-b-1.something-really-really-long.com", ".add.one")
    ]
    await gateway.ingress(rule(hosts, path(split(await gateway.runtime()))))
    for host in hosts:
        assert (await gateway.get(host)).status == 200


async def test_dispatch_path(gateway: World) -> None:
    host, backend = f"{gateway.name('path')}.example.com", await gateway.runtime()
    paths = [path(split(backend, Which_Backend=word), path=f"/{word}") for word in ("foo", "bar", "baz")]
    await gateway.ingress(rule([host], *paths, path(split(backend, Which_Backend="quux"))))
    for asked, word in (("/foo", "foo"), ("/bar", "bar"), ("/baz", "baz"), ("/", "quux"), ("/asdf", "quux")):
        assert (await gateway.get(host, asked)).header("Which-Backend") == word


async def test_dispatch_percentage(gateway: World) -> None:
    host, backend = f"{gateway.name('percent')}.example.com", await gateway.runtime()
    splits = [split(backend, percent, Foo_Bar=f"s{at}") for at, percent in enumerate(PERCENTS)]
    await gateway.ingress(rule([host], path(*splits)))
    require_shares(await gateway.shares(host, "Foo-Bar"))


def require_shares(counted: dict[str, int]) -> None:
    """Each share is within the suite's tolerance, and one of 0 % gets nothing at all."""
    total = sum(counted.values())
    assert counted.keys() <= {f"s{at}" for at, percent in enumerate(PERCENTS) if percent}
    for at, percent in enumerate(PERCENTS):
        assert abs(100 * counted.get(f"s{at}", 0) / total - percent) <= TOLERANCE


async def test_dispatch_path_and_percentage(gateway: World) -> None:
    host, backend = f"{gateway.name('both')}.example.com", await gateway.runtime()
    half = path(split(backend, 50, Foo_Bar="one"), split(backend, 50, Foo_Bar="two"), path="/foo")
    await gateway.ingress(rule([host], half, path(split(backend, Foo_Bar="default"))))
    counted = await gateway.shares(host, "Foo-Bar", "/foo")
    assert counted.keys() == {"one", "two"}
    assert all(abs(count - 500) <= 150 for count in counted.values())
    assert (await gateway.get(host, "/other")).header("Foo-Bar") == "default"


async def test_dispatch_rule(gateway: World) -> None:
    hosts = [f"{gateway.name('rule')}.example.com" for _ in range(2)]
    rules = [
        rule([host], path(split(await gateway.runtime()), appendHeaders={"Foo-Bar": host.partition(".")[0]}))
        for host in hosts
    ]
    await gateway.ingress(*rules)
    for host in hosts:
        assert (await gateway.get(host)).header("Foo-Bar") == host.partition(".")[0]


async def test_retry(gateway: World) -> None:
    host, asked = f"{gateway.name('retry')}.example.com", []

    async def first_fails(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=503 if len(asked) == 1 else 200)

    await gateway.ingress(rule([host], path(split(await gateway.backend(first_fails)))))
    assert [(await gateway.get(host)).status for _ in range(2)] == [503, 200]
    assert len(asked) == 2


async def test_timeout(gateway: World) -> None:
    # The suite waits 10 s; that there is no timeout of any length is read from the routes in tests/unit/xds.
    host, pause_s = f"{gateway.name('timeout')}.example.com", 0.3

    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(pause_s)
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(pause_s)
        await response.write(b"done")
        return response

    await gateway.ingress(rule([host], path(split(await gateway.backend(slow)))))
    assert (await gateway.get(host)).status == 200


async def test_update(gateway: World) -> None:
    host = f"{gateway.name('update')}.example.com"
    backends = [await gateway.runtime("0"), await gateway.runtime("1")]
    name = await gateway.ingress(rule([host], path(split(backends[0], Who="0"))))
    statuses, prober = set(), TaskGroup("test.prober")

    async def probe() -> None:
        while True:
            statuses.add((await gateway.get(host)).status)

    prober.spawn("probe", probe())
    for number in range(1, 11):
        await gateway.ingress(rule([host], path(split(backends[0], Who=str(number)))), name=name)
        assert (await gateway.get(host)).header("Who") == str(number)
    for number in range(1, 11):
        old = backends[number - 1]
        await gateway.ingress(rule([host], path(split(backends[number], Who="10"))), name=name)
        assert (await gateway.get(host)).request["suffix"] == str(number)
        await gateway.bench.api.delete(ENDPOINT_SLICE, f"{old}-0", "default")
        await gateway.bench.api.delete(SERVICE, old, "default")
        backends.append(await gateway.runtime(str(number + 1)))
    await prober.stop()
    assert statuses == {200}


def local_names(name: str) -> list[str]:
    return [f"{name}.default.svc.cluster.local", f"{name}.default.svc", f"{name}.default"]


async def test_visibility(gateway: World) -> None:
    hosts = local_names(gateway.name("private"))
    await gateway.ingress(rule(hosts, path(split(await gateway.runtime())), visibility="ClusterLocal"))
    for host in hosts:
        assert (await gateway.get(host)).status == 404
        assert (await gateway.get(host, port=gateway.local)).status == 200


async def test_visibility_split(gateway: World) -> None:
    hosts, backend = local_names(gateway.name("private-split")), await gateway.runtime()
    splits = [split(backend, percent, Foo_Bar=f"s{at}") for at, percent in enumerate(PERCENTS)]
    await gateway.ingress(rule(hosts, path(*splits), visibility="ClusterLocal"))
    require_shares(await gateway.shares(hosts[0], "Foo-Bar", port=gateway.local))


async def test_visibility_path(gateway: World) -> None:
    hosts, backend = local_names(gateway.name("private-path")), await gateway.runtime()
    paths = [path(split(backend, Which_Backend=word), path=f"/{word}") for word in ("foo", "bar", "baz")]
    last = path(split(backend, Which_Backend="quux"))
    await gateway.ingress(rule(hosts, *paths, last, visibility="ClusterLocal"))
    for asked, word in (("/foo", "foo"), ("/bar", "bar"), ("/baz", "baz"), ("/", "quux"), ("/asdf", "quux")):
        assert (await gateway.get(hosts[0], asked, port=gateway.local)).header("Which-Backend") == word


@pytest.mark.parametrize("class_", [None, "", "incorrect", "istio.ingress.networking.knative.dev"])
async def test_ingressclass(gateway: World, class_: str | None) -> None:
    name, backend = gateway.name("foreign"), await gateway.runtime()
    annotations = {} if class_ is None else {"networking.knative.dev/ingress-class": class_}
    spec = {"rules": [rule([f"{name}.example.com"], path(split(backend)))]}
    created = await gateway.bench.create(KINGRESS, name, copy.deepcopy(spec), annotations=annotations)
    # One of ours goes all the way through control after it.
    await gateway.ingress(rule([f"{gateway.name('ours')}.example.com"], path(split(backend))))
    assert await gateway.bench.api.get(KINGRESS, name, "default") == created


async def test_host_rewrite(gateway: World) -> None:
    private = f"{gateway.name('inner')}.default.svc.cluster.local"
    await gateway.ingress(rule([private], path(split(await gateway.runtime("inner"))), visibility="ClusterLocal"))
    outside, hops = f"{gateway.name('outer')}.example.com", gateway.name("hop")
    host, _, port = gateway.local.partition(":")
    ports = [{"name": "http", "port": int(port)}]
    await gateway.bench.create(SERVICE, hops, {"type": "ExternalName", "externalName": host, "ports": ports})
    to_local = {**split(hops), "servicePort": int(port)}
    await gateway.ingress(rule([outside], path(to_local, rewriteHost=private)))
    seen = await gateway.get(outside)
    assert (seen.status, seen.request["suffix"], seen.request["host"]) == (200, "inner", private)


@pytest.mark.parametrize(("option", "status"), [("Enabled", 200), ("Redirected", 301)])
async def test_httpoption(gateway: World, option: str, status: int) -> None:
    host = f"{gateway.name('option')}.example.com"
    await gateway.ingress(rule([host], path(split(await gateway.runtime()))), httpOption=option)
    seen = await gateway.get(host, "/where")
    assert seen.status == status
    if status == 301:
        assert seen.headers["Location"] == f"https://{host}/where"
