"""Where messages begin and end, beside five other servers: what passes through here no two may read two ways."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.peers.framing import readers
from tests.peers.framing_reader import Seen
from tests.peers.framing_streams import END, stream

pytestmark = pytest.mark.peer

IS_SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
FIRST = int(os.environ.get("EVENTMESH_SEED", "1")) * 1_000_000
STREAMS = int(os.environ.get("EVENTMESH_STREAMS", 1_000_000 if IS_SOAK else 20_000))
"""Some seven hundred a second on two processors; with `make soak SEED=n` another million each time."""
AT_ONCE = 64
LONGEST_S = 4 * 3600 if IS_SOAK else 600


@pytest.mark.timeout(LONGEST_S)
def test_no_other_server_reads_other_messages_out_of_a_stream_that_is_passed_on(tmp_path: Path) -> None:
    found, read = uvloop.run(_compare(iter(range(FIRST, FIRST + STREAMS)), tmp_path))
    assert not found, "\n".join(found)
    # Who refuses everything agrees with everybody. aiohttp, which refuses most, reads one in fourteen streams as we do.
    assert min(read.values()) > STREAMS // 20, read


async def _compare(seeds: Iterator[int], directory: Path) -> tuple[list[str], Counter[str]]:
    """Return the disagreements about the streams of these seeds, and how many messages each has read as we do; it ends
    soon after the first disagreement."""
    found: list[str] = []
    read: Counter[str] = Counter()
    async with readers(directory) as (ours, others):
        for one in (ours, *others):
            assert [seen[:2] for seen in await one.sees(END)] == [("GET", "/end")], one.name

        async def compare() -> None:
            for seed in seeds:
                if found:
                    return
                sent = stream(seed)
                passed = await ours.sees(sent)
                if not passed:
                    continue
                all_seen = await asyncio.gather(*(other.sees(sent) for other in others))
                for other, seen in zip(others, all_seen, strict=True):
                    alike, wrong = agreement(passed, seen)
                    read[other.name] += alike
                    if wrong is not None:
                        found.append(f"seed {seed}: {other.name} reads {wrong}, we {passed}: {sent!r}")

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(compare())
    return found, read


def agreement(passed: list[Seen], seen: list[Seen]) -> tuple[int, Seen | None]:
    """Return how many messages another server reads as we do, and the first that it reads where we read others.

    A server may refuse any, and go on or not.
    """
    left = passed
    alike = 0
    for message in seen:
        if not left:
            break  # We have refused what follows.
        if message not in left:
            return alike, message
        alike += 1
        left = left[left.index(message) + 1 :]
    return alike, None
