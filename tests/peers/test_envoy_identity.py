"""An unmodified Envoy with an identity of the mesh: subscribed under mTLS, told its certificate, speaking mTLS with our
sidecars and refusing those that are not who they must be."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.first_certificate import with_identity
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.control.services import Settings
from eventmesh.xds.identity.authority import Issued, OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.control_bench import Bench
from tests.component.processes import DataPlaneProcess, data_plane
from tests.peers.backends import backend
from tests.peers.envoy import Envoy, envoy_on
from tests.peers.envoy import bootstrap as envoy_bootstrap
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
ANYWHERE = ("127.0.0.1", 0)


def identified_envoy(directory: Path, port: int, issued: Issued, bundle: str) -> Path:
    """Write Envoy's bootstrap: its way to control is under mTLS; everything else it is told."""
    made = envoy_bootstrap(port, "DELTA_GRPC")
    made["static_resources"]["clusters"][0]["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{TLS}.UpstreamTlsContext",
            "common_tls_context": {
                "tls_certificates": [
                    {
                        "certificate_chain": {"inline_string": issued.chain},
                        "private_key": {"inline_string": issued.key},
                    }
                ],
                "validation_context": {"trusted_ca": {"inline_string": bundle}},
            },
        },
    }
    file = directory / "envoy.json"
    file.write_text(json.dumps(made))
    return file


@dataclass
class World:
    bench: Bench
    identities: Identities
    envoy: Envoy
    http: aiohttp.ClientSession
    directory: Path
    ads: str
    user_port: int

    @asynccontextmanager
    async def sidecar(self, account: str) -> AsyncIterator[tuple[str, DataPlaneProcess]]:
        """Run the sidecar of a pod under `account`, which takes nothing but mTLS; give its address."""
        address = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        issued = self.identities.current(self.identities.of("default", account))
        plain = bootstrap("sidecar", f"pod-{account}", f"{address}:0", self.ads, namespace="default")
        control = self.identities.parts.control
        made = with_identity(plain, issued, self.identities.bundle(), control, MtlsMode.STRICT)
        file = self.directory / f"{account}.json"
        file.write_text(json.dumps(made))
        env = {"USER_PORT": str(self.user_port), "SERVING_POD": "pod", "SERVING_POD_IP": address}
        async with data_plane("sidecar", file, env=env) as running:
            yield address, running

    async def get(self) -> int:
        url = f"http://127.0.0.1:{await self.envoy.port('public')}/"
        async with self.http.get(url, headers={"Host": "r.test"}) as response:
            await response.read()
            return response.status

    async def until(self, status: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while await self.get() != status:
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def world(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[World]:
    port = unused_tcp_port_factory()

    def identities(clock: object) -> Identities:
        return Identities(OwnAuthority(RootFiles(tmp_path / "ca"), SystemClock()), SystemClock(), "cluster.local")

    async with AsyncExitStack() as stack:
        settings = Settings(public=ANYWHERE, local=ANYWHERE)
        bench = Bench(tmp_path / "mesh", settings=settings, identities=identities)
        assert bench.identities is not None
        await bench.start(f"127.0.0.1:{port}")
        stack.push_async_callback(bench.stop)
        known = bench.identities
        file = identified_envoy(tmp_path, port, known.current(known.parts.gateway), known.bundle())
        envoy = await stack.enter_async_context(envoy_on(file))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        _, user_port = await stack.enter_async_context(backend("r"))
        await bench.revision("r-1", mode="Serve")
        await bench.ingress("r", "r.test", "r-1")
        yield World(bench, known, envoy, http, tmp_path, f"127.0.0.1:{port}", user_port)


async def handshakes(world: World) -> dict[str, Any]:
    names = ("handshake", "fail_verify_san", "connection_error")
    return {name: await world.envoy.counter(f"cluster.default/r-1.ssl.{name}") for name in names}


async def test_envoy_is_told_its_certificate_and_meets_our_sidecar_under_mtls(world: World) -> None:
    async with world.sidecar("default") as (address, _):
        await world.bench.pods("r-1", address)
        await world.until(200)
        found = await handshakes(world)
        assert found["handshake"] > 0 and found["fail_verify_san"] == 0
        shown = await world.envoy.admin("/certs")
        uris = {
            name.get("uri")
            for one in shown["certificates"]
            for cert in one["cert_chain"]
            for name in cert["subject_alt_names"]
        }
        assert str(world.identities.parts.gateway) in uris


async def test_rotations_of_certificates_and_root_cost_envoy_no_request(world: World) -> None:
    async with world.sidecar("default") as (address, _):
        await world.bench.pods("r-1", address)
        await world.until(200)
        for number in range(5):
            if number == 2:
                world.identities.replace_root()
            await world.identities.replace_certificates()
            assert [await world.get() for _ in range(10)] == [200] * 10
        found = await handshakes(world)
        assert (found["connection_error"], found["fail_verify_san"]) == (0, 0)


async def test_envoy_refuses_a_pod_of_another_account(world: World) -> None:
    async with world.sidecar("other") as (address, _):
        await world.bench.pods("r-1", address)
        async with asyncio.timeout(WAIT_S):
            while (await handshakes(world))["fail_verify_san"] == 0:
                assert await world.get() != 200
