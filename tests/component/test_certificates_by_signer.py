"""`eventmesh control --ca kubernetes`: a signer of the cluster certifies workloads, and control itself."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from cryptography import x509

from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, Object
from eventmesh.kube.resources import CONFIG_MAP, SERVICE_ACCOUNT, SIGNING_REQUEST
from eventmesh.xds.control.protobuf import delimited, fields
from eventmesh.xds.control.root_maps import ENTRY, NAME
from eventmesh.xds.identity.issuer import CONTROL_HOST
from eventmesh.xds.identity.new_key import new_key
from tests.component import cluster_ca
from tests.component.certifying_control import CertifyingControl, certifying_control, token
from tests.component.cluster_ca import ClusterCa
from tests.component.embedded_api import served
from tests.component.test_token_exchange import METHOD, OPTIONS
from tests.waiting import WAIT_S


def spiffe_id(account: str) -> str:
    return f"spiffe://cluster.local/ns/default/sa/{account}"


@dataclass(frozen=True, slots=True)
class World:
    api: Api
    ca: ClusterCa
    control: CertifyingControl
    directory: Path

    async def certified(self, account: str, end: int) -> ssl.SSLContext:
        """Return what an account speaks mTLS by at that end, with the certificate that control has got for it."""
        key, request = new_key(spiffe_id(account))
        chain, roots = await self.exchange(account, request)
        assert roots == self.ca.roots
        file = self.directory / account
        file.write_text(key + chain)
        context = ssl.SSLContext(end)
        context.check_hostname = False
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=roots)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def exchange(self, account: str, request: str) -> list[str]:
        """Return the certificates that the token of an account is exchanged for; raises grpc.aio.AioRpcError."""
        bearer = await token(self.api, "default", account)
        # Control's own certificate is the signer's too.
        credentials = grpc.ssl_channel_credentials(self.ca.roots.encode())
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.control.certificates}", credentials, OPTIONS) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            message = delimited(1, request.encode())
            answer = await call(message, metadata=(("authorization", f"Bearer {bearer}"),), timeout=WAIT_S)
        return [bytes(value).decode() for _, value in fields(memoryview(answer)) if not isinstance(value, int)]

    async def until_none_is_left(self) -> None:
        async with asyncio.timeout(WAIT_S):
            while (await self.api.list(SIGNING_REQUEST)).items:
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    tasks = TaskGroup("test")
    async with served(tmp_path) as api:
        client = api.api.in_process()
        ca = ClusterCa(client, SystemClock())
        roots = tmp_path / "roots.pem"
        roots.write_text(ca.roots)
        tasks.spawn("ca", ca.run())
        try:
            flags = ("--ca", "kubernetes", "--signer", cluster_ca.NAME, "--ca-root", str(roots))
            async with certifying_control(api, *flags) as control:
                for account in ("cart", "robot"):
                    await client.create(SERVICE_ACCOUNT, {"metadata": {"name": account}}, "default")
                yield World(client, ca, control, tmp_path)
        finally:
            await tasks.stop()


async def test_two_workloads_know_each_other_by_certificates_of_the_signer(world: World) -> None:
    server = await world.certified("cart", ssl.PROTOCOL_TLS_SERVER)
    client = await world.certified("robot", ssl.PROTOCOL_TLS_CLIENT)
    seen: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set_result(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=server) as listener, asyncio.timeout(WAIT_S):
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="")
        called = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert (ids(called), ids(await seen)) == ([spiffe_id("cart")], [spiffe_id("robot")])
        assert await reader.read() == b""
        writer.close()
    await world.until_none_is_left()
    asked = [request["metadata"]["annotations"]["eventmesh.io/identity"] for request in world.ca.asked]
    own = "spiffe://cluster.local/ns/eventmesh-system/sa/control"
    assert asked == [own, spiffe_id("cart"), spiffe_id("robot")]


def ids(der: bytes | None) -> list[str]:
    found = x509.load_der_x509_certificate(der or b"").extensions
    return found.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    )


async def test_workloads_are_told_the_roots_and_what_keeps_them_from_a_certificate(world: World) -> None:
    async with asyncio.timeout(WAIT_S):
        while not [
            one for one in (await world.api.list(CONFIG_MAP, "default")).items if one["metadata"]["name"] == NAME
        ]:
            await asyncio.sleep(0.02)
    assert (await world.api.get(CONFIG_MAP, NAME, "default"))["data"] == {ENTRY: world.ca.roots}

    def failed(_: Object) -> Object:
        return {"conditions": [{"type": "Failed", "status": "True", "reason": "Policy", "message": "not now"}]}

    world.ca.status = failed
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.exchange("robot", new_key(spiffe_id("robot"))[1])
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert refused.value.details() == f"the request to the signer {cluster_ca.NAME} failed: Policy: not now"
    _, unnamed = new_key(spiffe_id("cart"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await world.exchange("robot", unnamed)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    await world.until_none_is_left()
    assert CONTROL_HOST in dns_names(world.ca.asked[0])


def dns_names(request: Object) -> list[str]:
    asked = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
    return asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
