"""Changes on their way through a journal: each comes back as it was, and what was not written so is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.activator.broker.store.arrivals import Arrival
from eventmesh.activator.broker.store.changes import Change
from eventmesh.activator.broker.store.duplicates import ForgetSeen
from eventmesh.activator.broker.store.errors import CorruptStore, StoreError
from eventmesh.activator.broker.store.insertion import Accept
from eventmesh.activator.broker.store.places import ForgetTrigger, OpenTrigger
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.records import encode
from eventmesh.activator.broker.store.replays import Advance, NewReplay
from eventmesh.activator.broker.store.settling import Settle
from eventmesh.activator.broker.store.shared import entries
from eventmesh.activator.broker.store.shared.entries import Author, author_of, pack, unpack, write
from eventmesh.activator.broker.store.shared.membership import Beat, Claim, Expel, Leave, Release
from eventmesh.activator.broker.store.sqlite_queue import Redrive
from eventmesh.activator.broker.store.sqlite_replays import AdvanceReplay, StartReplay, StopReplay
from eventmesh.activator.broker.store.trimming import LeaveTombstones, Trim, TrimAttempts
from eventmesh.activator.broker.store.values import Attempt, Failure, Outcome, Settlement
from tests.contracts.event_store import new_event

AUTHOR = Author(b"0123456789abcdef", 7)
ATTEMPT = Attempt("t", "demo/t", 3, 1, False, 1.5, 0.25, 503, "é", Outcome.KEPT, "why", 4)
FAILURE = Failure("http://s/", 400, b"\x00\xff", 2)
ARRIVALS = [
    Arrival(new, encode(new), 12.5) for new in (new_event(1), new_event(2, data=None), new_event(3, data=b"\x00\x80"))
]

CHANGES: list[Change[Any]] = [
    Accept(ARRIVALS),
    OpenTrigger("t", "demo/shop", None),
    OpenTrigger("t", "demo/shop", 1.25),
    ForgetTrigger("t"),
    Settle(
        [Settlement("t", 3, Outcome.KEPT, "r", "demo/t", FAILURE, 5, 6.5, 2), Settlement("t", 4, Outcome.DELIVERED)],
        [ATTEMPT],
        9.5,
    ),
    Trim(17),
    TrimAttempts(),
    LeaveTombstones(3, 9, 4),
    ForgetSeen(2.5),
    Redrive(Selection("demo/", "demo/t", "id"), 1.0, 2.0, 3, (4, "t")),
    StartReplay(NewReplay("t", "demo/t", "demo/shop", 1.0, None, "a = 'b'", 5.0), 6.0),
    AdvanceReplay(Advance(1, 9, [(3, 1.5), (4, 2.5)], 3.0)),
    StopReplay(1),
    Beat("m"),
    Leave("m"),
    Expel("m", 5),
    Claim("m", ["a", "b"]),
    Release("m", []),
]


def test_every_kind_of_change_comes_back_as_it_was() -> None:
    assert {type(change) for change in CHANGES} == set(entries._CHANGES)
    content = pack(AUTHOR, [write(change) for change in CHANGES])
    assert author_of(1, content) == AUTHOR
    assert unpack(content) == CHANGES


def test_the_size_of_a_change_is_what_it_takes() -> None:
    written = [write(change) for change in CHANGES]
    assert len(pack(AUTHOR, written)) <= sum(each.size for each in written) + entries.ENTRY_OVERHEAD


def test_any_flipped_bit_is_noticed() -> None:
    content = pack(AUTHOR, [write(CHANGES[0])])
    for at in range(1, len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 0x10
        with pytest.raises(CorruptStore, match="entry 9 of the journal is not what was written"):
            author_of(9, bytes(damaged))
    for length in (0, 1, 20, len(content) - 1):
        with pytest.raises(CorruptStore):
            author_of(9, content[:length])


def test_a_change_of_a_later_version_is_told() -> None:
    content = pack(AUTHOR, [write(Beat("m"))]).replace(b"Beat", b"Beam")
    with pytest.raises(
        StoreError, match="holds a change 'Beam', which this version of eventmesh does not know: update it"
    ):
        unpack(content)


def test_a_later_format_is_not_read() -> None:
    content = pack(AUTHOR, [write(Beat("m"))])
    with pytest.raises(StoreError, match="has format 2; this version of eventmesh reads up to 1: update it"):
        author_of(3, b"\x02" + content[1:])
