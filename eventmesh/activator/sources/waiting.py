"""What a source has put into the store and its sink has not got yet: whoever could read on without end stops by it."""

from __future__ import annotations

from collections import deque

from eventmesh.activator.broker.store.values import Progress, StoredEvent

MAX_WAITING, MAX_WAITING_BYTES = 10_000, 64 << 20
"""Of one source. What is not read stays in Kafka, which was made to keep it; here it would fill the disk that all
brokers share. A sink that takes a thousand events a second is not held up by ten thousand."""


class Waiting:
    """The events of one source that this process has stored, oldest first."""

    def __init__(self) -> None:
        self._events: deque[tuple[int, int]] = deque()
        self._bytes = 0

    def add(self, stored: StoredEvent) -> None:
        """Take note of one more."""
        self._events.append((stored.sequence, stored.size))
        self._bytes += stored.size

    @property
    def is_full(self) -> bool:
        """Return whether no more is to be read, as far as is known."""
        return len(self._events) >= MAX_WAITING or self._bytes > MAX_WAITING_BYTES

    def ended(self, progress: Progress) -> None:
        """Drop what has been delivered or ended otherwise."""
        left = [
            (sequence, size)
            for sequence, size in self._events
            if sequence > progress.cursor and sequence not in progress.ahead
        ]
        self._events = deque(left)
        self._bytes = sum(size for _, size in left)
