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

    A server may refuse any, and go on or not. Where we have refused the end of a stream, a message that we have not
    passed may be of that end: then it is known for another reading by what we read under its method and path.
    """
    left = passed
    alike = 0
    is_whole = passed[-1] == _LAST
    for message in seen:
        if not left:
            break  # We have refused what follows.
        if message not in left:
            is_other = is_whole or message[:2] in [one[:2] for one in left]
            return alike, message if is_other else None
        alike += 1
        left = left[left.index(message) + 1 :]
    return alike, None


def _get(path: str, body: str = "") -> Seen:
    return "GET", path, body


_LAST = _get("/end")


@pytest.mark.parametrize(
    ("passed", "seen", "alike", "wrong"),
    [
        ([_get("/a"), _LAST], [_get("/a"), _LAST], 2, None),
        ([_get("/a"), _LAST], [_LAST], 1, None),
        ([_get("/a"), _LAST], [_get("/b"), _LAST], 0, _get("/b")),
        ([_get("/a", "00"), _LAST], [_get("/a"), _get("/b"), _LAST], 0, _get("/a")),
        ([_get("/a")], [_get("/a"), _get("/b")], 1, None),
        ([_get("/a")], [_get("/b")], 0, None),
        ([_get("/a", "00")], [_get("/a")], 0, _get("/a")),
    ],
)
def test_what_is_told_as_a_disagreement(passed: list[Seen], seen: list[Seen], alike: int, wrong: Seen | None) -> None:
    assert agreement(passed, seen) == (alike, wrong)
