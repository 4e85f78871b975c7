"""An unmodified Envoy as the gateway of a mesh: KIngresses in, requests through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventmesh.kube.resources import ENDPOINT_SLICE, KINGRESS, SERVICE
from eventmesh.kube.status import condition
from eventmesh.xds.control.ingress_hash import ingress_hash
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import Bench
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, running_envoy

pytestmark = pytest.mark.peer


@dataclass
class Gateway:
    bench: Bench
    envoy: Envoy
    http: aiohttp.ClientSession

    async def get(self, listener: str, host: str, **headers: str) -> tuple[int, dict[str, Any]]:
        """Send one request through Envoy; return the status and what the backend saw."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{await self.envoy.port(listener)}/"
        async with self.http.get(url, headers={"Host": host, **named}) as response:
            return response.status, (await response.json() if response.status == 200 else {})

    async def service(self, name: str, address: tuple[str, int]) -> None:
        """Create a Service with one endpoint, as a controller of endpoints would."""
        await self.bench.create(SERVICE, name, {"ports": [{"name": "http", "port": 80}]})
        slice_ = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {"name": f"{name}-0", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": address[1], "protocol": "TCP"}],
            "endpoints": [{"addresses": [address[0]], "conditions": {"ready": True}}],
        }
        await self.bench.api.create(ENDPOINT_SLICE, slice_, "default")


@pytest.fixture(params=["GRPC", "DELTA_GRPC"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        anywhere = ("127.0.0.1", 0)
        bench = Bench(tmp_path / "mesh", settings=Settings(public=anywhere, local=anywhere))
        await bench.start()
        stack.push_async_callback(bench.stop)
        envoy = await stack.enter_async_context(running_envoy(tmp_path, bench.port, request.param))
        made = Gateway(bench, envoy, await stack.enter_async_context(aiohttp.ClientSession()))
        a = await stack.enter_async_context(backend("a"))
        await made.service("a", a)
        await envoy.port("local")
        yield made


async def test_once_ready_an_ingress_is_served_with_its_headers_and_its_hash(gateway: Gateway) -> None:
    created = await gateway.bench.ingress("hello", "hello.test", "a", appendHeaders={"X-Who": "mesh"})
    await gateway.bench.ready("hello")
    assert gateway.bench.control.acks.clients(Role.ENVOY) == 1
    status, seen = await gateway.get("public", "hello.test:8080", X_Who="client", K_Network_Hash="override")
    assert (status, seen["name"], seen["headers"]["x-who"]) == (200, "a", "mesh")
    assert seen["headers"]["k-network-hash"] == ingress_hash(created["spec"], "default", "hello")
    assert (await gateway.get("local", "a.default.svc.cluster.local"))[1]["name"] == "a"
    assert (await gateway.get("public", "a.default.svc.cluster.local"))[0] == 404


async def test_envoys_refusal_is_told_to_the_author_in_envoys_words(gateway: Gateway) -> None:
    await gateway.bench.ingress("good", "good.test", "a")
    await gateway.bench.ready("good")
    await gateway.bench.ingress("bad", "bad.test", "a", appendHeaders={":path": "/elsewhere"})

    def is_refused(obj: dict[str, Any]) -> bool:
        found = condition(obj, "NetworkConfigured")
        return found is not None and found.get("reason") == "ConfigurationRefused"

    refused = condition(await gateway.bench.until(KINGRESS, "bad", is_refused), "NetworkConfigured")
    assert refused is not None and refused["message"].startswith("envoy-1: ")
    await gateway.bench.ingress("later", "later.test", "a")
    await gateway.bench.ready("later")
    assert [(await gateway.get("public", f"{name}.test"))[0] for name in ("good", "later", "bad")] == [200, 200, 404]
