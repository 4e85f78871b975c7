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

    __slots__ = ("_aggregation", "_buckets", "_first", "_last", "_span")

    def __init__(self, span_s: float, aggregation: Aggregation = Aggregation.LINEAR) -> None:
        self._aggregation = aggregation
        self._span = _count(span_s)
        # One more than the span: the second that has begun beside as many complete ones.
        self._buckets = [0.0] * (self._span + 1)
        self._first: int | None = None
        self._last = 0

    @property
    def span_s(self) -> float:
        """Return the length of the window in seconds, whole buckets."""
        return self._span * BUCKET_S

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

        Seconds before the first record and after the last are unknown and do not count; seconds between
        without one are zero. The second that has begun counts only where it raises the average: a waiting
        request must be seen at once, and not all reports of that second are in.
        """
        slot = _slot(now)
        complete = self._until(slot - 1)
        begun = self._until(slot) if self._last >= slot else None
        known = [average for average in (complete, begun) if average is not None]
        return max(known, default=None)

    def _until(self, end: int) -> float | None:
        """Return the average of the window whose last second is `end`."""
        if self._first is None:
            return None
        newest, oldest = min(self._last, end), max(self._first, end - self._span + 1)
        if oldest > newest:
            return None
        sums = [self._buckets[slot % len(self._buckets)] for slot in range(newest, oldest - 1, -1)]
        if self._aggregation is Aggregation.LINEAR:
            return sum(sums) / len(sums)
        keep = 1 - _coefficient(self._span)
        weights = [math.pow(keep, age) for age in range(len(sums))]
        return sum(value * weight for value, weight in zip(sums, weights, strict=True)) / sum(weights)

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
