"""Two replicas of control, a real Envoy and a sidecar under them: any may go, all may go, and no request fails."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.kube.api import Api
from eventmesh.kube.resources import KINGRESS, LEASE
from eventmesh.kube.status import is_ready
from tests.component.embedded_api import Served, served
from tests.component.processes import data_plane
from tests.component.test_control_command import control
from tests.mesh.test_control_away import answered, routed
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, envoy_on
from tests.peers.load import CALLERS, load
from tests.peers.test_envoy_ads import VARIANTS
from tests.peers.test_envoy_flips import moved
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

REPLICAS = 2
LEASE_S = "2"
"""So long nobody writes when the one that did is lost."""

PAUSE_S = 0.02
"""Of each caller: processes that start beside it need the machine too."""


class Replicas:
    """The processes, each on ports of its own that it keeps when it is started again."""

    def __init__(self, api: Served, public: str, ports: Callable[[], int]) -> None:
        self.api = api
        self.ads = [ports() for _ in range(REPLICAS)]
        self._admin = [ports() for _ in range(REPLICAS)]
        self._flags = ("--kubeconfig", str(api.kubeconfig), "--gateway", public, "--local", f"127.0.0.1:{ports()}")
        self._running: list[AsyncExitStack] = [AsyncExitStack() for _ in range(REPLICAS)]
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    async def start(self, *numbers: int) -> None:
        async def one(number: int) -> None:
            more = ("--address", f"127.0.0.1:{self.ads[number]}", "--lease-duration-s", LEASE_S)
            admin = ("--admin-address", f"127.0.0.1:{self._admin[number]}")
            process, _ = await self._running[number].enter_async_context(control(*self._flags, *more, *admin))
            self._processes[number] = process

        await asyncio.gather(*map(one, numbers))

    async def kill(self, *numbers: int) -> None:
        for number in numbers:
            self._processes[number].kill()
        for number in numbers:
            await self._processes[number].wait()
            await self._running[number].aclose()

    async def close(self) -> None:
        for running in self._running:
            await running.aclose()

    async def leader(self) -> int:
        """Return which of them writes, as soon as one does that runs."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for number, process in self._processes.items():
                    text = await self._page(number, "/metrics") if process.returncode is None else ""
                    if "eventmesh_control_leading 1\n" in text:
                        return number
                await asyncio.sleep(0.02)

    async def pushes(self) -> dict[str, int]:
        """Return how many responses of each type all of them have sent since they were started."""
        found: dict[str, int] = {}
        for number in range(REPLICAS):
            for kind, count in re.findall(r'pushes_total{type="(\w+)"} (\d+)', await self._page(number, "/metrics")):
                found[kind] = found.get(kind, 0) + int(count)
        return found

    async def clients(self) -> list[dict[str, Any]]:
        """Return who is connected, to whomever."""
        pages = [json.loads(await self._page(number, "/status")) for number in range(REPLICAS)]
        return [client for page in pages for client in page["clients"]]

    async def connected(self, *nodes: str) -> None:
        """Return when these are connected, and each lacks nothing."""
        async with asyncio.timeout(WAIT_S):
            while True:
                quiet = {one["node"] for one in await self.clients() if _is_synced(one)}
                if quiet >= set(nodes):
                    return
                await asyncio.sleep(0.05)

    async def _page(self, number: int, path: str) -> str:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self._admin[number]}{path}") as response,
        ):
            return await response.text()


def _is_synced(client: dict[str, Any]) -> bool:
    states = {short: found["state"] for short, found in client["types"].items()}
    return states["rds"] == "SYNCED" and "STALE" not in states.values()


def bootstrap(role: str, node: str, replicas: Replicas, admin: str = "127.0.0.1:0", namespace: str = "") -> Any:
    """Return a bootstrap that knows all replicas."""
    tree = client_bootstrap(role, node, f"127.0.0.1:{replicas.ads[0]}", admin, namespace)
    assignment = tree["static_resources"]["clusters"][0]["load_assignment"]
    assignment["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                for port in replicas.ads
            ]
        }
    ]
    return tree


async def ready(api: Api, name: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_ready(await api.get(KINGRESS, name, "default")):
            await asyncio.sleep(0.02)


async def modified(envoy: Envoy) -> tuple[int, int]:
    """Return how often Envoy has changed a cluster or a listener."""
    return await envoy.counter("cluster_manager.cluster_modified"), await envoy.counter(
        "listener_manager.listener_modified"
    )


@pytest.mark.parametrize("variant", VARIANTS)
async def test_leaders_and_all_replicas_are_killed_under_load_and_nobody_notices(
    variant: str, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    port = unused_tcp_port_factory()
    public = f"127.0.0.1:{port}"
    pod_ip = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
    async with AsyncExitStack() as stack:
        api_server = await stack.enter_async_context(served(tmp_path))
        api = api_server.api.in_process()
        a, b = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        replicas = Replicas(api_server, public, unused_tcp_port_factory)
        stack.push_async_callback(replicas.close)
        await replicas.start(*range(REPLICAS))
        tree = bootstrap("envoy", "envoy-1", replicas)
        tree["dynamic_resources"]["ads_config"]["api_type"] = variant
        (tmp_path / "envoy.json").write_text(json.dumps(tree))
        envoy = await stack.enter_async_context(envoy_on(tmp_path / "envoy.json"))
        pod = bootstrap("sidecar", "pod-1", replicas, f"{pod_ip}:0", "default")
        pod["dynamic_resources"]["ads_config"]["api_type"] = variant
        (tmp_path / "pod.json").write_text(json.dumps(pod))
        env = {"USER_PORT": str(unused_tcp_port_factory()), "SERVING_POD": "pod-1", "SERVING_POD_IP": pod_ip}
        sidecar = await stack.enter_async_context(data_plane("sidecar", tmp_path / "pod.json", env=env))

        await routed(api, "kept.test", "{}:{}".format(*a))
        await ready(api, "kept")
        await answered(public, "kept.test")
        await answered(sidecar.addresses["outbound"], "kept.default")
        running = await stack.enter_async_context(load(port, "kept.test", pause_s=PAUSE_S))
        inside = await stack.enter_async_context(load(15001, "kept.default", pod_ip, pause_s=PAUSE_S))
        await running.more(CALLERS)
        await replicas.connected("envoy-1", "pod-1")

        # The leader goes, and with it perhaps what some are connected to; another one writes what has become of things.
        first = await replicas.leader()
        await replicas.kill(first)
        await routed(api, "next.test", "{}:{}".format(*a))
        await ready(api, "next")
        await answered(public, "next.test")
        lease = await api.get(LEASE, "eventmesh-control", "eventmesh-system")
        assert lease["spec"]["leaseTransitions"] >= 1

        # All go, and come back: who has everything is told nothing.
        before = await modified(envoy)
        await replicas.start(first)
        await replicas.connected("envoy-1", "pod-1")
        await replicas.kill(*range(REPLICAS))
        await running.more(5 * CALLERS)
        await replicas.start(*range(REPLICAS))
        await replicas.connected("envoy-1", "pod-1")
        sent = await replicas.pushes()
        if variant == "DELTA_GRPC":
            # Named resources are sent once more, as they were (envoyproxy/envoy#22418); and a sidecar that holds no
            # listener is told that there is none.
            assert sent.get("cds", 0) == 0 and sent.get("lds", 0) <= 1, sent
        assert await modified(envoy) == before

        await moved(api, "kept", b)
        async with asyncio.timeout(WAIT_S):
            while not ("b" in running.names and "b" in inside.names):
                await running.more(CALLERS)
        assert running.outcomes.keys() == inside.outcomes.keys() == {"200"}
