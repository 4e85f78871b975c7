"""h2spec, the conformance suite of HTTP/2 servers, against our HTTP/2 listener.

Install it with `make peers` (Go: github.com/summerwind/h2spec).
"""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from pathlib import Path
from xml.etree import ElementTree

import pytest
from aiohttp import web

from eventmesh.core._core import Request
from eventmesh.model.listener import WireProtocol
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ServerTls
from eventmesh.transport.exchange import Reply
from tests.component.planes import backend, proxy, running, serving
from tests.component.processes import program
from tests.peers.tools import tool
from tests.unit.core.tls_peer import certificate

pytestmark = pytest.mark.peer

SUITE_TIMEOUT_S = 200

CASES = 146
"""What the suite has, the strict cases included: fewer would mean that some were not run."""


async def answer(request: web.Request) -> web.Response:
    """Answer with a body: some cases look for DATA."""
    await request.read()
    return web.Response(body=b"some bytes of body")


def failures(report: Path) -> list[str]:
    """Return the cases that did not pass, and why."""
    suite = ElementTree.parse(report)
    return [
        f"{case.get('package')} {case.get('classname')}: {detail.text}"
        for case in suite.iter("testcase")
        for detail in case
        if detail.tag in ("failure", "error")
    ]


class Served:
    """Answers in this process what is not passed on."""

    async def handle(self, request: Request) -> Reply:
        """Answer with a body, as the backend does."""
        return Reply.text(200, f"some bytes of body for {len(request.body)}")


def secured_or_not(snapshot: Snapshot, secured: bool) -> Snapshot:
    """Return a snapshot whose listeners speak HTTP/2, in clear text or over TLS."""
    tls = ServerTls((certificate("server"),), alpn=("h2",)) if secured else None
    listeners = tuple(dataclasses.replace(one, protocol=WireProtocol.HTTP2, tls=tls) for one in snapshot.listeners)
    return dataclasses.replace(snapshot, listeners=listeners)


@pytest.mark.timeout(2 * SUITE_TIMEOUT_S)
@pytest.mark.parametrize("secured", [False, True], ids=["clear text", "TLS"])
@pytest.mark.parametrize("way", ["direct", "proxying"])
async def test_every_case_of_the_suite_passes_the_strict_ones_included(way: str, secured: bool, tmp_path: Path) -> None:
    h2spec = tool("h2spec")
    report = tmp_path / "report.xml"
    async with AsyncExitStack() as stack:
        # A direct response is said before the request is whole, as it may be: then nobody judges the rest.
        snapshot = serving("h2spec") if way == "direct" else proxy(await stack.enter_async_context(backend(answer)))
        plane = await stack.enter_async_context(running(secured_or_not(snapshot, secured), {"h2spec": Served()}))
        host, _, port = plane.addresses()["edge"].rpartition(":")
        arguments = ["-S", "-h", host, "-p", port, "-o", "10", "-j", str(report), *(["-t", "-k"] if secured else [])]
        suite = program(h2spec, *arguments, stdout=asyncio.subprocess.DEVNULL)
        async with suite as process, asyncio.timeout(SUITE_TIMEOUT_S):
            await process.wait()
        assert failures(report) == []
        assert len(list(ElementTree.parse(report).iter("testcase"))) >= CASES
        assert plane.engine.active() == 0
