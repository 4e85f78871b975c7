"""How soon a real Envoy serves what has changed: `python -m benchmarks live`.

Objects are written to the embedded API; control tells Envoy. A moved endpoint is live when a request is answered by the
new backend; a changed cluster, whose endpoints are as they were, is warm when Envoy says that it waits for none.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.report import clear_progress, limit_bar, percentile, progress, save
from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.process import quiet_collector
from eventmesh.kube.api import Api
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import ENDPOINT_SLICE, TRAFFIC_POLICY
from eventmesh.xds.control.app import Control
from eventmesh.xds.control.services import Settings
from tests.component.embedded_api import embedded
from tests.mesh.test_control_away import answered, routed
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, bootstrap, envoy_on

VARIANTS = {"delta": "DELTA_GRPC", "state of the world": "GRPC"}
HOST = "kept.test"
MOVES, CHANGES = 300, 60
PAUSE_S = 0.02
"""Between two: changes that come one by one."""
LIVE_BAR_MS, WARM_BAR_MS = 20.0, 50.0
FREE_PORT = ("127.0.0.1", 0)


class _Mesh:
    """Control, an Envoy as its gateway, two backends, and one connection of a client."""

    def __init__(self, api: Api, envoy: Envoy, http: aiohttp.ClientSession, port: int) -> None:
        self._api = api
        self._envoy = envoy
        self._http = http
        self._url = f"http://127.0.0.1:{port}/"

    async def moved(self, name: str, port: int) -> float:
        """Lead the Service to the backend `name`; return the seconds until it answers."""
        stored = await self._api.get(ENDPOINT_SLICE, "kept-0", "default")
        ports = [{**stored["ports"][0], "port": port}]
        began = time.perf_counter()
        await self._api.replace(ENDPOINT_SLICE, {**stored, "ports": ports})
        while True:
            async with self._http.get(self._url, headers={"Host": HOST}) as response:
                if json.loads(await response.read())["name"] == name:
                    return time.perf_counter() - began

    async def changed(self, number: int) -> float:
        """Give the Service's cluster another limit; return the seconds until Envoy has it, and waits for no cluster."""
        before = await self._envoy.counter("cluster_manager.cluster_modified")
        began = time.perf_counter()
        await self._api.patch(TRAFFIC_POLICY, "kept", {"spec": _limit(number)}, "default")
        while True:
            page = await self._envoy.page("/stats?filter=^cluster_manager.(cluster_modified|warming_clusters)$")
            stats = dict(line.rsplit(": ", 1) for line in page.splitlines())
            is_known = int(stats["cluster_manager.cluster_modified"]) > before
            if is_known and stats["cluster_manager.warming_clusters"] == "0":
                return time.perf_counter() - began


def _limit(number: int) -> dict[str, object]:
    target = {"group": "", "kind": "Service", "name": "kept"}
    return {"targetRefs": [target], "circuitBreaker": {"maxConnections": 1_000 + number}}


async def _measured(variant: str, directory: Path) -> tuple[list[float], list[float]]:
    async with AsyncExitStack() as stack:
        api = (await stack.enter_async_context(embedded(directory))).in_process()
        clock = SystemClock()
        informers = Informers(api, clock)
        control = Control(api, informers, clock, Settings(public=FREE_PORT, local=FREE_PORT))
        await informers.start()
        stack.push_async_callback(informers.stop)
        port = await control.start("127.0.0.1:0")
        stack.push_async_callback(control.stop)
        ports = {name: (await stack.enter_async_context(backend(name)))[1] for name in ("a", "b")}
        policy = {"metadata": {"name": "kept", "namespace": "default"}, "spec": _limit(0)}
        kind = {"apiVersion": TRAFFIC_POLICY.api_version, "kind": TRAFFIC_POLICY.kind}
        await api.create(TRAFFIC_POLICY, {**kind, **policy}, "default")
        await routed(api, HOST, f"127.0.0.1:{ports['a']}")
        file = directory / "envoy.json"
        file.write_text(json.dumps(bootstrap(port, variant)))
        envoy = await stack.enter_async_context(envoy_on(file))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        public = await envoy.port("public")
        await answered(f"127.0.0.1:{public}", HOST)
        mesh = _Mesh(api, envoy, http, public)
        live, warm = [], []
        for number in range(1, MOVES + 1):
            name = "ab"[number % 2]
            live.append(await mesh.moved(name, ports[name]))
            await asyncio.sleep(PAUSE_S)
        for number in range(1, CHANGES + 1):
            warm.append(await mesh.changed(number))
            await asyncio.sleep(PAUSE_S)
        return live, warm


def run(_: argparse.Namespace) -> bool:
    """Print a row for each change and form of the protocol; bars are printed, never a test."""
    quiet_collector()  # as in a process of control
    figures: dict[str, list[float]] = {}
    for title, variant in VARIANTS.items():
        progress(f"live: Envoy by {title}")
        with tempfile.TemporaryDirectory() as directory:
            live, warm = uvloop.run(_measured(variant, Path(directory)))
        figures[f"endpoint, {title}"] = [second * 1000 for second in live]
        figures[f"cluster, {title}"] = [second * 1000 for second in warm]
    clear_progress()
    sys.stdout.write(
        f"\nlive: from an object to Envoy's traffic, {MOVES} moved endpoints, {CHANGES} changed clusters\n"
    )
    sys.stdout.write(f"{'ms':>28}{'p50':>8}{'p99':>8}{'max':>8}\n")
    for what, values in figures.items():
        p99 = percentile(values, 99)
        sys.stdout.write(f"{what:>28}{statistics.median(values):>8.1f}{p99:>8.1f}{max(values):>8.1f}\n")
        if what.startswith("endpoint"):
            sys.stdout.write(f"{limit_bar('live, at p99', p99, LIVE_BAR_MS, 'ms')}\n")
        else:
            sys.stdout.write(f"{limit_bar('warm', max(values), WARM_BAR_MS, 'ms')}\n")
    save("live", figures)
    return False
