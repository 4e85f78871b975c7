"""Load reports between our parts and Knative's own: its activator's sender, its autoscaler's receiver."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventmesh.activator.report_ways import WebSocketWay
from eventmesh.autoscale.stat import Stat, StatMessage, encode_messages
from eventmesh.base.tasks import TaskGroup
from eventmesh.controllers.autoscaler.reports import ReportServer
from eventmesh.kube.objects import Key
from tests.free_ports import free_port
from tests.peers.tools import tool
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer


@asynccontextmanager
async def knative_stats(*words: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(tool("knative-stats"), *words, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def test_knatives_activator_reports_to_our_autoscaler_and_comes_back_after_its_restart() -> None:
    taken: asyncio.Queue[tuple[Key, Stat]] = asyncio.Queue()
    server = ReportServer("127.0.0.1", 0, lambda key, stat: taken.put_nowait((key, stat)))
    await server.start()
    port = server.address[1]
    async with knative_stats("send", f"ws://127.0.0.1:{port}", "default", "hello-00001", "2.5"):
        async with asyncio.timeout(WAIT_S):
            key, stat = await taken.get()
        assert (key, stat.pod_name) == (Key("default", "hello-00001"), "knative-activator")
        assert (stat.average_concurrent_requests, stat.request_count) == (2.5, 2.5)
        await server.stop()
        while not taken.empty():
            taken.get_nowait()
        server = ReportServer("127.0.0.1", port, lambda key, stat: taken.put_nowait((key, stat)))
        await server.start()
        async with asyncio.timeout(WAIT_S):
            assert await taken.get() == (key, stat)
    await server.stop()


async def test_our_activator_reports_to_knatives_autoscaler() -> None:
    address = f"127.0.0.1:{free_port()}"
    stat = Stat("activator-1", average_concurrent_requests=3.0, request_count=7.0)
    report = encode_messages([StatMessage("default", "hello-00001", stat), StatMessage("other", "bye-00002", stat)])
    way = WebSocketWay(f"ws://{address}")
    async with knative_stats("serve", address) as process:
        assert process.stdout is not None
        told: list[object] = []

        async def read(lines: asyncio.StreamReader) -> None:
            told.extend([json.loads(await lines.readline()) for _ in range(2)])

        reading = TaskGroup("test").spawn("read", read(process.stdout))
        try:
            async with asyncio.timeout(WAIT_S):
                # As the activator does: one that is lost with its connection (a server that is slow to answer a ping is
                # given up) is followed by another.
                while not reading.done():
                    await way.send(report)
                    await asyncio.wait((reading,), timeout=0.2)
            await reading
        finally:
            await way.close()
    facts = {"pod": "activator-1", "concurrency": 3.0, "requests": 7.0}
    assert told == [
        {"namespace": "default", "name": "hello-00001", **facts},
        {"namespace": "other", "name": "bye-00002", **facts},
    ]
