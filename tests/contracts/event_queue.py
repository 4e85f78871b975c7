"""What every event store promises of the queues of triggers. Inherited beside `EventStoreContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.history import Level
from eventmesh.activator.broker.store.queue import Origin, Selection
from eventmesh.activator.broker.store.values import Failure, Outcome, Settlement, StoredEvent
from tests.contracts.event_store import BANK, SHOP, new_event


async def kept(store: EventStore, number: int, trigger: str = "t", broker: str = SHOP) -> StoredEvent:
    """Return an event that `trigger` has given up."""
    await store.open_trigger(trigger, broker)
    stored = await store.append(new_event(number, broker))
    failure = Failure("http://subscriber/", 400, b"no", 1)
    await store.settle([Settlement(trigger, stored.sequence, Outcome.KEPT, "answered 400", f"demo/{trigger}", failure)])
    return stored


class EventQueueContract(ABC):
    """The suite."""

    @abstractmethod
    def open_store(self, directory: Path) -> EventStore:
        """Open the store that lives in `directory`."""

    async def test_a_deferred_event_waits_for_its_time_and_holds_up_nothing(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        early, late, after = [await store.append(new_event(n)) for n in range(3)]
        ends = [
            Settlement("t", late.sequence, Outcome.DEFERRED, due=200.0),
            Settlement("t", early.sequence, Outcome.DEFERRED, due=100.0),
        ]
        await store.settle(ends)
        await store.close()
        again = self.open_store(tmp_path)
        assert (await again.open_trigger("t", SHOP)).cursor == late.sequence
        nothing = await again.queue.due("t", 99.0, 10)
        assert (nothing.entries, nothing.next_due) == ([], 100.0)
        due = await again.queue.due("t", 100.0, 10)
        (entry,) = due.entries
        assert (entry.stored, entry.origin, due.next_due) == (early, Origin.DELAYED, 200.0)
        both = await again.queue.due("t", 200.0, 1)
        assert [e.stored for e in both.entries] == [early], "the limit holds"
        await again.settle([Settlement("t", early.sequence, Outcome.DELIVERED, entry=entry.entry)])
        assert [e.stored for e in (await again.queue.due("t", 200.0, 10)).entries] == [late]
        assert await again.queue.entry(entry.entry) is None
        assert (await again.open_trigger("t", SHOP)).cursor == late.sequence
        assert after.sequence > late.sequence
        await again.close()

    async def test_a_redriven_letter_is_queued_for_its_trigger_alone(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        mine = [await kept(store, n) for n in range(3)]
        await kept(store, 7, "other")
        await kept(store, 8, "foreign", BANK)
        chosen = await store.queue.redrive(Selection(SHOP, trigger="demo/t"), 50.0, 2.0)
        assert [(letter.event_id, letter.due) for letter in chosen] == [("0", 50.0), ("1", 50.5), ("2", 51.0)]
        await store.close()
        again = self.open_store(tmp_path)
        assert [letter.name for letter in await again.history.dead_letters(Selection("demo/"))] == [
            "demo/other",
            "demo/foreign",
        ]
        due = await again.queue.due("t", 50.5, 10)
        assert [(e.stored, e.origin) for e in due.entries] == [(stored, Origin.REDRIVEN) for stored in mine[:2]]
        assert [e.due for e in await again.queue.waiting("demo/", 10)] == [50.0, 50.5, 51.0]
        assert await again.queue.waiting(BANK, 10) == []
        await again.close()

    async def test_a_redriven_letter_that_fails_again_is_a_dead_letter_again(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        stored = await kept(store, 1)
        await store.queue.redrive(Selection("demo/", event_id="1"), 0.0)
        assert await store.history.dead_letters(Selection(SHOP)) == []
        await store.trim()
        (entry,) = (await store.queue.due("t", 0.0, 10)).entries
        failure = Failure("http://subscriber/", 500, b"still", 4)
        await store.settle(
            [Settlement("t", stored.sequence, Outcome.KEPT, "answered 500", "demo/t", failure, entry=entry.entry)]
        )
        (letter,) = await store.history.dead_letters(Selection(SHOP, event_id="1"))
        assert (letter.stored, letter.failure) == (stored, failure)
        assert await store.queue.waiting(SHOP, 10) == []
        await store.close()

    async def test_only_the_letters_that_are_meant_are_redriven(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        for n in range(3):
            await kept(store, n)
        moved = await store.queue.redrive(Selection(SHOP, event_id="1"), 0.0)
        assert [letter.event_id for letter in moved] == ["1"]
        assert await store.queue.redrive(Selection(SHOP, event_id="nothing"), 0.0) == []
        assert await store.queue.redrive(Selection(SHOP, trigger="demo/nobody"), 0.0) == []
        assert {
            letter.stored.event.id for letter in await store.history.dead_letters(Selection(SHOP)) if letter.stored
        } == {"0", "2"}
        await store.close()

    async def test_more_letters_than_one_transaction_takes_are_all_redriven_in_order(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        events = [await store.append(new_event(n)) for n in range(230)]
        await store.settle([Settlement("t", e.sequence, Outcome.KEPT, "no", "demo/t") for e in events])
        moved = await store.queue.redrive(Selection("demo/"), 0.0, 10.0)
        wanted = [(stored.sequence, n / 10) for n, stored in enumerate(events)]
        assert [(letter.sequence, letter.due) for letter in moved] == wanted
        assert await store.history.dead_letters(Selection("demo/")) == []
        first = await store.queue.due("t", 1e9, 3)
        rest = await store.queue.due("t", 1e9, 300, {entry.entry for entry in first.entries})
        assert [e.sequence for e in (*first.entries, *rest.entries)] == [e.sequence for e in events]
        await store.close()

    async def test_no_entry_follows_the_one_with_which_the_data_come_to_a_bound(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        events = [await store.append(new_event(n, data=b"x" * 1_000 if n else None)) for n in range(4)]
        ends = [Settlement("t", e.sequence, Outcome.DEFERRED, due=float(9 - n)) for n, e in enumerate(events)]
        await store.settle(ends)
        by_time = [event.sequence for event in reversed(events)]
        for most, count in ((1, 1), (1_000, 1), (1_001, 2), (9_000, 4)):
            due = await store.queue.due("t", 10.0, 10, (), most)
            assert [entry.sequence for entry in due.entries] == by_time[:count]
        assert len((await store.queue.due("t", 10.0, 2, (), 9_000)).entries) == 2
        await store.close()

    async def test_the_queue_of_a_deleted_trigger_goes_with_it(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await kept(store, 1)
        await store.queue.redrive(Selection(SHOP), 0.0)
        await store.forget_trigger("t")
        assert await store.queue.waiting("demo/", 10) == []
        await store.close()

    async def test_what_waits_for_each_trigger_is_counted(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await kept(store, 1)
        await kept(store, 2)
        await store.queue.redrive(Selection(SHOP, event_id="2"), 0.0)
        events = [await store.append(new_event(n)) for n in range(3, 6)]
        await store.append(new_event(9, BANK))
        await store.settle([Settlement("t", events[1].sequence, Outcome.DELIVERED)])
        assert await store.history.levels() == {"t": Level(pending=2, queued=1, dead_letters=1)}
        assert await store.history.size_bytes() > 0
        await store.close()

    async def test_a_new_trigger_starts_in_the_past_when_asked(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        events = [await store.append(new_event(n)) for n in range(3)]
        assert (await store.open_trigger("all", SHOP, 0.0)).cursor == events[0].sequence - 1
        assert (await store.open_trigger("last", SHOP, events[2].accepted_at)).cursor <= events[2].sequence - 1
        assert (await store.open_trigger("none", SHOP, events[2].accepted_at + 3600)).cursor == events[2].sequence
        assert (await store.open_trigger("none", SHOP, 0.0)).cursor == events[2].sequence, "it has its place already"
        await store.close()
