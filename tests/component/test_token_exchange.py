"""`eventmesh control --ca embedded`: a service account's token becomes a certificate, and that lets its bearer in."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from cryptography import x509
from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.discovery.v3 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from envoy_data_plane.google.protobuf import Struct, Value

from eventmesh.base.x509 import key_pem
from eventmesh.cli.main import main
from eventmesh.kube.api import Api
from eventmesh.kube.objects import key_of
from eventmesh.kube.resources import CONFIG_MAP, NAMESPACE, SECRET, SERVICE_ACCOUNT
from eventmesh.xds.control.certificate_server import MAX_MESSAGE_BYTES
from eventmesh.xds.control.certification import AUDIENCE
from eventmesh.xds.control.protobuf import delimited, fields
from eventmesh.xds.control.root_maps import ENTRY, NAME
from eventmesh.xds.identity.issuer import CONTROL_HOST
from eventmesh.xds.identity.root_secret import KEY
from eventmesh.xds.resource_types import ResourceType
from tests.component.ads_client import METHOD as ADS
from tests.component.certifying_control import CertifyingControl, certifying_control, token
from tests.component.embedded_api import served
from tests.unit.xds.identity.signing_requests import key, request
from tests.waiting import WAIT_S

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
ROBOT = "spiffe://cluster.local/ns/default/sa/robot"
OPTIONS = [("grpc.ssl_target_name_override", CONTROL_HOST)]


@dataclass(frozen=True, slots=True)
class World:
    api: Api
    control: CertifyingControl
    roots: bytes

    async def exchange(self, bearer: str, message: bytes, *, port: int = 0, roots: bytes = b"") -> list[bytes]:
        """Return the certificates that a token is exchanged for; raises grpc.aio.AioRpcError."""
        credentials = grpc.ssl_channel_credentials(roots or self.roots)
        address = f"127.0.0.1:{port or self.control.certificates}"
        async with grpc.aio.secure_channel(address, credentials, OPTIONS) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            answer = await call(message, metadata=(("authorization", f"Bearer {bearer}"),), timeout=20)
        return [bytes(value) for _, value in fields(memoryview(answer)) if not isinstance(value, int)]

    async def refused(self, bearer: str, message: bytes) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self.exchange(bearer, message)
        return refused.value.code(), str(refused.value.details())


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with served(tmp_path) as api, certifying_control(api) as control:
        client = api.api.in_process()
        await client.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
        stored = await client.get(SECRET, KEY.name, KEY.namespace)
        yield World(client, control, base64.b64decode(stored["data"]["root-1.crt"]))


async def test_a_token_is_exchanged_for_a_certificate_that_opens_the_stream_of_its_namespace(world: World) -> None:
    own = key()
    message = delimited(1, request(own, ROBOT).encode())
    chain, roots = await world.exchange(await token(world.api, "default", "robot"), message)
    names = x509.load_pem_x509_certificate(chain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [ROBOT] and roots == world.roots
    credentials = grpc.ssl_channel_credentials(roots, key_pem(own), chain)
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.control.secured}", credentials, OPTIONS) as channel:
        call: Any = channel.stream_stream(ADS)()
        told = {name: Value(string_value=word) for name, word in (("role", "sidecar"), ("namespace", "default"))}
        node = Node(id="robot-1", cluster="c", metadata=Struct(fields=told))
        wanted = DeltaDiscoveryRequest(
            node=node, type_url=ResourceType.SECRET.value, resource_names_subscribe=["ROOTCA"]
        )
        await call.write(bytes(wanted))
        async with asyncio.timeout(WAIT_S):
            answer = DeltaDiscoveryResponse.parse(await call.read())
    assert [one.name for one in answer.resources] == ["ROOTCA"]


async def test_tokens_that_prove_nothing_here_are_refused_with_words(world: World) -> None:
    message = delimited(1, request(key()).encode())
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    foreign = await token(world.api, "default", "robot", "somebody-else")
    assert await world.refused(foreign, message) == (
        unauthenticated,
        f"the bearer token is not for the audience {AUDIENCE}",
    )
    genuine = await token(world.api, "default", "robot")
    head, body, signature = genuine.split(".")
    forged = f"{head}.{body}.{signature[:-8]}{'A' * 8}"
    gone = "the bearer token is not one of this cluster's, or no longer"
    assert await world.refused(forged, message) == (unauthenticated, gone)
    await world.api.delete(SERVICE_ACCOUNT, "robot", "default")
    assert await world.refused(genuine, message) == (unauthenticated, gone)
    code, _ = await world.refused("x", b"\0" * (MAX_MESSAGE_BYTES + 1))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_every_namespace_has_the_roots_to_trust_also_one_that_comes_later_or_loses_them(world: World) -> None:
    async def until_there(namespace: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while True:
                found = (await world.api.list(CONFIG_MAP, namespace)).items
                if {ENTRY: world.roots.decode()} in [one.get("data") for one in found if key_of(one).name == NAME]:
                    return
                await asyncio.sleep(0.02)

    await until_there("default")
    await world.api.create(NAMESPACE, {"metadata": {"name": "later"}})
    await until_there("later")
    await world.api.delete(CONFIG_MAP, NAME, "default")
    await until_there("default")
    await world.api.patch(CONFIG_MAP, NAME, {"data": {ENTRY: "mine"}}, "later")
    await until_there("later")


async def test_a_token_is_taken_at_its_own_port_alone(world: World) -> None:
    message = delimited(1, request(key()).encode())
    bearer = await token(world.api, "default", "robot")
    with pytest.raises(grpc.aio.AioRpcError):
        await world.exchange(bearer, message, port=world.control.secured)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{world.control.ads}") as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(message, metadata=(("authorization", f"Bearer {bearer}"),), timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--ca", "given", "--ca-cert", "a.pem"), "--ca given: name the authority's files"),
        (("--ca-cert", "a.pem"), "they are those of --ca given"),
        (("--ca", "kubernetes", "--signer", "example.com/mesh"), "--ca kubernetes: name the signer by --signer and"),
        (("--ca", "kubernetes", "--ca-root", "a.pem"), "--ca kubernetes: name the signer by --signer and"),
        (("--ca", "kubernetes", "--signer", "mesh", "--ca-root", "a.pem"), "--signer: 'mesh' is no name of a signer"),
        (("--ca", "kubernetes", "--signer", f"a.b/{'x' * 568}", "--ca-root", "a.pem"), "at most 571 characters"),
        (("--ca", "kubernetes", "--signer", "kubernetes.io/kubelet-serving", "--ca-root", "a.pem"), "Kubernetes' own"),
        (("--ca", "embedded", "--signer", "example.com/mesh"), "they are those of --ca kubernetes"),
        (("--ca-root", "a.pem"), "they are those of --ca kubernetes"),
        (("--ca", "embedded", "--trust-domain", "Up"), "--trust-domain: 'Up'"),
        (("--ca", "embedded", "--certificate-address", "18003"), "--certificate-address: '18003' is no address"),
        (("--lease-duration-s", "0"), "--lease-duration-s"),
    ],
)
def test_flags_that_do_not_go_together_are_named(
    flags: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["control", *flags]) == 2 and named in capsys.readouterr().err
