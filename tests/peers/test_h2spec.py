"""h2spec, the conformance suite of HTTP/2 servers, against our HTTP/2 listener.

Install it with `make peers` (Go: github.com/summerwind/h2spec).
"""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import pytest
from aiohttp import web

from eventmesh.model.listener import WireProtocol
from tests.component.planes import backend, proxy, running
from tests.component.processes import program
from tests.peers.tools import tool

pytestmark = pytest.mark.peer

SUITE_TIMEOUT_S = 60

CASES = 145
"""What the suite had when this was written: fewer would mean that some were not run."""


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


async def test_every_case_of_the_suite_passes(tmp_path: Path) -> None:
    h2spec = tool("h2spec")
    report = tmp_path / "report.xml"
    async with backend(answer) as upstream:
        snapshot = proxy(upstream)
        listeners = tuple(dataclasses.replace(one, protocol=WireProtocol.HTTP2) for one in snapshot.listeners)
        async with running(dataclasses.replace(snapshot, listeners=listeners)) as plane:
            host, _, port = plane.addresses()["edge"].rpartition(":")
            arguments = ["-h", host, "-p", port, "-o", "2", "-j", str(report)]
            suite = program(h2spec, *arguments, stdout=asyncio.subprocess.DEVNULL)
            async with suite as process, asyncio.timeout(SUITE_TIMEOUT_S):
                await process.wait()
            assert failures(report) == []
            assert len(list(ElementTree.parse(report).iter("testcase"))) >= CASES
            assert plane.engine.active() == 0
