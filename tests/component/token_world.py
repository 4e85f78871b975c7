"""A pod's sidecar that exchanges a token for its certificate, with control and its authority in this process."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from eventmesh.base.clock import SystemClock
from eventmesh.cli.control.bootstraps import Exchange, client_bootstrap
from eventmesh.kube.resources import SERVICE_ACCOUNT
from eventmesh.kube.token_reviews import TokenReviews
from eventmesh.xds.control.certificate_server import CertificateServer
from eventmesh.xds.control.certification import Certification
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.identity.authority import Issued, OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.component.certifying_control import token
from tests.component.control_bench import Bench
from tests.component.processes import DataPlaneProcess, spawn


@dataclass
class TokenWorld:
    """Control with its authority, in this process; the sidecar is one of its own."""

    bench: Bench
    identities: Identities
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
        return self.authority.issue(self.identities.of("default", "caller"))


@asynccontextmanager
async def token_world(directory: Path, lifetime: timedelta) -> AsyncIterator[TokenWorld]:
    """Serve ADS under mTLS, and certificates of this `lifetime`."""
    clock = SystemClock()
    authority = OwnAuthority(RootFiles(directory / "ca"), clock)
    identities = Identities(authority, clock, "cluster.local")
    bench = Bench(directory / "mesh", identities=lambda _: identities)
    await bench.start("127.0.0.1:0")
    secured = f"127.0.0.1:{bench.control.secured_port}"
    await bench.api.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    reviews, metrics = TokenReviews(bench.api, clock), bench.control.metrics
    certification = Certification(reviews, authority, identities, metrics, lifetime)
    server = CertificateServer(certification, identities)
    certificates = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    try:
        yield TokenWorld(bench, identities, authority, secured, certificates, directory, metrics)
    finally:
        await server.stop()
        await bench.stop()
