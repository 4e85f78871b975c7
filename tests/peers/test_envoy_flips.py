"""A real Envoy under our control while everything changes and control comes and goes: no request fails."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.kube.api import Api
from eventmesh.kube.resources import ENDPOINT_SLICE
from tests.component.embedded_api import served
from tests.component.test_control_command import control
from tests.mesh.test_control_away import answered, routed
from tests.peers.backends import backend
from tests.peers.envoy import envoy_on, running_envoy
from tests.peers.load import CALLERS, load
from tests.peers.test_envoy_ads import VARIANTS, Control, host, service, tables
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

FLIPS = 200
LINGERING = 3
"""Clusters of earlier flips that stay configured; the others are removed while requests run."""


@pytest.mark.parametrize("variant", VARIANTS)
async def test_two_hundred_flips_of_cluster_and_route_fail_no_request(variant: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        ours = Control()
        backends = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        current = service("ns/flip-0", backends[0])
        generation = ours.publish(*current, *tables(host("flip.test", "ns/flip-0")))
        await ours.start()
        stack.push_async_callback(ours.server.stop)
        envoy = await stack.enter_async_context(running_envoy(tmp_path, ours.port, variant))
        await ours.acknowledged(generation)
        running = await stack.enter_async_context(load(await envoy.port("public"), "flip.test"))
        kept = [current]
        for number in range(1, FLIPS + 1):
            name = f"ns/flip-{number}"
            kept = [*kept[-LINGERING:], service(name, backends[number % 2])]
            resources = [resource for each in kept for resource in each]
            generation = ours.publish(*resources, *tables(host("flip.test", name)))
            await ours.acknowledged(generation)
        await running.more(2 * CALLERS)
        assert running.outcomes.keys() == {"200"}
        assert running.names == {"a", "b"}
        assert not ours.nacks
        assert await envoy.counter("listener_manager.lds.update_rejected") == 0
        assert await envoy.counter("cluster_manager.cds.update_rejected") == 0


async def moved(api: Api, name: str, address: tuple[str, int]) -> None:
    """Have the Service `name` lead to another address."""
    stored = await api.get(ENDPOINT_SLICE, f"{name}-0", "default")
    ports = [{**stored["ports"][0], "port": address[1]}]
    endpoints = [{"addresses": [address[0]], "conditions": {"ready": True}}]
    await api.replace(ENDPOINT_SLICE, {**stored, "ports": ports, "endpoints": endpoints})


@pytest.mark.parametrize("variant", VARIANTS)
async def test_control_is_killed_and_comes_back_under_load_and_no_request_fails(
    variant: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    public = f"127.0.0.1:{unused_tcp_port}"
    async with AsyncExitStack() as stack:
        api_server = await stack.enter_async_context(served(tmp_path))
        api = api_server.api.in_process()
        a, b = [await stack.enter_async_context(backend(name)) for name in ("a", "b")]
        flags = ("--kubeconfig", str(api_server.kubeconfig), "--gateway", public, "--local", "127.0.0.1:0")
        first, port = await stack.enter_async_context(control(*flags))
        tree = client_bootstrap("envoy", "envoy-1", f"127.0.0.1:{port}", "127.0.0.1:0")
        tree["dynamic_resources"]["ads_config"]["api_type"] = variant
        file = tmp_path / "envoy.json"
        file.write_text(json.dumps(tree))
        await stack.enter_async_context(envoy_on(file))
        await routed(api, "kept.test", "{}:{}".format(*a))
        await answered(public, "kept.test")
        running = await stack.enter_async_context(load(unused_tcp_port, "kept.test"))
        await running.more(CALLERS)
        first.kill()
        await first.wait()
        await running.more(20 * CALLERS)
        assert running.names == {"a"}
        await stack.enter_async_context(control(*flags, "--address", f"127.0.0.1:{port}"))
        await moved(api, "kept", b)
        async with asyncio.timeout(WAIT_S):
            while "b" not in running.names:
                await running.more(CALLERS)
        assert running.outcomes.keys() == {"200"}
