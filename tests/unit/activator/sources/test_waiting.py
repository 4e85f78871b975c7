"""How much of a source may wait in the store."""

from __future__ import annotations

from eventmesh.activator.broker.store.values import Progress, StoredEvent
from eventmesh.activator.sources.waiting import MAX_WAITING, MAX_WAITING_BYTES, Waiting
from eventmesh.cloudevents.event import Event

EVENT = Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0"})


def stored(sequence: int, data: bytes | None = None) -> StoredEvent:
    return StoredEvent(sequence, 0.0, "ns/kafkasource:s", Event.checked(EVENT.attributes, data))


def test_a_source_that_is_behind_is_full_until_its_sink_has_got_some() -> None:
    waiting = Waiting()
    for sequence in range(1, MAX_WAITING):
        waiting.add(stored(sequence))
    assert not waiting.is_full
    waiting.add(stored(MAX_WAITING))
    assert waiting.is_full
    waiting.ended(Progress(0))
    assert waiting.is_full
    waiting.ended(Progress(0, frozenset({MAX_WAITING})))
    assert not waiting.is_full


def test_few_events_that_are_long_fill_it_too() -> None:
    waiting, long = Waiting(), b"x" * (1 << 20)
    for sequence in range(1, (MAX_WAITING_BYTES >> 20) + 1):
        waiting.add(stored(sequence, long))
    assert not waiting.is_full
    waiting.add(stored(1_000, b"x"))
    assert waiting.is_full
    waiting.ended(Progress(1))
    assert not waiting.is_full
