"""What every event store tells of the past. An engine's test module inherits the suite beside `EventStoreContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.history import Order, Position, Query, Reach
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.values import Attempt, Failure, Outcome, Retention, Settlement, StoredEvent
from tests.contracts.event_store import BANK, SHOP, new_event

FOREVER = Retention(max_age_s=1e9, max_bytes=1 << 40)


def attempt(stored: StoredEvent, number: int = 1, **facts: object) -> Attempt:
    """Return an attempt that was answered 503."""
    made = Attempt("t", "demo/t", stored.sequence, number, False, stored.accepted_at + number, 0.002, 503)
    return replace(made, **facts)  # type: ignore[arg-type]  # the fields of Attempt


def ids(events: Sequence[StoredEvent]) -> list[str]:
    """Return the ids in order."""
    return [stored.event.id for stored in events]


class EventHistoryContract(ABC):
    """The suite."""

    @abstractmethod
    def open_store(self, directory: Path) -> EventStore:
        """Open the store that lives in `directory`."""

    async def test_events_are_paged_in_both_directions(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        for n in range(7):
            await store.append(new_event(n, BANK if n == 3 else SHOP))
        query, found = Query(SHOP, limit=2), []
        while True:
            page = await store.history.events(query)
            found += ids(page.events)
            if not page.next:
                break
            query = replace(query, after=page.next)
        assert found == ["0", "1", "2", "4", "5", "6"]
        query, found = Query(SHOP, limit=4, order=Order.NEWEST_FIRST), []
        while True:
            page = await store.history.events(query)
            found += ids(page.events)
            if not page.next:
                break
            query = replace(query, before=page.next)
        assert found == ["6", "5", "4", "2", "1", "0"]
        await store.close()

    async def test_events_are_found_by_namespace_attribute_filter_and_time(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        written = [await store.append(new_event(n, BANK if n % 2 else SHOP)) for n in range(6)]
        await store.append(new_event(9, "demo2/shop"))
        history = store.history
        assert ids((await history.events(Query("demo/"))).events) == ["0", "1", "2", "3", "4", "5"]
        assert ids((await history.events(Query("demo/", equal={"n": "4"}))).events) == ["4"]
        assert ids((await history.events(Query("demo/", equal={"flag": "true", "id": "5"}))).events) == ["5"]
        assert (await history.events(Query("demo/", equal={"id": 'no"such'}))).events == []
        late = Query("demo/", passes=lambda event: int(event.id) > 3)
        assert ids((await history.events(late)).events) == ["4", "5"]
        from_third = Query("demo/", since=written[2].accepted_at)
        assert set(ids((await history.events(from_third)).events)) >= {"2", "3", "4", "5"}
        assert ids((await history.events(Query("demo/", until=written[0].accepted_at))).events) == []
        await store.close()

    async def test_a_timeline_tells_attempts_ends_replies_and_who_did_not_match(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.append(new_event(0))
        for trigger in ("t", "other", "waiting"):
            await store.open_trigger(trigger, SHOP)
        await store.open_trigger("foreign", BANK)
        cause, reply = [await store.append(new_event(n)) for n in (1, 2)]
        await store.open_trigger("later", SHOP)
        attempts = [
            attempt(cause),
            attempt(cause, 2, status=200, outcome=Outcome.DELIVERED, reply=reply.sequence),
        ]
        ended = {"t": Outcome.DELIVERED, "other": Outcome.FILTERED}
        ends = [Settlement(trigger, cause.sequence, outcome) for trigger, outcome in ended.items()]
        await store.settle(ends, attempts)
        await store.close()
        again = self.open_store(tmp_path)
        told = await again.history.timeline(cause.sequence)
        assert told is not None
        assert (told.stored, list(told.attempts)) == (cause, attempts)
        assert told.triggers == {"t": Reach.ENDED, "other": Reach.NOT_MATCHED, "waiting": Reach.PENDING}
        answer = await again.history.timeline(reply.sequence)
        assert answer is not None
        assert (list(answer.causes), answer.triggers["t"]) == ([cause.sequence], Reach.PENDING)
        assert await again.history.timeline(99) is None
        assert await again.history.event(99) is None
        await again.close()

    async def test_attempts_are_followed_from_a_place_on(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        assert await store.history.position() == Position(0, 0)
        await store.open_trigger("t", SHOP)
        mine, foreign = await store.append(new_event(1)), await store.append(new_event(2, BANK))
        await store.settle([], [attempt(mine), attempt(foreign)])
        before = await store.history.position()
        await store.settle([], [attempt(mine, 2)])
        first, second = await store.history.attempts(Query(SHOP))
        assert (first.attempt, first.stored.event.id) == (attempt(mine), "1")
        assert await store.history.attempts(Query(SHOP, after=before.entry)) == [second]
        assert (await store.history.position()).entry == second.entry
        await store.close()

    async def test_what_is_kept_stays_and_goes_with_its_attempts(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        events = [await store.append(new_event(n)) for n in range(3)]
        ends = [Settlement("t", stored.sequence, Outcome.DELIVERED) for stored in events]
        await store.settle(ends, [attempt(stored, outcome=Outcome.DELIVERED) for stored in events])
        assert await store.trim(FOREVER) == 0
        assert len((await store.history.events(Query(SHOP))).events) == 3
        assert await store.trim(Retention(max_age_s=0.0, max_bytes=1 << 40)) == 2, "the last carries the number"
        assert [row.stored.sequence for row in await store.history.attempts(Query(SHOP))] == [events[2].sequence]
        place = await store.history.position()
        await store.settle([], [attempt(events[2], 2)])
        assert (await store.history.position()).entry == place.entry + 1, "numbers are not used twice"
        await store.close()

    async def test_the_oldest_go_when_the_store_is_larger_than_it_may_be(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        for n in range(100):
            await store.append(new_event(n, data=b"x" * 20_000))
        while await store.trim(Retention(max_age_s=1e9, max_bytes=1_000_000)):
            pass
        left = ids((await store.history.events(Query(SHOP))).events)
        assert left == [str(n) for n in range(100 - len(left), 100)]
        assert 20 <= len(left) <= 50
        await store.close()

    async def test_lists_leave_the_data_out_and_one_event_has_it(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        stored = await store.append(new_event(1, data=b"data"))
        await store.settle([Settlement("t", stored.sequence, Outcome.KEPT, "no", "demo/t")], [attempt(stored)])
        (listed,) = (await store.history.events(Query(SHOP))).events
        (recorded,) = await store.history.attempts(Query(SHOP))
        (letter,) = await store.history.dead_letters(Selection(SHOP))
        assert letter.stored is not None
        assert [each.event.data for each in (listed, recorded.stored, letter.stored)] == [None, None, None]
        assert await store.history.event(stored.sequence) == stored
        (asked,) = await store.history.dead_letters(Selection(SHOP, event_id="1"))
        assert asked.stored == stored
        assert await store.history.dead_letters(Selection(SHOP, event_id="2")) == []
        assert await store.history.dead_letters(Selection(SHOP, trigger="demo/other")) == []
        await store.close()

    async def test_a_dead_letter_tells_who_refused_it_how_and_when(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await store.open_trigger("t", SHOP)
        kept = await store.append(new_event(1))
        failure = Failure("http://subscriber/", 400, b"no such order", 3)
        end = Settlement("t", kept.sequence, Outcome.KEPT, "subscriber: answered 400", "demo/t", failure)
        await store.settle([end])
        await store.trim()
        (letter,) = await store.history.dead_letters(Selection("demo/", event_id="1"))
        assert (letter.stored, letter.name, letter.failure) == (kept, "demo/t", failure)
        assert letter.at >= kept.accepted_at
        await store.close()
