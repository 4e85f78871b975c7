"""Sinks that are spoken to under TLS, with authorities of their own; and foreign clients that speak TLS to the mesh."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from eventmesh.base.x509 import builder, common_name, key_pem, make_authority
from eventmesh.xds.identity.signer import pem
from tests.component.processes import program
from tests.mesh.broker_mesh import HEADERS
from tests.peers.tools import tool
from tests.waiting import WAIT_S

HOUR = timedelta(hours=1)


class SinkAuthority:
    """Signs servers' certificates; those that it signs are its own affair."""

    def __init__(self, name: str = "the sink's") -> None:
        self._key, self._root = make_authority(name, datetime.now(UTC), timedelta(days=1))

    @property
    def pem(self) -> str:
        return pem(self._root)

    def certify(self, file: Path, host: str, *, since: timedelta = HOUR, until: timedelta = HOUR) -> None:
        """Write key and certificate of a server to `file`: valid from `since` ago until `until` from now."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        certificate = (
            builder(common_name("server"), self._root.subject, key.public_key(), now - since, since + until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file.write_bytes(key_pem(key) + pem(certificate).encode())


class HttpsSink:
    """A server that takes events under TLS; made by `https_sink`."""

    def __init__(self, certificate: Path) -> None:
        self.port = 0
        self.got: list[str] = []
        """Ids of events, in the order in which they came."""
        self._certificate = certificate
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._arrived = asyncio.Event()
        self.renew()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/"

    def renew(self) -> None:
        """Show from now on what the file holds."""
        self._context.load_cert_chain(self._certificate)

    async def until(self, event_id: str) -> None:
        """Return when the event has come."""
        async with asyncio.timeout(WAIT_S):
            while event_id not in self.got:
                self._arrived.clear()
                await self._arrived.wait()

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(request.headers["ce-id"])
        self._arrived.set()
        return web.Response(status=202)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[HttpsSink]:
        """Listen until the block ends."""
        app = web.Application()
        app.router.add_post("/", self.take)
        runner = web.AppRunner(app, shutdown_timeout=0.01)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context).start()
            self.port = runner.addresses[0][1]
            yield self
        finally:
            await runner.cleanup()


async def curl(url: str, at: str, event_id: str, *flags: str) -> tuple[int, int]:
    """Send an event with curl, which dials `at` whatever the URL says; return its exit code and the HTTP status."""
    headers = {**HEADERS, "ce-id": event_id}
    shown = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    told = ("-s", "-o", "/dev/null", "-w", "%{http_code}")
    sent = ("--connect-to", f"::{at}", *shown, "-d", "{}")
    async with program(tool("curl"), *told, *sent, *flags, url, stdout=asyncio.subprocess.PIPE) as process:
        said, _ = await process.communicate()
        return process.returncode or 0, int(said)
