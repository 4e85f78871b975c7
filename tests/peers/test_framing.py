"""Where messages begin and end, beside five other servers: what passes through here no two may read two ways."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.peers.framing import END, Reader, Seen, readers, stream

pytestmark = pytest.mark.peer

IS_SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
FIRST = int(os.environ.get("EVENTMESH_SEED", "1")) * 1_000_000
STREAMS = 100_000 if IS_SOAK else 400
"""Some hundred a second; with `make soak SEED=n` another hundred thousand each time."""
AT_ONCE = 16


async def test_no_other_server_reads_other_messages_out_of_a_stream_that_is_passed_on(tmp_path: Path) -> None:
    async with readers(tmp_path) as (ours, others):
        for one in (ours, *others):
            assert [seen[:2] for seen in await one.sees(END)] == [("GET", "/end")], one.name
        found: list[str] = []
        turns = asyncio.Semaphore(AT_ONCE)

        async def compare(seed: int) -> None:
            async with turns:
                sent = stream(seed)
                passed = await ours.sees(sent)
                if passed:
                    for other in others:
                        found.extend(await disagreements(seed, sent, passed, other))

        for start in range(FIRST, FIRST + STREAMS, 1_000):
            async with asyncio.TaskGroup() as group:
                for seed in range(start, min(start + 1_000, FIRST + STREAMS)):
                    group.create_task(compare(seed))
            assert not found, "\n".join(found)


async def disagreements(seed: int, sent: bytes, passed: list[Seen], other: Reader) -> list[str]:
    """Return the message that another server reads where we read others; a server may refuse any, and go on or not."""
    left = passed
    for message in await other.sees(sent):
        if not left:
            break  # We have refused what follows.
        if message not in left:
            return [f"seed {seed}: {other.name} reads {message}, we {left}: {sent!r}"]
        left = left[left.index(message) + 1 :]
    return []
