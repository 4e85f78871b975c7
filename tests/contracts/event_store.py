"""What every event store promises. An engine's test module inherits the suite and provides `open_store`.

`open_store(again=True)` opens what an earlier call in the same test wrote, as after a restart.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.history import Query
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.replays import Advance, NewReplay
from eventmesh.activator.broker.store.values import (
    KEEP_NOTHING,
    Attempt,
    NewEvent,
    Outcome,
    Progress,
    Retention,
    Settlement,
)
from eventmesh.cloudevents.event import AttributeValue, Event

SHOP, BANK = "demo/shop", "demo/bank"


def new_event(number: int, broker: str = SHOP, data: bytes | None = b"{}") -> NewEvent:
    """Return a distinct event for `broker`."""
    attributes: dict[str, AttributeValue] = {
        "id": str(number),
        "source": "/s",
        "type": "t",
        "specversion": "1.0",
        "n": number,
        "flag": True,
    }
    return NewEvent(broker, Event(attributes, data), (("x-request-id", f"r{number}"),))


class EventStoreContract(ABC):
    """The suite."""

    @abstractmethod
    def open_store(self, directory: Path) -> EventStore:
        """Open the store that lives in `directory`."""

    async def test_what_was_appended_is_read_back_unchanged_and_in_order(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        written = [
            await store.append(new_event(n, data=data)) for n, data in enumerate([b"{}", b"", None, b"\x00\xff"])
        ]
        assert list(await store.read(SHOP, 0, 10)) == written
        await store.close()

    async def test_sequences_rise_by_one_under_concurrent_appends(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        written = await asyncio.gather(*(store.append(new_event(n)) for n in range(300)))
        assert sorted(event.sequence for event in written) == list(range(1, 301))
        await store.close()

    async def test_an_event_that_came_before_is_the_same_event_for_its_time(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        unique = replace(new_event(1), unique_for_s=3600.0)
        first, again, also = await asyncio.gather(*(store.append(unique) for _ in range(3)))
        assert (first.duplicate, again.duplicate, also.duplicate) == (False, True, True)
        assert {first.sequence, again.sequence, also.sequence} == {1}
        assert not (await store.append(new_event(1))).duplicate, "who does not ask is not told"
        for other in (replace(unique, broker=BANK), replace(new_event(2), unique_for_s=3600.0)):
            assert not (await store.append(other)).duplicate
        await store.close()
        reopened = self.open_store(tmp_path)
        assert (await reopened.append(unique)).sequence == 1
        assert len(await reopened.read(SHOP, 0, 10)) == 3
        await reopened.close()

    async def test_an_event_is_new_again_when_its_time_is_over(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        brief = replace(new_event(1), unique_for_s=1e-9)
        assert [(await store.append(brief)).duplicate for _ in range(2)] == [False, False]
        await store.trim()
        assert not (await store.append(brief)).duplicate
        await store.close()

    async def test_a_reader_sees_its_own_broker_only_and_pages(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        for n in range(6):
            await store.append(new_event(n, SHOP if n % 2 else BANK))
        first = await store.read(SHOP, 0, 2)
        rest = await store.read(SHOP, first[-1].sequence, 10)
        assert [event.event.id for event in (*first, *rest)] == ["1", "3", "5"]
        await store.close()

    async def test_a_reader_gets_no_more_behind_the_event_with_which_the_data_come_to_a_bound(
        self, tmp_path: Path
    ) -> None:
        store = self.open_store(tmp_path)
        for n in range(4):
            await store.append(new_event(n, data=b"x" * 1_000 if n else None))
        for most, count in ((1, 2), (1_000, 2), (1_001, 3), (9_000, 4)):
            assert len(await store.read(SHOP, 0, 10, most)) == count
        assert len(await store.read(SHOP, 0, 2, 9_000)) == 2
        await store.close()

    async def test_events_and_progress_survive_a_restart(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        events = [await store.append(new_event(n)) for n in range(4)]
        ends = [Settlement("t", events[at].sequence, Outcome.DELIVERED) for at in (0, 2)]
        await store.settle(ends)
        await store.close()
        again = self.open_store(tmp_path)
        progress = await again.open_trigger("t", SHOP)
        assert progress.cursor == events[0].sequence
        assert progress.ahead == {events[2].sequence}
        assert [event.event.id for event in await again.read(SHOP, progress.cursor, 10)] == ["1", "2", "3"]
        assert (await again.append(new_event(9))).sequence == events[-1].sequence + 1
        await again.close()

    async def test_a_new_trigger_starts_behind_what_was_accepted(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        last = await store.append(new_event(0))
        assert (await store.open_trigger("t", SHOP)).cursor == last.sequence
        await store.append(new_event(1))
        assert (await store.open_trigger("t", SHOP)).cursor == last.sequence
        await store.close()

    async def test_the_cursor_moves_over_settled_events_only(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        first, second, foreign, third = [
            await store.append(new_event(n, broker)) for n, broker in enumerate([SHOP, SHOP, BANK, SHOP])
        ]
        await store.settle([Settlement("t", third.sequence, Outcome.DELIVERED)])
        assert (await store.open_trigger("t", SHOP)).cursor == first.sequence - 1
        await store.settle([Settlement("t", e.sequence, Outcome.FILTERED) for e in (second, first)])
        progress = await store.open_trigger("t", SHOP)
        assert (progress.cursor, progress.ahead) == (third.sequence, frozenset())
        assert foreign.sequence < progress.cursor
        await store.close()

    async def test_a_range_that_a_filter_did_not_let_pass_is_settled_at_once(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        first, *more = [await store.append(new_event(n, BANK if n == 2 else SHOP)) for n in range(6)]
        await store.settle([Settlement("t", more[-2].sequence, Outcome.FILTERED, since=more[0].sequence)])
        progress = await store.open_trigger("t", SHOP)
        assert progress.cursor == first.sequence - 1, "what lies before is still open"
        assert progress.ahead == {e.sequence for e in more[:-1] if e.broker == SHOP}
        await store.settle([Settlement("t", first.sequence, Outcome.DELIVERED)])
        assert (await store.open_trigger("t", SHOP)).cursor == more[-2].sequence
        await store.settle([Settlement("t", more[-1].sequence, Outcome.FILTERED, since=more[-1].sequence)])
        assert await store.open_trigger("t", SHOP) == Progress(more[-1].sequence)
        await store.close()

    async def test_a_dead_letter_stays_with_its_reason(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        kept, _ = [await store.append(new_event(n)) for n in range(2)]
        await store.settle([Settlement("t", kept.sequence, Outcome.KEPT, "answered 400")])
        await store.trim()
        (letter,) = await store.history.dead_letters(Selection(SHOP, event_id=kept.event.id))
        assert (letter.trigger, letter.stored, letter.reason) == ("t", kept, "answered 400")
        assert await store.history.dead_letters(Selection(BANK)) == []
        await store.close()

    async def test_a_stopped_trigger_keeps_its_brokers_events_and_nobody_elses(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("stopped", BANK)
        await store.open_trigger("done", SHOP)
        brokers = [SHOP, BANK, SHOP, SHOP, BANK, SHOP, BANK]
        events = [await store.append(new_event(n, broker)) for n, broker in enumerate(brokers)]
        ends = [Settlement("done", e.sequence, Outcome.DELIVERED) for e in events if e.broker == SHOP]
        attempt = Attempt("done", "demo/done", events[3].sequence, 1, False, 0.0, 0.0, 200, outcome=Outcome.DELIVERED)
        await store.settle(ends, [attempt])
        assert await store.history.holders(KEEP_NOTHING, 1e12) == ["stopped"]
        assert await store.trim() == 1, "what lies before all that is waited for"
        assert await store.trim() == 3, "and what lies behind it"
        assert await store.trim() == 0
        await store.close()
        again = self.open_store(tmp_path)
        assert await again.read(SHOP, 0, 10) == []
        assert [e.event.id for e in await again.read(BANK, 0, 10)] == ["1", "4", "6"]
        assert await again.event(events[2].sequence) is None
        assert await again.history.timeline(events[3].sequence) is None
        shown = await again.history.events(Query("demo/"))
        assert sorted(stored.event.id for stored in shown.events) == ["1", "4", "6"]
        await again.settle([Settlement("stopped", e.sequence, Outcome.DELIVERED) for e in events if e.broker == BANK])
        assert await again.history.holders(KEEP_NOTHING, 1e12) == []
        assert await again.trim() == 5, "all but the last, which carries the number"
        assert (await again.append(new_event(7))).sequence == events[-1].sequence + 1
        await again.close()

    async def test_what_is_replayed_or_not_old_enough_is_left_behind_a_stopped_trigger(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("stopped", BANK)
        await store.open_trigger("t", SHOP)
        await store.append(new_event(0, BANK))
        events = [await store.append(new_event(n)) for n in range(1, 4)]
        await store.append(new_event(4, BANK))
        await store.settle([Settlement("t", e.sequence, Outcome.DELIVERED) for e in events])
        assert await store.trim(Retention(max_age_s=3600.0, max_bytes=1 << 40)) == 0
        assert await store.history.holders(Retention(max_age_s=3600.0, max_bytes=1 << 40), events[0].accepted_at) == []
        replay = await store.replays.start(NewReplay("t", "demo/t", SHOP), 0.0)
        await store.replays.advance(Advance(replay.number, events[0].sequence, [], 0.0))
        assert await store.trim() == 1
        assert list(await store.read(SHOP, 0, 10)) == events[1:]
        await store.close()

    async def test_trimming_leaves_what_a_trigger_waits_for(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("done", SHOP)
        await store.open_trigger("slow", SHOP)
        await store.open_trigger("idle", BANK)
        events = [await store.append(new_event(n)) for n in range(5)]
        await store.settle([Settlement("done", e.sequence, Outcome.DELIVERED) for e in events])
        await store.settle([Settlement("slow", e.sequence, Outcome.DELIVERED) for e in events[:2]])
        assert await store.trim() == 2
        assert [e.event.id for e in await store.read(SHOP, 0, 10)] == ["2", "3", "4"]
        await store.forget_trigger("slow")
        assert await store.trim() == 2
        await store.close()
        again = self.open_store(tmp_path)
        assert (await again.append(new_event(5))).sequence == events[-1].sequence + 1
        await again.close()
