"""What every event store promises of replays. Inherited beside `EventStoreContract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.queue import Origin
from eventmesh.activator.broker.store.replays import Advance, NewReplay
from eventmesh.activator.broker.store.values import Outcome, Settlement
from tests.contracts.event_store import SHOP, new_event

ALL = NewReplay("t", "demo/t", SHOP, expression="n > 1", rate_per_s=5.0)


async def delivered(store: EventStore, count: int) -> list[int]:
    """Return the sequences of events that the trigger `t` has got."""
    await store.open_trigger("t", SHOP)
    events = [await store.append(new_event(n)) for n in range(count)]
    await store.settle([Settlement("t", stored.sequence, Outcome.DELIVERED) for stored in events])
    return [stored.sequence for stored in events]


class EventReplaysContract(ABC):
    """The suite."""

    @abstractmethod
    def open_store(self, directory: Path) -> EventStore:
        """Open the store that lives in `directory`."""

    async def test_a_replay_goes_on_where_it_was_after_a_restart_and_ends(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        first, second, third = await delivered(store, 3)
        begun = await store.replays.start(ALL, 100.0)
        assert (begun.first, begun.last, begun.position, begun.next_due) == (first, third, first - 1, 100.0)
        assert (begun.expression, begun.rate_per_s, begun.started_at) == ("n > 1", 5.0, 100.0)
        assert await store.replays.advance(Advance(begun.number, second, [(first, 100.0), (second, 100.2)], 100.4)) == 2
        await store.close()
        again = self.open_store(tmp_path)
        (replay,) = await again.replays.all()
        assert (replay.position, replay.queued, replay.next_due) == (second, 2, 100.4)
        due = await again.queue.due("t", 200.0, 10)
        assert [(e.sequence, e.due, e.origin) for e in due.entries] == [
            (first, 100.0, Origin.REPLAYED),
            (second, 100.2, Origin.REPLAYED),
        ]
        assert await again.replays.outstanding("t") == 2
        await again.replays.advance(Advance(replay.number, third, [], 100.4))
        assert await again.replays.all() == []
        assert await again.replays.outstanding("t") == 2, "what is queued is still to be delivered"
        await again.close()

    async def test_what_the_trigger_will_come_to_itself_is_not_repeated(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        (done,) = await delivered(store, 1)
        pending, ahead = await store.append(new_event(1)), await store.append(new_event(2))
        await store.settle([Settlement("t", ahead.sequence, Outcome.DELIVERED)])
        begun = await store.replays.start(ALL, 0.0)
        events = [(sequence, 0.0) for sequence in (done, pending.sequence, ahead.sequence)]
        assert await store.replays.advance(Advance(begun.number, ahead.sequence, events, 0.0)) == 2
        assert [e.sequence for e in (await store.queue.due("t", 0.0, 10)).entries] == [done, ahead.sequence]
        await store.close()

    async def test_events_of_a_replay_stay_until_it_has_passed_them(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        sequences = await delivered(store, 4)
        begun = await store.replays.start(ALL, 0.0)
        assert await store.trim() == 0
        await store.replays.advance(Advance(begun.number, sequences[1], [(sequences[0], 0.0)], 0.0))
        assert await store.trim() == 2
        await store.close()

    async def test_a_stopped_replay_queues_nothing_more(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        (sequence,) = await delivered(store, 1)
        begun = await store.replays.start(ALL, 0.0)
        assert await store.replays.stop(begun.number)
        assert not await store.replays.stop(begun.number)
        assert await store.replays.advance(Advance(begun.number, sequence, [(sequence, 0.0)], 0.0)) == 0
        assert await store.replays.outstanding("t") == 0
        await store.close()

    async def test_a_replay_of_a_time_that_nothing_came_in_is_over_with_its_first_step(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await delivered(store, 2)
        begun = await store.replays.start(NewReplay("t", "demo/t", SHOP, since=1.0, until=2.0), 0.0)
        assert begun.last < begun.first
        await store.replays.advance(Advance(begun.number, begun.last, [], 0.0))
        assert await store.replays.all() == []
        await store.close()

    async def test_the_replays_of_a_deleted_trigger_go_with_it(self, tmp_path: Path) -> None:
        store = self.open_store(tmp_path)
        await delivered(store, 1)
        await store.replays.start(ALL, 0.0)
        await store.forget_trigger("t")
        assert await store.replays.all() == []
        await store.close()
