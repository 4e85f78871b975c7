"""Counters and histograms of this process, as rows of the form that the engine's statistics have.

A row is `[name, labels, value]`, of a histogram `[name, labels, [[bound, reached], ...], sum, count]`. How they are
printed is no business of this room. Who counts often keeps what `of` returns: finding it costs more than counting.
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


@dataclass(slots=True)
class Count:
    """One counter of a family."""

    value: int = 0


class Counter:
    """A family of counters that differ in their labels."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._counts: dict[Labels, Count] = {}

    def of(self, *labels: tuple[str, str]) -> Count:
        """Return the counter with these labels, which is there from now on."""
        return self._counts.setdefault(labels, Count())

    def forget(self, gone: Callable[[Labels], bool]) -> None:
        """Drop the counters with such labels: what is no more must not be listed for ever."""
        for labels in [labels for labels in self._counts if gone(labels)]:
            del self._counts[labels]

    def rows(self) -> Iterator[Row]:
        """Yield a row for each set of labels."""
        for labels, count in sorted(self._counts.items(), key=lambda item: item[0]):
            yield [self.name, dict(labels), count.value]


class Spread:
    """One histogram of a family."""

    __slots__ = ("_bounds", "reached", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.reached = [0] * (len(bounds) + 1)
        """Values up to each bound and beyond the one before; the last: beyond all."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take a value in."""
        self.reached[bisect_left(self._bounds, value)] += 1
        self.total += value


class Histogram:
    """A family of histograms that differ in their labels."""

    def __init__(self, name: str, bounds: Sequence[float] = LATENCIES_S) -> None:
        self.name = name
        self._bounds = tuple(bounds)
        self._spreads: dict[Labels, Spread] = {}

    def of(self, *labels: tuple[str, str]) -> Spread:
        """Return the histogram with these labels, which is there from now on."""
        return self._spreads.setdefault(labels, Spread(self._bounds))

    def forget(self, gone: Callable[[Labels], bool]) -> None:
        """Drop the histograms with such labels."""
        for labels in [labels for labels in self._spreads if gone(labels)]:
            del self._spreads[labels]

    def rows(self) -> Iterator[Row]:
        """Yield a row for each set of labels; buckets are cumulative."""
        for labels, spread in sorted(self._spreads.items(), key=lambda item: item[0]):
            running, buckets = 0, []
            for bound, count in zip(self._bounds, spread.reached, strict=False):
                running += count
                buckets.append([bound, running])
            yield [self.name, dict(labels), buckets, spread.total, sum(spread.reached)]
