"""202 means on disk, as the kernel saw it: strace reads the system calls of a running activator.

A crash of the process proves nothing here, since the kernel keeps what was written; only the order of write, sync and
answer does.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import aiohttp
import pytest

from tests.mesh.broker_mesh import Activator, broker_mesh, send
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

CALLS = "write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync"
PAGE = 4096
"""SQLite's page: strace shows as much of each write, so that the ids of events in it can be read."""

MARK = re.compile(r"mark-\d+-")
_CALL = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")


class Kind(Enum):
    """What a step of the trace is."""

    LOGGED = "logged"
    """Bytes were handed to the kernel for the store's write-ahead log."""
    SYNCED = "synced"
    """A sync of that log has returned success."""
    ANSWERED = "answered"
    """A 202 began to leave by a socket."""


@dataclass(frozen=True, slots=True)
class Step:
    kind: Kind
    marks: frozenset[str] = frozenset()
    """For LOGGED: the events whose ids are in what was written."""


def steps(trace: str) -> Iterator[Step]:
    """Yield what a trace (`strace -f -y`) tells, in its order."""
    syncing: set[str] = set()
    for line in trace.splitlines():
        if call := _CALL.match(line):
            yield from _begun(call, syncing)
        elif (done := _RESUMED.match(line)) and done["pid"] in syncing:
            syncing.discard(done["pid"])
            if done["rest"].endswith("= 0"):
                yield Step(Kind.SYNCED)


def _begun(call: re.Match[str], syncing: set[str]) -> Iterator[Step]:
    name, rest = call["name"], call["rest"]
    of_log = "events.db-wal>" in rest.partition(",")[0].partition(")")[0]
    if name in ("fsync", "fdatasync"):
        if of_log and rest.endswith("<unfinished ...>"):
            syncing.add(call["pid"])
        elif of_log and rest.endswith("= 0"):
            yield Step(Kind.SYNCED)
    elif of_log:
        yield Step(Kind.LOGGED, frozenset(MARK.findall(rest)))
    elif '"HTTP/1.1 202 ' in rest:
        yield Step(Kind.ANSWERED)


@asynccontextmanager
async def traced(activator: Activator, output: Path) -> AsyncIterator[None]:
    """Trace the process while the block runs; `output` is whole afterwards."""
    command = ("strace", "-f", "-y", "-s", str(PAGE + 64), "-e", f"trace={CALLS}", "-o", str(output))
    tracer = await asyncio.create_subprocess_exec(
        *command, "-p", str(activator.process.pid), stderr=asyncio.subprocess.PIPE
    )
    assert tracer.stderr is not None
    try:
        async with asyncio.timeout(WAIT_S):
            said = await tracer.stderr.readline()
            assert b"attached" in said, said
            # It attaches to threads one by one; the event loop's and the committer's must be among them.
            while not _all_traced(activator.process.pid, tracer.pid):
                await asyncio.sleep(0)
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        await tracer.communicate()


def _all_traced(pid: int, tracer: int) -> bool:
    statuses = (Path(f"/proc/{pid}/task/{task}/status") for task in os.listdir(f"/proc/{pid}/task"))
    return all(f"TracerPid:\t{tracer}\n" in status.read_text() for status in statuses)


async def test_between_the_last_write_of_an_event_and_its_202_lies_a_completed_sync(tmp_path: Path) -> None:
    events = 5
    async with broker_mesh(tmp_path) as mesh:
        activator = await mesh.start_activator()
        async with traced(activator, tmp_path / "trace"), aiohttp.ClientSession() as session:
            for number in range(events):
                assert await send(session, activator.broker, f"mark-{number}-") == 202
    seen = list(steps((tmp_path / "trace").read_text()))
    ends = [at for at, step in enumerate(seen) if step.kind is Kind.ANSWERED]
    assert len(ends) == events
    for number, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        between = seen[begin:end]
        written = [at for at, step in enumerate(between) if step.kind is Kind.LOGGED]
        synced = [at for at, step in enumerate(between) if step.kind is Kind.SYNCED]
        assert any(f"mark-{number}-" in between[at].marks for at in written), "the event itself is in the log"
        assert synced and synced[-1] > written[-1], "and nothing of it was written after the sync"


async def test_under_load_events_share_syncs_and_none_is_answered_before_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    senders, each = 64, 8

    async def run(session: aiohttp.ClientSession, broker: str, sender: int) -> None:
        for number in range(each):
            assert await send(session, broker, f"mark-{sender * each + number}-") == 202

    async with broker_mesh(tmp_path) as mesh:
        activator = await mesh.start_activator()
        connector = aiohttp.TCPConnector(limit=senders)
        async with traced(activator, tmp_path / "trace"), aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(*(run(session, activator.broker, sender) for sender in range(senders)))
    written: set[str] = set()
    on_disk: set[str] = set()
    answered = syncs = 0
    for step in steps((tmp_path / "trace").read_text()):
        match step.kind:
            case Kind.LOGGED:
                written |= step.marks
            case Kind.SYNCED:
                syncs += 1
                on_disk |= written
            case Kind.ANSWERED:
                answered += 1
                assert answered <= len(on_disk), "a 202 left before its event was on disk"
    assert answered == senders * each
    assert answered > syncs, "group commit"
    with capsys.disabled():
        sys.stdout.write(f"\n  {answered} events, {syncs} syncs: {answered / syncs:.1f} events a sync\n")
