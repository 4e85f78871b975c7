"""A sidecar that gets its certificate in exchange for a token: at the start, again and again, and under load."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from cryptography import x509

from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import TaskGroup
from eventmesh.cli.control.bootstraps import Exchange, client_bootstrap
from eventmesh.kube.resources import SERVICE_ACCOUNT
from eventmesh.kube.token_reviews import TokenReviews
from eventmesh.xds.control.certificate_server import CertificateServer
from eventmesh.xds.control.certification import Certification, LocalCertifier
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.identity.authority import Issued, OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.certifying_control import token
from tests.component.control_bench import Bench
from tests.component.planes import backend
from tests.component.processes import DataPlaneProcess, spawn

WAIT_S = 20.0
ROBOT = "spiffe://cluster.local/ns/default/sa/robot"

ROTATIONS = 2
LIFETIME = timedelta(seconds=6)
"""Of certificates here: they are renewed after 2 to 4 seconds, and then 2 are left for what takes a fifth of one."""


@dataclass
class World:
    """Control with its authority, in this process; the sidecar is one of its own."""

    bench: Bench
    authority: OwnAuthority
    secured: str
    certificates: str
    directory: Path
    metrics: Metrics

    @property
    def token_file(self) -> Path:
        return self.directory / "token"

    async def mount_token(self, audience: str = "eventmesh-ca") -> None:
        """Do as a kubelet does."""
        self.token_file.write_text(await token(self.bench.api, "default", "robot", audience))

    @asynccontextmanager
    async def sidecar(self, user_port: int) -> AsyncIterator[tuple[DataPlaneProcess, str]]:
        """Start a pod's sidecar, which takes nothing but mTLS, and give where it serves; it may not do so yet."""
        address = f"127.{random.randint(64, 127)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        roots = self.directory / "roots.pem"
        roots.write_text(self.authority.bundle())
        exchange = Exchange(self.certificates, str(self.token_file), str(roots), strict=True)
        made = client_bootstrap("sidecar", "pod-1", self.secured, f"{address}:0", "default", exchange)
        file = self.directory / "b.json"
        file.write_text(json.dumps(made))
        env = {"USER_PORT": str(user_port), "SERVING_POD": "pod-1", "SERVING_POD_IP": address}
        process = await spawn("sidecar", "--bootstrap", str(file), env=env)
        try:
            yield DataPlaneProcess(process), f"{address}:8012"
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    def caller(self) -> Issued:
        return self.authority.issue(self.bench.identities.of("default", "caller"))  # type: ignore[union-attr]  # `world` made them


@pytest_asyncio.fixture
async def world(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[World]:
    clock = SystemClock()
    authority = OwnAuthority(RootFiles(tmp_path / "ca"), clock)
    bench = Bench(tmp_path / "mesh", identities=lambda _: Identities(authority, clock, "cluster.local"))
    identities = bench.identities
    assert identities is not None
    secured = f"127.0.0.1:{unused_tcp_port_factory()}"
    await bench.start(secured)
    await bench.api.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    metrics = bench.control.metrics
    certification = Certification(
        TokenReviews(bench.api, clock), LocalCertifier(authority), identities, LIFETIME, metrics
    )
    server = CertificateServer(certification, identities)
    port = await server.start("127.0.0.1:0")
    yield World(bench, authority, secured, f"127.0.0.1:{port}", tmp_path, metrics)
    await server.stop()
    await bench.stop()


async def met(address: str, shown: Issued, bundle: str, file: Path) -> x509.Certificate:
    """Ask once on a connection of its own; return the certificate that was met."""
    file.write_text(shown.chain + shown.key)
    context = ssl.create_default_context(cadata=bundle)
    context.check_hostname = False
    context.load_cert_chain(file)
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n")
        answer = await reader.read(64)
        assert answer.startswith(b"HTTP/1.1 200"), answer
    finally:
        writer.close()
    return x509.load_der_x509_certificate(found)


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.UniformResourceIdentifier)


async def test_a_sidecar_waits_for_its_certificate_and_then_renews_it_under_load_without_a_failure(
    world: World,
) -> None:
    failed: list[object] = []
    serials: set[int] = set()
    async with backend() as user, world.sidecar(int(user.rpartition(":")[2])) as (process, address):
        async with asyncio.timeout(WAIT_S):
            # No token is there yet; then one for somebody else; then the right one.
            assert "cannot be read" in (await process.hear("no certificate"))["why"]
            await world.mount_token("somebody-else")
            while "audience eventmesh-ca" not in (await process.hear("no certificate"))["why"]:
                pass
            await world.mount_token()
            await process.hear("serving")
        shown, bundle = world.caller(), world.authority.bundle()
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    first = await met(address, shown, bundle, world.directory / "first")
                    break
                except (OSError, AssertionError):
                    await asyncio.sleep(0.02)
        assert names(first) == [ROBOT]

        async def call_for_ever() -> None:
            while True:
                try:
                    serials.add((await met(address, shown, bundle, world.directory / "caller")).serial_number)
                except (OSError, AssertionError) as error:
                    failed.append(error)

        tasks = TaskGroup("load")
        tasks.spawn("caller", call_for_ever())
        async with asyncio.timeout(WAIT_S):
            while len(serials) <= ROTATIONS and not failed:
                await asyncio.sleep(0.02)
        await tasks.stop()
        (client,) = world.bench.control.observer.status()["clients"]
    assert failed == []
    assert client["identity"] == ROBOT
    assert world.metrics.certified > ROTATIONS and world.metrics.uncertified["token"] > 0


async def test_a_sidecar_that_waits_for_its_certificate_ends_when_it_is_told_to(world: World) -> None:
    async with world.sidecar(1) as (process, _):
        async with asyncio.timeout(WAIT_S):
            await process.hear("no certificate")
            process.process.terminate()
            assert await process.process.wait() == 0
