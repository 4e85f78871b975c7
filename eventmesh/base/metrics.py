"""Counters and histograms of this process, as rows of the form that the engine's statistics have.

A row is `[name, labels, value]`, of a histogram `[name, labels, [[bound, reached], ...], sum, count]`. How they are
printed is no business of this room.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]
Row = list[object]

LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Bounds for times from a sync to a function that has to be woken, and to retries."""


@dataclass(slots=True)
class Statistics:
    """All rows of a process, by kind."""

    counters: list[Row] = field(default_factory=list)
    gauges: list[Row] = field(default_factory=list)
    histograms: list[Row] = field(default_factory=list)


class Counter:
    """A family of counters that differ in their labels."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._values: dict[Labels, float] = {}

    def add(self, *labels: tuple[str, str], by: float = 1) -> None:
        """Count."""
        self._values[labels] = self._values.get(labels, 0) + by

    def forget(self, gone: Callable[[Labels], bool]) -> None:
        """Drop the counters with such labels: what is no more must not be listed for ever."""
        for labels in [labels for labels in self._values if gone(labels)]:
            del self._values[labels]

    def rows(self) -> Iterator[Row]:
        """Yield a row for each set of labels."""
        for labels, value in sorted(self._values.items()):
            yield [self.name, dict(labels), value]


@dataclass(slots=True)
class _Spread:
    reached: list[int]
    total: float = 0.0


class Histogram:
    """A family of histograms that differ in their labels."""

    def __init__(self, name: str, bounds: Sequence[float] = LATENCIES_S) -> None:
        self.name = name
        self._bounds = tuple(bounds)
        self._spreads: dict[Labels, _Spread] = {}

    def observe(self, value: float, *labels: tuple[str, str]) -> None:
        """Take a value in."""
        spread = self._spreads.get(labels)
        if spread is None:
            spread = self._spreads[labels] = _Spread([0] * (len(self._bounds) + 1))
        spread.reached[bisect_left(self._bounds, value)] += 1
        spread.total += value

    def forget(self, gone: Callable[[Labels], bool]) -> None:
        """Drop the histograms with such labels."""
        for labels in [labels for labels in self._spreads if gone(labels)]:
            del self._spreads[labels]

    def rows(self) -> Iterator[Row]:
        """Yield a row for each set of labels; buckets are cumulative."""
        for labels, spread in sorted(self._spreads.items()):
            running, buckets = 0, []
            for bound, count in zip(self._bounds, spread.reached, strict=False):
                running += count
                buckets.append([bound, running])
            yield [self.name, dict(labels), buckets, spread.total, sum(spread.reached)]
