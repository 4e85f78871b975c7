"""ADS under mTLS: who is let in, what each is told, and how roots are replaced while streams are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from cryptography import x509
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from envoy_data_plane.google.protobuf import Struct, Value

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import UsageError
from eventmesh.cli.main import main
from eventmesh.xds.identity.authority import Issued, OwnAuthority
from eventmesh.xds.identity.issuer import CONTROL_HOST, Identities
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import METHOD
from tests.component.control_bench import Bench
from tests.waiting import WAIT_S

SDS, CDS = ResourceType.SECRET, ResourceType.CLUSTER


class World:
    """A control that certifies, and clients that show what they like."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{port}"
        self.bench = Bench(directory, identities=self._identities)
        assert self.bench.identities is not None
        self.identities = self.bench.identities

    def _identities(self, clock: object) -> Identities:
        return Identities(OwnAuthority(RootFiles(self.directory / "ca"), SystemClock()), SystemClock(), "cluster.local")

    def strangers(self) -> OwnAuthority:
        """Return an authority that this mesh does not know."""
        return OwnAuthority(RootFiles(self.directory / "strangers"), SystemClock())

    def channel(self, issued: Issued | None, bundle: str = "") -> grpc.aio.Channel:
        key, chain = (issued.key.encode(), issued.chain.encode()) if issued is not None else (None, None)
        roots = (bundle or self.identities.bundle()).encode()
        options = [("grpc.ssl_target_name_override", CONTROL_HOST)]
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(roots, key, chain), options)


@pytest_asyncio.fixture
async def world(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[World]:
    world = World(tmp_path, unused_tcp_port)
    await world.bench.start(world.address)
    yield world
    await world.bench.stop()


class Told:
    """One stream, and what has come over it."""

    def __init__(self, channel: grpc.aio.Channel, role: str, namespace: str = "") -> None:
        self._call: Any = channel.stream_stream(METHOD)()
        words = {"role": role, "namespace": namespace}
        fields = {name: Value(string_value=word) for name, word in words.items() if word}
        self._node: Node | None = Node(id=f"{role}-1", cluster="c", metadata=Struct(fields=fields))

    async def ask(self, type_: ResourceType, *names: str) -> None:
        request = DeltaDiscoveryRequest(node=self._node, type_url=type_.value, resource_names_subscribe=list(names))
        self._node = None
        await self._call.write(bytes(request))

    async def answer(self) -> DeltaDiscoveryResponse:
        async with asyncio.timeout(WAIT_S):
            data = await self._call.read()
        assert data is not grpc.aio.EOF
        response = DeltaDiscoveryResponse.parse(data)
        await self._call.write(bytes(DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)))
        return response

    async def secrets(self) -> dict[str, Secret]:
        """Return the next secrets that come, by name."""
        response = await self.answer()
        assert response.type_url == SDS.value
        return {one.name: Secret.parse(one.resource.value) for one in response.resources if one.resource is not None}

    async def end(self) -> tuple[grpc.StatusCode, str]:
        async with asyncio.timeout(WAIT_S):
            return await self._call.code(), str(await self._call.details())


def certificate(secret: Secret) -> x509.Certificate:
    assert secret.tls_certificate is not None and secret.tls_certificate.certificate_chain is not None
    return x509.load_pem_x509_certificates(secret.tls_certificate.certificate_chain.inline_bytes or b"")[0]


def roots(secret: Secret) -> int:
    assert secret.validation_context is not None and secret.validation_context.trusted_ca is not None
    return len(x509.load_pem_x509_certificates(secret.validation_context.trusted_ca.inline_bytes or b""))


async def test_a_workload_is_told_of_its_own_certificate_alone(world: World) -> None:
    robot = world.identities.of("shop", "robot")
    async with world.channel(world.identities.current(robot)) as channel:
        told = Told(channel, "sidecar", "shop")
        await told.ask(SDS, "default", "ROOTCA", "bank/tls")
        secrets = await told.secrets()
    assert secrets.keys() == {"default", "ROOTCA"}
    names = certificate(secrets["default"]).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [str(robot)]


@pytest.mark.parametrize(
    ("role", "namespace", "reason"),
    [
        (
            "sidecar",
            "bank",
            "says it is in namespace 'bank', its certificate is that of spiffe://cluster.local/ns/shop",
        ),
        ("gateway", "", "says its role is gateway"),
    ],
)
async def test_whoever_claims_to_be_another_is_refused_by_name(
    world: World, role: str, namespace: str, reason: str
) -> None:
    issued = world.identities.current(world.identities.of("shop", "robot"))
    async with world.channel(issued) as channel:
        told = Told(channel, role, namespace)
        await told.ask(CDS)
        code, details = await told.end()
    assert code is grpc.StatusCode.PERMISSION_DENIED and reason in details


async def test_who_shows_nothing_or_what_another_mesh_has_signed_is_not_let_in(world: World) -> None:
    stranger = world.strangers().issue(world.identities.of("shop", "robot"))
    expired = OwnAuthority(RootFiles(world.directory / "ca"), SystemClock(), timedelta(seconds=-1)).issue(
        world.identities.of("shop", "robot")
    )
    for shown in (None, stranger, expired):
        async with world.channel(shown) as channel:
            told = Told(channel, "sidecar", "shop")
            code, _ = await told.end()
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_a_new_root_reaches_open_streams_and_new_handshakes(world: World) -> None:
    robot = world.identities.of("shop", "robot")
    async with world.channel(world.identities.current(robot)) as channel:
        told = Told(channel, "sidecar", "shop")
        await told.ask(SDS, "ROOTCA")
        assert roots((await told.secrets())["ROOTCA"]) == 1
        world.identities.replace_root()
        assert roots((await told.secrets())["ROOTCA"]) == 2
    async with world.channel(world.identities.current(robot), world.identities.bundle()) as channel:
        told = Told(channel, "sidecar", "shop")
        await told.ask(SDS, "ROOTCA")
        assert roots((await told.secrets())["ROOTCA"]) == 2


async def test_on_the_plain_port_nobody_is_told_of_certificates(world: World) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.bench.port}") as channel:
        told = Told(channel, "sidecar", "shop")
        await told.ask(SDS, "default", "ROOTCA")
        response = await told.answer()
    assert list(response.resources) == [] and sorted(response.removed_resources) == ["ROOTCA", "default"]


async def test_control_shows_who_is_there_and_until_when(world: World) -> None:
    robot = world.identities.of("shop", "robot")
    async with world.channel(world.identities.current(robot)) as channel:
        told = Told(channel, "sidecar", "shop")
        await told.ask(SDS, "default")
        await told.secrets()
        (client,) = world.bench.control.observer.status()["clients"]
    assert client["identity"] == str(robot) and client["certificateExpires"].endswith("Z")


async def test_certificates_are_replaced_by_command_over_the_open_stream(world: World, tmp_path: Path) -> None:
    admin = f"127.0.0.1:{await world.bench.control.start_admin('127.0.0.1', 0)}"
    robot = world.identities.of("shop", "robot")
    async with world.channel(world.identities.current(robot)) as channel:
        told = Told(channel, "sidecar", "shop")
        await told.ask(SDS, "default")
        first = certificate((await told.secrets())["default"])
        assert await asyncio.to_thread(main, ["control", "rotate", "certificates", "--admin", admin]) == 0
        second = certificate((await told.secrets())["default"])
    assert second.serial_number != first.serial_number
    assert await asyncio.to_thread(main, ["control", "rotate", "root", "--admin", admin]) == 0
    assert len(x509.load_pem_x509_certificates(world.identities.bundle().encode())) == 2


async def test_what_cannot_be_rotated_is_said(world: World) -> None:
    with pytest.raises(UsageError, match="'keys' cannot be rotated; certificates and root can"):
        await world.bench.control.observer.rotate("keys")
