"""gRPC servers without a proxy: grpcio's own xDS server lets in whom policies name, under mTLS and in clear text."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.cli.control.bootstraps import client_bootstrap
from eventmesh.cluster.bootstrap import bootstrap
from eventmesh.cluster.first_certificate import with_identity
from eventmesh.kube.api import Object
from eventmesh.kube.resources import (
    AUTHORIZATION_POLICY,
    ENDPOINT_SLICE,
    PEER_AUTHENTICATION,
    POD,
    REQUEST_AUTHENTICATION,
    SERVICE,
    SERVICE_ACCOUNT,
)
from eventmesh.kube.status import condition
from eventmesh.xds.control.services import Settings
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.control_bench import Bench
from tests.component.processes import data_plane, until_listening
from tests.peers.test_grpc_xds import Caller, caller
from tests.peers.test_grpc_xds_security import World, until
from tests.tokens import key_set
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

SERVER = Path(__file__).with_name("grpc_xds_server.py")
NAME = "greeter"
HOST = f"{NAME}.default.svc.cluster.local"
LABELS = {"app": NAME}
GUEST = {"key": "request.headers[x-role]", "values": ["guest"]}
FRIENDS = [{"from": [{"source": {"principals": ["cluster.local/ns/default/sa/friend"]}}]}]


@asynccontextmanager
async def server(told: Object, address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server in a process of its own; it listens at `address` once control has told it how."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVER), NAME, address),
        env={**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(told)},
        stdin=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def published(bench: Bench, address: str, inject: str = "grpc") -> None:
    """Publish the Service of a server, and the pod in which it is."""
    metadata = {"name": NAME, "namespace": "default", "labels": LABELS, "annotations": {"eventmesh.io/inject": inject}}
    spec = {"serviceAccountName": NAME, "containers": [{"name": "c", "image": "dev.local/x"}]}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": "default"}}
    await bench.api.create(SERVICE_ACCOUNT, account, "default")
    await bench.api.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, "default")
    ports = [{"name": "grpc", "port": 80, "appProtocol": "kubernetes.io/h2c"}]
    await bench.create(SERVICE, NAME, {"ports": ports, "selector": LABELS})
    host, _, port = address.rpartition(":")
    piece = {
        "metadata": {"name": f"{NAME}-0", "namespace": "default", "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "ports": [{"name": "grpc", "port": int(port), "protocol": "TCP"}],
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
    }
    kind = {"apiVersion": ENDPOINT_SLICE.api_version, "kind": ENDPOINT_SLICE.kind}
    await bench.api.create(ENDPOINT_SLICE, {**kind, **piece}, "default")


def programmed(obj: Object) -> tuple[str, str]:
    """Return what a policy says of data planes: status and reason."""
    found = condition(obj, "Programmed") or {}
    return found.get("status", ""), found.get("reason", "")


@dataclass
class Servers(World):
    """Control that certifies, and a gRPC server of the account `greeter`, who has no sidecar."""

    public: int

    async def serve(self, stack: AsyncExitStack, address: str) -> None:
        directory = str(self.certificates(NAME))
        where = f"localhost:{self.secured}"
        told = client_bootstrap(
            *("grpc", "server", where, "127.0.0.1:0"),
            namespace="default",
            labels=f"app={NAME}",
            certificate_dir=directory,
        )
        process = await stack.enter_async_context(server(told, address))
        await published(self.bench, address)
        await until_listening(process, int(address.rpartition(":")[2]), WAIT_S)

    async def client(self, stack: AsyncExitStack, account: str) -> Caller:
        return await stack.enter_async_context(caller(self.secured, HOST, certificates=self.certificates(account)))


@pytest_asyncio.fixture
async def world(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[Servers]:
    clock, secured, public = SystemClock(), unused_tcp_port_factory(), unused_tcp_port_factory()
    authority = OwnAuthority(RootFiles(tmp_path / "ca"), clock)
    identities = Identities(authority, clock, "cluster.local", control_names=("localhost",))
    settings = Settings(public=("127.0.0.1", public), local=("127.0.0.1", 0))
    bench = Bench(tmp_path / "mesh", settings=settings, identities=lambda _: identities)
    await bench.start(f"127.0.0.1:{secured}")
    yield Servers(bench, identities, tmp_path, secured, public)
    await bench.stop()


async def test_under_mtls_a_server_lets_in_the_accounts_that_policies_name_and_follows_them(
    world: Servers, unused_tcp_port: int
) -> None:
    async with AsyncExitStack() as stack:
        await world.serve(stack, f"127.0.0.1:{unused_tcp_port}")
        friend, stranger = await world.client(stack, "friend"), await world.client(stack, "stranger")
        assert [await friend.call(), await stranger.call()] == [NAME, NAME]
        spec = {"selector": {"matchLabels": LABELS}, "action": "ALLOW", "rules": FRIENDS}
        await world.bench.create(AUTHORIZATION_POLICY, "friends", spec)
        await until(stranger, "PERMISSION_DENIED")
        assert await friend.call() == NAME
        await world.bench.api.delete(AUTHORIZATION_POLICY, "friends", "default")
        await until(stranger, NAME)
        # Who shows no certificate is not heard at all.
        plain = await stack.enter_async_context(caller(world.bench.port, HOST))
        assert await plain.call(how="try") == "UNAVAILABLE"


async def test_the_gateway_speaks_mtls_to_a_server_without_a_sidecar(world: Servers, unused_tcp_port: int) -> None:
    async with AsyncExitStack() as stack:
        await world.serve(stack, f"127.0.0.1:{unused_tcp_port}")
        await world.bench.ingress("edge", "greeter.test", NAME)
        parts = world.identities.parts
        plain = bootstrap("gateway", "gateway-1", "127.0.0.1:0", f"127.0.0.1:{world.secured}")
        issued, roots = world.identities.current(parts.gateway), world.identities.bundle()
        file = world.directory / "gateway.json"
        file.write_text(json.dumps(with_identity(plain, issued, roots, parts.control, None)))
        await stack.enter_async_context(data_plane("gateway", file))
        await world.bench.ready("edge")
        authority = (("grpc.default_authority", "greeter.test"),)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{world.public}", options=authority) as channel:
            greet: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Greeter/Greet")
            assert await greet(b"", wait_for_ready=True, timeout=WAIT_S) == NAME.encode()


async def test_what_grpc_cannot_carry_out_it_refuses_and_its_author_is_told(
    world: Servers, unused_tcp_port: int
) -> None:
    async with AsyncExitStack() as stack:
        await world.serve(stack, f"127.0.0.1:{unused_tcp_port}")
        friend = await world.client(stack, "friend")
        assert await friend.call() == NAME
        rules = [{"issuer": "https://issuer.test", "jwks": key_set("ES256")}]
        spec = {"selector": {"matchLabels": LABELS}, "jwtRules": rules}
        await world.bench.create(REQUEST_AUTHENTICATION, "tokens", spec)
        refused = ("False", "ConfigurationRefused")
        await world.bench.until(REQUEST_AUTHENTICATION, "tokens", lambda obj: programmed(obj) == refused)
        # The server goes on by what it had.
        assert await friend.call() == NAME
        await world.bench.api.delete(REQUEST_AUTHENTICATION, "tokens", "default")
        await world.bench.create(
            AUTHORIZATION_POLICY, "nobody", {"selector": {"matchLabels": LABELS}, "action": "ALLOW"}
        )
        await until(friend, "PERMISSION_DENIED")


async def test_in_clear_text_policies_are_about_requests_and_a_strict_namespace_has_no_such_server(
    world: Servers, unused_tcp_port_factory: Callable[[], int]
) -> None:
    bench, address = world.bench, f"127.0.0.1:{unused_tcp_port_factory()}"
    told = client_bootstrap("grpc", "plain", f"127.0.0.1:{bench.port}", "127.0.0.1:0", namespace="default")
    guests = [{"to": [{"operation": {"paths": ["/test.Greeter/*"]}}], "when": [GUEST]}]
    async with AsyncExitStack() as stack:
        await bench.create(AUTHORIZATION_POLICY, "guests", {"action": "DENY", "rules": guests})
        await stack.enter_async_context(server(told, address))
        await published(bench, address, "false")
        client = await stack.enter_async_context(caller(bench.port, HOST))
        assert [await client.call(), await client.call("x-role=guest")] == [NAME, "PERMISSION_DENIED"]
        await bench.create(PEER_AUTHENTICATION, "strict", {"mtls": {"mode": "STRICT"}})
        await until(client, "UNAVAILABLE")
