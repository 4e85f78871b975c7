"""A function calls a service of another namespace: by the gateway, and straight once its namespace declares it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.kube.resources import ENDPOINT_SLICE, EVENT, NAMESPACE, SERVICE
from eventmesh.xds.control.scope import EGRESS_ANNOTATION
from eventmesh.xds.control.services import Settings
from tests.component.control_bench import Bench
from tests.component.planes import ask, backend
from tests.component.processes import data_plane
from tests.waiting import WAIT_S


async def say_via(request: web.Request) -> web.Response:
    return web.Response(text=request.headers.get("via", ""))


async def create_service(bench: Bench, namespace: str, name: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    metadata = {"name": name, "namespace": namespace}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    await bench.api.create(SERVICE, {**service, "spec": {"ports": [{"name": "http", "port": 80}]}}, namespace)
    slice_ = {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.kind,
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": int(port), "protocol": "TCP"}],
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
    }
    await bench.api.create(ENDPOINT_SLICE, slice_, namespace)


async def declare(bench: Bench, namespace: str, egress: str) -> None:
    await bench.api.patch(NAMESPACE, namespace, {"metadata": {"annotations": {EGRESS_ANNOTATION: egress}}})


async def told(bench: Bench) -> set[str]:
    """Return the reasons of all Events; those on Namespaces stand in `default`."""
    return {event["reason"] for event in (await bench.api.list(EVENT, "default")).items}


@pytest_asyncio.fixture
async def bench(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Bench]:
    public, local = unused_tcp_port_factory(), unused_tcp_port_factory()
    bench = Bench(tmp_path, settings=Settings(public=("127.0.0.1", public), local=("127.0.0.1", local)))
    await bench.start()
    yield bench
    await bench.stop()


async def test_beyond_its_scope_a_sidecar_goes_by_the_gateway_and_straight_to_declared_egress(
    bench: Bench, tmp_path: Path, unused_tcp_port: int
) -> None:
    for name in ("shop", "bank"):
        await bench.api.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    ads = f"127.0.0.1:{bench.port}"
    pod_ip = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
    files = {role: tmp_path / f"{role}.json" for role in ("gateway", "sidecar")}
    files["gateway"].write_text(json.dumps(bootstrap("gateway", "gw", "127.0.0.1:0", ads)))
    files["sidecar"].write_text(json.dumps(bootstrap("sidecar", "pod", f"{pod_ip}:0", ads, namespace="shop")))
    env = {"USER_PORT": str(unused_tcp_port), "SERVING_POD": "pod", "SERVING_POD_IP": pod_ip}
    async with backend(say_via) as upstream:
        await create_service(bench, "bank", "loans", upstream)
        async with data_plane("gateway", files["gateway"]), data_plane("sidecar", files["sidecar"], env=env) as sidecar:

            async def answer() -> tuple[int, str]:
                reply = await ask(sidecar.addresses["outbound"], headers={"Host": "loans.bank"})
                return reply.status, reply.body.decode()

            async def until(expected: str) -> None:
                async with asyncio.timeout(WAIT_S):
                    while (got := await answer()) != (200, expected):
                        # Only before the gateway has its routes may a request fail.
                        assert got[0] in (200, 404, 503), got

            await until("1.1 sidecar, 1.1 gateway")
            await declare(bench, "shop", "bank/loans")
            await until("1.1 sidecar")
            await declare(bench, "shop", "bank")
            await until("1.1 sidecar, 1.1 gateway")

            async with asyncio.timeout(WAIT_S):
                while "InvalidEgress" not in await told(bench):
                    await asyncio.sleep(0.01)
