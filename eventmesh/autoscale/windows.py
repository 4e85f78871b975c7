"""Averages over a sliding window of one-second buckets (Knative Serving, pkg/autoscaler/aggregation)."""

from __future__ import annotations

import math
from enum import Enum

BUCKET_S = 1.0
"""Width of a bucket: load is reported once a second, so a narrower one would alternate full and empty."""

_EXPONENTIAL_RESIDUE = 0.0001
"""What the buckets older than the window may still weigh: the coefficient is chosen so that this is left."""
_EXPONENTIAL_FLOOR = 0.2
"""The newest bucket weighs at least this, however long the window is."""


class Aggregation(Enum):
    """How the buckets of a window become one number."""

    LINEAR = "linear"
    """Every bucket weighs the same."""
    WEIGHTED_EXPONENTIAL = "weighted-exponential"
    """The newest bucket weighs most and each older one less."""


class Window:
    """Sums by second of the last `span_s` seconds. Memory is bounded by the span, not by the reports."""

    __slots__ = ("_aggregation", "_buckets", "_first", "_last")

    def __init__(self, span_s: float, aggregation: Aggregation = Aggregation.LINEAR) -> None:
        self._aggregation = aggregation
        self._buckets = [0.0] * _count(span_s)
        self._first: int | None = None
        self._last = 0

    @property
    def span_s(self) -> float:
        """Return the length of the window in seconds, whole buckets."""
        return len(self._buckets) * BUCKET_S

    def record(self, value: float, now: float) -> None:
        """Add `value` to the bucket of `now`; a report older than the window is dropped."""
        slot = _slot(now)
        if self._first is None or slot - self._last >= len(self._buckets):
            self._buckets = [0.0] * len(self._buckets)
            self._first, self._last = slot, slot
        elif slot > self._last:
            for passed in range(self._last + 1, slot + 1):
                self._buckets[passed % len(self._buckets)] = 0.0
            self._last = slot
        elif self._last - slot >= len(self._buckets):
            return
        else:
            self._first = min(self._first, slot)
        self._buckets[slot % len(self._buckets)] += value

    def average(self, now: float) -> float | None:
        """Return the average at `now`, or None when nothing was recorded within the window.

        Until the window has filled, only the seconds since the first record count; seconds without a
        record count as zero.
        """
        if self._first is None:
            return None
        newest = max(_slot(now), self._last)
        oldest = max(self._first, newest - len(self._buckets) + 1)
        if oldest > self._last:
            return None
        sums = [self._buckets[slot % len(self._buckets)] for slot in range(self._last, oldest - 1, -1)]
        silent, elapsed = newest - self._last, newest - oldest + 1
        if self._aggregation is Aggregation.LINEAR:
            return sum(sums) / elapsed
        keep = 1 - _coefficient(len(self._buckets))
        weights = [math.pow(keep, age) for age in range(elapsed)]
        return sum(value * weight for value, weight in zip(sums, weights[silent:], strict=True)) / sum(weights)

    def resized(self, span_s: float, aggregation: Aggregation) -> Window:
        """Return a window of another span or kind that holds what still fits of this one."""
        window = Window(span_s, aggregation)
        if self._first is not None:
            for slot in range(max(self._first, self._last - len(self._buckets) + 1), self._last + 1):
                window.record(self._buckets[slot % len(self._buckets)], slot * BUCKET_S)
        return window


def _count(span_s: float) -> int:
    if span_s <= 0:
        raise ValueError(f"a window spans more than 0 s, not {span_s}")
    return math.ceil(span_s / BUCKET_S)


def _slot(now: float) -> int:
    return math.floor(now / BUCKET_S)


def _coefficient(buckets: int) -> float:
    return max(1 - math.pow(_EXPONENTIAL_RESIDUE, 1 / buckets), _EXPONENTIAL_FLOOR)
