"""A worker is killed under load: how long until its successor answers, and what fails that it did not have."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import psutil

from benchmarks import contenders, report, scene
from benchmarks.measure import Server, free_port
from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.workers import SOUND_AFTER_S

WORKERS, CONNECTIONS, PROBES = 2, 16, 16
"""Each new connection goes to either worker's socket: of 16, none to the dead one's once in 65,536 kills."""
RESTART_BAR_MS = 500.0
PATIENCE_S = 10.0
"""A request that has waited for so long has failed."""


@dataclass(slots=True)
class Tally:
    """What the load has seen."""

    answered: int = 0
    in_flight: int = 0
    """Requests lost with a connection that a killed worker had: at most one each."""
    failed: int = 0
    """Requests lost or refused on any other."""
    doomed: set[int] = field(default_factory=set)
    """Our ports of the connections that killed workers had."""


class Client:
    """One connection that asks for one thing after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.own_port = 0

    async def ask(self) -> bool:
        """Return whether the answer is a 200. Raises OSError, EOFError or TimeoutError when there is none."""
        async with asyncio.timeout(PATIENCE_S):
            if self._reader is None or self._writer is None:
                self.own_port = 0
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                self.own_port = self._writer.get_extra_info("sockname")[1]
            self._writer.write(f"GET {scene.PATHS[0]} HTTP/1.1\r\nhost: {scene.HOSTS[0]}\r\n\r\n".encode())
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await self._reader.readexactly(int(length.partition(b":")[2]))
            return head.startswith(b"HTTP/1.1 200 ")

    def close(self) -> None:
        """Give the connection up; the next question opens another."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def run(args: argparse.Namespace) -> int:
    """Print the figures; return how many requests failed that the killed worker did not have."""
    port, backend = contenders.start_backend(False)
    directory, listens = Path(mkdtemp(prefix="bench-killed-workers-")), free_port()
    config = directory / "config.yaml"
    config.write_text(scene.envoy_bootstrap(scene.Scene(directory, listens, port, free_port(), False)))
    argv = [sys.executable, "-m", "eventmesh.cli.main", "gateway", "--bootstrap", str(config)]
    gateway = Server([*argv, "--workers", str(WORKERS)], directory)
    try:
        gateway.wait_for(listens)
        tally, took = asyncio.run(_kill_and_ask(gateway, listens, args.rounds))
    finally:
        report.clear_progress()
        gateway.stop()
        backend.stop()
    print(f"\nOne of {WORKERS} workers killed {len(took)} times under {CONNECTIONS} connections of HTTP/1.1")
    print(f"  until its successor answers: {statistics.median(took):.0f} ms in the median, {max(took):.0f} at most")
    print(
        f"  {tally.answered} requests answered, {tally.in_flight} lost with the workers, {tally.failed} failed besides"
    )
    print(report.limit_bar("until a successor answers", max(took), RESTART_BAR_MS, "ms"))
    report.save("workers", {"ms": took, "lost with the workers": tally.in_flight, "failed": tally.failed})
    return tally.failed


async def _kill_and_ask(gateway: Server, port: int, kills: int) -> tuple[Tally, list[float]]:
    tally, took = Tally(), []
    async with asyncio.TaskGroup() as tasks:
        load = [tasks.create_task(_load(Client(port), tally)) for _ in range(CONNECTIONS)]
        for number in range(kills):
            report.progress(f"killed workers: {number + 1}/{kills}")
            victim = random.choice(await _sound_workers(gateway.process.pid))
            theirs = (one for one in victim.net_connections("tcp") if one.raddr and one.laddr.port == port)
            tally.doomed.update(one.raddr.port for one in theirs)
            started = time.monotonic()
            victim.send_signal(signal.SIGKILL)
            # The kernel keeps what connects to a dead worker's socket for its successor.
            await asyncio.gather(*(_probe(port, tally) for _ in range(PROBES)))
            took.append((time.monotonic() - started) * 1e3)
        for task in load:
            task.cancel()
    return tally, took


async def _sound_workers(supervisor: int) -> list[psutil.Process]:
    """Wait until all workers have lived long enough to be replaced at once, and return them."""
    while True:
        workers = psutil.Process(supervisor).children()
        youngest = max((worker.create_time() for worker in workers), default=0.0)
        if len(workers) == WORKERS and SystemClock().now().timestamp() - youngest > SOUND_AFTER_S + 1:
            return workers
        await asyncio.sleep(0.1)


async def _probe(port: int, tally: Tally) -> None:
    client = Client(port)
    await _count(client, tally)
    client.close()


async def _load(client: Client, tally: Tally) -> None:
    while True:
        await _count(client, tally)


async def _count(client: Client, tally: Tally) -> None:
    try:
        is_good = await client.ask()
    except (OSError, EOFError, TimeoutError):
        if client.own_port in tally.doomed:
            tally.doomed.remove(client.own_port)
            tally.in_flight += 1
        else:
            tally.failed += 1
        client.close()
    else:
        tally.answered += is_good
        tally.failed += not is_good
