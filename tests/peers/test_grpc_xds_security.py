"""Proxyless gRPC under mTLS: grpcio's own xDS credentials meet a pod's sidecar, which lets in whom policies name."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.first_certificate import with_identity
from eventmesh.kube.resources import AUTHORIZATION_POLICY
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.control_bench import Bench
from tests.component.processes import data_plane
from tests.peers.test_grpc_xds import Caller, caller, greeter
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

HOST = "r-1.default.svc.cluster.local"


@dataclass
class World:
    """Control that certifies, and a function `r-1` of gRPC whose sidecar takes nothing but mTLS."""

    bench: Bench
    identities: Identities
    directory: Path
    secured: int

    def certificates(self, account: str) -> Path:
        """Write what a workload of an account has into a directory, as an agent does."""
        issued = self.identities.current(self.identities.of("default", account))
        directory = self.directory / account
        directory.mkdir(exist_ok=True)
        for name, text in (("cert", issued.chain), ("key", issued.key), ("roots", self.identities.bundle())):
            (directory / f"{name}.pem").write_text(text)
        return directory

    @asynccontextmanager
    async def pod(self, account: str, user_port: int) -> AsyncIterator[str]:
        address = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        issued = self.identities.current(self.identities.of("default", account))
        ads = f"127.0.0.1:{self.secured}"
        plain = bootstrap("sidecar", f"pod-{account}", f"{address}:0", ads, namespace="default")
        control = self.identities.parts.control
        made = with_identity(plain, issued, self.identities.bundle(), control, MtlsMode.STRICT)
        file = self.directory / f"pod-{account}.json"
        file.write_text(json.dumps(made))
        env = {
            **{"USER_PORT": str(user_port), "SERVING_POD": "pod", "SERVING_POD_IP": address},
            "EVENTMESH_USER_PROTOCOL": "h2c",
        }
        async with data_plane("sidecar", file, env=env):
            yield address

    async def client(self, stack: AsyncExitStack, account: str) -> Caller:
        return await stack.enter_async_context(caller(self.secured, HOST, certificates=self.certificates(account)))


@pytest_asyncio.fixture
async def world(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[World]:
    clock, secured = SystemClock(), unused_tcp_port_factory()
    authority = OwnAuthority(RootFiles(tmp_path / "ca"), clock)
    identities = Identities(authority, clock, "cluster.local", control_names=("localhost",))
    bench = Bench(tmp_path / "mesh", identities=lambda _: identities)
    await bench.start(f"127.0.0.1:{secured}")
    await bench.revision("r-1", mode="Serve", protocol="h2c")
    yield World(bench, identities, tmp_path, secured)
    await bench.stop()


async def until(client: Caller, answer: str) -> None:
    """Call until `answer` comes, whatever comes before it."""
    async with asyncio.timeout(WAIT_S):
        while await client.call(how="try") != answer:
            await asyncio.sleep(0.02)


async def test_a_channel_under_mtls_is_let_in_by_the_account_that_its_certificate_names(world: World) -> None:
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(greeter("a"))
        address = await stack.enter_async_context(world.pod("default", port))
        await world.bench.pods("r-1", address)
        friend, stranger = await world.client(stack, "friend"), await world.client(stack, "stranger")
        assert [await friend.call(), await stranger.call()] == ["a", "a"]
        rules = [{"from": [{"source": {"principals": ["cluster.local/ns/default/sa/friend"]}}]}]
        await world.bench.create(AUTHORIZATION_POLICY, "friends", {"action": "ALLOW", "rules": rules})
        await until(stranger, "PERMISSION_DENIED")
        assert await friend.call() == "a"
        clients = world.bench.control.observer.status()["clients"]
        assert {client["identity"].rpartition("/")[2] for client in clients} >= {"friend", "stranger"}


async def test_a_channel_refuses_a_pod_of_another_account(world: World) -> None:
    async with AsyncExitStack() as stack:
        _, port = await stack.enter_async_context(greeter("a"))
        impostor = await stack.enter_async_context(world.pod("impostor", port))
        await world.bench.pods("r-1", impostor)
        client = await world.client(stack, "friend")
        await until(client, "UNAVAILABLE")
        assert {await client.call(how="try") for _ in range(5)} == {"UNAVAILABLE"}
        genuine = await stack.enter_async_context(world.pod("default", port))
        await world.bench.pods("r-1", genuine)
        await until(client, "a")
