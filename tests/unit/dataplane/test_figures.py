"""Sums of what several processes have counted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventmesh.dataplane.figures import Figures, from_document, outlasting, to_document, total


def _figures(counted: int, active: int, times: list[int], **own: int) -> Figures:
    buckets = [[bound, sum(times[: at + 1])] for at, bound in enumerate((1, 5))]
    tree: dict[str, Any] = {
        "counters": [["rq_total", {"listener": "in"}, counted]],
        "gauges": [["rq_active", {"listener": "in"}, active]],
        "histograms": [["rq_time", {"listener": "in"}, buckets, 2.5, sum(times)]],
    }
    return Figures(json.dumps(tree).encode(), tuple(own.items()))


def test_what_has_the_same_name_and_labels_is_added() -> None:
    found = total([_figures(3, 1, [1, 2], bugs=1), _figures(4, 2, [0, 5], bugs=2, lost=1)])
    assert json.loads(found.engine) == {
        "counters": [["rq_total", {"listener": "in"}, 7]],
        "gauges": [["rq_active", {"listener": "in"}, 3]],
        "histograms": [["rq_time", {"listener": "in"}, [[1, 1], [5, 8]], 5.0, 8]],
    }
    assert dict(found.own) == {"bugs": 3, "lost": 1}


def test_what_one_process_alone_has_is_kept() -> None:
    other = Figures(b'{"counters": [["rq_total", {"listener": "out"}, 1]], "gauges": [], "histograms": []}')
    counters = json.loads(total([_figures(3, 1, [1, 2]), other]).engine)["counters"]
    assert counters == [["rq_total", {"listener": "in"}, 3], ["rq_total", {"listener": "out"}, 1]]


def test_of_a_process_that_has_ended_nothing_is_active_any_more() -> None:
    tree = json.loads(outlasting(_figures(3, 1, [1, 2])).engine)
    assert (tree["counters"], tree["gauges"]) == ([["rq_total", {"listener": "in"}, 3]], [])
    assert tree["histograms"]


def test_times_of_another_version_are_not_added_to_ours() -> None:
    former, ours = _figures(3, 0, [1, 2]), _figures(4, 0, [5, 6])
    other = Figures(former.engine.replace(b"[5, 3]", b"[7, 3]"))
    assert other.engine != former.engine
    (row,) = json.loads(total([other, ours]).engine)["histograms"]
    assert row == ["rq_time", {"listener": "in"}, [[1, 5], [5, 11]], 2.5, 11]


def test_figures_go_from_one_process_to_the_next_as_a_document() -> None:
    figures = _figures(3, 1, [1, 2], bugs=1)
    found = from_document(json.loads(json.dumps(to_document(figures))))
    assert (json.loads(found.engine), found.own) == (json.loads(figures.engine), figures.own)


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"engine": {}, "own": {}},
        {"engine": {"counters": [["a"]], "gauges": [], "histograms": []}, "own": {}},
        {"engine": {"counters": [], "gauges": [], "histograms": []}, "own": {"bugs": "many"}},
        {"engine": {"counters": [], "gauges": [], "histograms": []}, "own": []},
    ],
)
def test_what_are_no_figures_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"no figures|invalid literal"):
        from_document(document)
