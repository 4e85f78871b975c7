"""A mesh whose gateway is an unmodified Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from eventmesh.kube.resources import ENDPOINT_SLICE, SERVICE
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import Bench
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, running_envoy


@dataclass
class EnvoyGateway:
    bench: Bench
    envoy: Envoy
    http: aiohttp.ClientSession

    async def get(self, listener: str, host: str, path: str = "/", **headers: str) -> tuple[int, dict[str, Any]]:
        """Send one request through Envoy; return the status and what the backend saw."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{await self.envoy.port(listener)}{path}"
        async with self.http.get(url, headers={"Host": host, **named}, allow_redirects=False) as response:
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


@asynccontextmanager
async def envoy_gateway(directory: Path, variant: str) -> AsyncIterator[EnvoyGateway]:
    """Run control and Envoy under it, with a Service `a`; `variant` is Envoy's api_type."""
    async with AsyncExitStack() as stack:
        anywhere = ("127.0.0.1", 0)
        bench = Bench(directory / "mesh", settings=Settings(public=anywhere, local=anywhere))
        await bench.start()
        stack.push_async_callback(bench.stop)
        envoy = await stack.enter_async_context(running_envoy(directory, bench.port, variant))
        made = EnvoyGateway(bench, envoy, await stack.enter_async_context(aiohttp.ClientSession()))
        await made.service("a", await stack.enter_async_context(backend("a")))
        await envoy.port("local")
        yield made
