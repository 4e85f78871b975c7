"""The engine's statistics as text."""

import json

import pytest

from eventmesh.base.metrics import Statistics
from eventmesh.dataplane.prometheus import MalformedStats, render, render_json, render_plain

STATS = json.dumps(
    {
        "counters": [["b_total", {"cluster": 'a"\\\n'}, 3], ["a_total", {}, 1], ["b_total", {"cluster": "c"}, 0.5]],
        "gauges": [["depth", {"cluster": "c"}, 2]],
        "histograms": [["time_ms", {"cluster": "c"}, [[0.5, 1], [1, 2]], 7.25, 3]],
    }
).encode()


def test_prometheus_text_types_each_family_once_and_escapes_labels() -> None:
    assert render(STATS).splitlines() == [
        "# TYPE a_total counter",
        "a_total 1",
        "# TYPE b_total counter",
        'b_total{cluster="a\\"\\\\\\n"} 3',
        'b_total{cluster="c"} 0.5',
        "# TYPE depth gauge",
        'depth{cluster="c"} 2',
        "# TYPE time_ms histogram",
        'time_ms_bucket{cluster="c",le="0.5"} 1',
        'time_ms_bucket{cluster="c",le="1"} 2',
        'time_ms_bucket{cluster="c",le="+Inf"} 3',
        'time_ms_sum{cluster="c"} 7.25',
        'time_ms_count{cluster="c"} 3',
    ]


def test_what_other_parts_count_joins_its_family() -> None:
    more = Statistics(counters=[["a_total", {"part": "broker"}, 2]], gauges=[["level", {}, 1]])
    lines = render(STATS, more).splitlines()
    assert lines[:3] == ["# TYPE a_total counter", "a_total 1", 'a_total{part="broker"} 2']
    assert lines.count("# TYPE level gauge") == 1
    assert 'a_total{part="broker"}: 2' in render_plain(STATS, more).splitlines()


def test_plain_text_is_sorted() -> None:
    lines = render_plain(STATS).splitlines()
    assert lines == sorted(lines)
    assert "a_total: 1" in lines
    assert 'time_ms{cluster="c"}: count=3 sum=7.25' in lines


@pytest.mark.parametrize("stats", [b"[]", b'{"counters":[["a",{},"1"]]}', b'{"histograms":[["a",{},[],1]]}'])
def test_statistics_of_another_version_are_told_apart(stats: bytes) -> None:
    with pytest.raises(MalformedStats):
        render(stats)


def test_the_json_form_is_a_list_of_names_and_values() -> None:
    rows = json.loads(render_json(STATS, (("z_total", 7),)))["stats"]
    plain = dict(line.rsplit(": ", 1) for line in render_plain(STATS).splitlines() if "count=" not in line)
    assert {row["name"]: str(row["value"]) for row in rows[:-1]} == plain
    assert rows[-1] == {"name": "z_total", "value": 7}
