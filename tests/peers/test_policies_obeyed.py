"""The same TrafficPolicies, obeyed by a real Envoy and by our own gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.kube.resources import TRAFFIC_POLICY
from eventmesh.kube.status import is_ready
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import Bench
from tests.component.planes import ask, backend
from tests.component.processes import data_plane
from tests.component.test_scope_at_work import create_service
from tests.mesh.test_control_away import answered
from tests.peers.envoy import running_envoy

pytestmark = pytest.mark.peer

FAILURES = 2
"""How often the backend fails before it answers."""


class World:
    def __init__(self, bench: Bench, upstream: str, asked: list[str], public: str) -> None:
        self.bench = bench
        self.upstream = upstream
        self.asked = asked
        self.public = public

    async def under(self, name: str, **policy: Any) -> None:
        """Serve NAME.test under a policy of its own, and return when it is obeyed."""
        await create_service(self.bench, "default", name, self.upstream)
        await self.bench.ingress(name, f"{name}.test", name)
        await answered(self.public, f"{name}.test")
        target = {"group": "", "kind": "Service", "name": name}
        await self.bench.create(TRAFFIC_POLICY, name, {"targetRefs": [target], **policy})
        await self.bench.until(TRAFFIC_POLICY, name, is_ready)
        self.asked.clear()

    async def get(self, name: str, path: str = "/", **headers: str) -> int:
        return (await ask(self.public, path, headers={"Host": f"{name}.test", **headers})).status


@pytest_asyncio.fixture(params=["envoy", "ours"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[World]:
    asked: list[str] = []

    async def flaky(request: web.Request) -> web.Response:
        asked.append(request.path)
        fails = request.path == "/flaky" and asked.count("/flaky") <= FAILURES
        return web.Response(status=503 if fails else 200)

    public, local = (("127.0.0.1", unused_tcp_port_factory()) for _ in range(2))
    async with AsyncExitStack() as stack:
        bench = Bench(tmp_path, settings=Settings(public=public, local=local))
        await bench.start()
        stack.push_async_callback(bench.stop)
        upstream = await stack.enter_async_context(backend(flaky))
        if request.param == "envoy":
            await stack.enter_async_context(running_envoy(tmp_path, bench.port, "DELTA_GRPC"))
        else:
            file = tmp_path / "gateway.json"
            file.write_text(json.dumps(bootstrap("gateway", "gw", "127.0.0.1:0", f"127.0.0.1:{bench.port}")))
            await stack.enter_async_context(data_plane("gateway", file))
        yield World(bench, upstream, asked, "{}:{}".format(*public))


async def test_a_policy_is_obeyed(world: World) -> None:
    await world.under("retried", retry={"attempts": FAILURES, "codes": [503], "backoff": "1ms"})
    assert await world.get("retried", "/flaky") == 200
    assert world.asked == ["/flaky"] * (FAILURES + 1)
    await world.under("limited", rateLimit={"requests": 2, "per": "1h"})
    assert [await world.get("limited") for _ in range(4)] == [200, 200, 429, 429]
    await world.under("faulty", fault={"abort": {"status": 510}})
    assert await world.get("faulty") == 510
    assert world.asked == []
    await world.under("hashed", loadBalancer={"type": "Maglev", "hashOn": {"header": "x-user"}})
    assert await world.get("hashed", **{"x-user": "me"}) == 200
    await world.under("watched", outlierDetection={"consecutive5xxErrors": 3})
    assert await world.get("watched") == 200
