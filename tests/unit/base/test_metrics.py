"""Counters and histograms become rows."""

from __future__ import annotations

from eventmesh.base.metrics import Counter, Histogram


def test_a_counter_has_a_row_for_each_set_of_labels() -> None:
    counter = Counter("seen_total")
    for kind in ("b", "a", "a"):
        counter.of(("kind", kind)).value += 1
    counter.of(("kind", "b")).value += 1
    assert list(counter.rows()) == [["seen_total", {"kind": "a"}, 2], ["seen_total", {"kind": "b"}, 2]]
    counter.forget(lambda labels: ("kind", "b") in labels)
    assert list(counter.rows()) == [["seen_total", {"kind": "a"}, 2]]


def test_buckets_are_cumulative_and_hold_their_bound() -> None:
    histogram = Histogram("took_seconds", (0.5, 1.0))
    for value in (0.5, 0.6, 1.0, 7.0):
        histogram.of().observe(value)
    assert list(histogram.rows()) == [["took_seconds", {}, [[0.5, 1], [1.0, 3]], 9.1, 4]]
    histogram.forget(lambda labels: True)
    assert list(histogram.rows()) == []
