"""The filter dialects, and that a refused filter is pointed at by its path."""

from __future__ import annotations

import subprocess
import sys

import pytest

from eventmesh.cloudevents.event import AttributeValue, Event
from eventmesh.cloudevents.filters import FilterError, compile_trigger_filter

ATTRIBUTES: dict[str, AttributeValue] = {
    "id": "1",
    "source": "/orders/eu",
    "type": "order.created",
    "specversion": "1.0",
    "priority": 5,
    "gift": True,
}
EVENT = Event(ATTRIBUTES, b"{}")


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        ({}, True),
        ({"filter": {}}, True),
        ({"filter": {"attributes": {}}}, True),
        ({"filter": {"attributes": {"type": "order.created"}}}, True),
        ({"filter": {"attributes": {"type": "order.created", "source": "/other"}}}, False),
        ({"filter": {"attributes": {"priority": "5", "gift": "true"}}}, True),
        ({"filter": {"attributes": {"priority": ""}}}, True),
        ({"filter": {"attributes": {"missing": ""}}}, False),
        ({"filter": {"attributes": {"type": "no"}}, "filters": [{"exact": {"type": "order.created"}}]}, True),
        ({"filter": {"attributes": {"type": "no"}}, "filters": []}, False),
        ({"filters": [{"exact": {"type": "Order.created"}}]}, False),
        ({"filters": [{"prefix": {"type": "order.", "source": "/orders"}}]}, True),
        ({"filters": [{"suffix": {"type": ".created"}}, {"suffix": {"source": "/us"}}]}, False),
        ({"filters": [{"any": [{"exact": {"type": "x"}}, {"prefix": {"type": "order"}}]}]}, True),
        ({"filters": [{"all": [{"exact": {"type": "x"}}, {"prefix": {"type": "order"}}]}]}, False),
        ({"filters": [{"not": {"exact": {"missing": "x"}}}]}, True),
        ({"filters": [{"not": {"not": {"exact": {"priority": "5"}}}}]}, True),
        ({"filters": [{"cesql": "type LIKE 'order.%' AND priority > 4"}]}, True),
        ({"filters": [{"cesql": "type = 'order.created'"}, {"cesql": "gift AND priority = 6"}]}, False),
        ({"filters": [{"cesql": "gift"}]}, True),
        ({"filters": [{"cesql": "priority"}]}, False),
        ({"filters": [{"cesql": "'true'"}]}, False),
        ({"filters": [{"cesql": "ABS(-2147483648)"}]}, False),
        ({"filters": [{"cesql": "missing = 'x' OR TRUE"}]}, False),
        ({"filters": [{"all": [{"cesql": "EXISTS gift"}, {"prefix": {"source": "/orders"}}]}]}, True),
        ({"filters": [{"any": [{"exact": {"type": "x"}}, {"cesql": "source LIKE '%/eu'"}]}]}, True),
        ({"filters": [{"not": {"cesql": "missing = 'x'"}}]}, True),
    ],
)
def test_an_event_passes_or_not(spec: dict[str, object], passes: bool) -> None:
    assert compile_trigger_filter(spec)(EVENT) is passes


def _nested(depth: int) -> dict[str, object]:
    entry: dict[str, object] = {"exact": {"type": "x"}}
    for _ in range(depth):
        entry = {"not": entry}
    return entry


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"filter": []}, None),
        ({"filter": "x"}, "spec.filter"),
        ({"filter": {"attributes": {"Type": "x"}}}, "spec.filter.attributes.Type"),
        ({"filter": {"attributes": {"type": 1}}}, "spec.filter.attributes.type"),
        ({"filters": {"exact": {}}}, "spec.filters"),
        ({"filters": ["x"]}, "spec.filters[0]"),
        ({"filters": [{"exact": {"a": "b"}, "prefix": {"a": "b"}}]}, "spec.filters[0]"),
        ({"filters": [{"exact": {}}]}, "spec.filters[0].exact"),
        ({"filters": [{"exact": {"type": ""}}]}, "spec.filters[0].exact.type"),
        (
            {"filters": [{"exact": {"t": "x"}}, {"any": [{"suffix": {"type": 1}}]}]},
            "spec.filters[1].any[0].suffix.type",
        ),
        ({"filters": [{"any": []}]}, "spec.filters[0].any"),
        ({"filters": [{"glob": {"type": "*"}}]}, "spec.filters[0].glob"),
        ({"filters": [{"cesql": "type = "}]}, "spec.filters[0].cesql"),
        ({"filters": [{"cesql": ""}]}, "spec.filters[0].cesql"),
        ({"filters": [{"cesql": True}]}, "spec.filters[0].cesql"),
        ({"filters": [{"cesql": "HASPREFIX(type, 'x')"}]}, "spec.filters[0].cesql"),
        ({"filters": [{"cesql": "TRUE"}, {"not": {"any": [{"cesql": "a ="}]}}]}, "spec.filters[1].not.any[0].cesql"),
        ({"filters": [{"exact": {"t": "x"}}] * 257}, "spec.filters"),
        ({"filters": [{"exact": {f"a{n}": "x" for n in range(65)}}]}, "spec.filters[0].exact"),
    ],
)
def test_a_filter_that_cannot_be_compiled_is_refused_at_its_path(spec: dict[str, object], path: str | None) -> None:
    if path is None:
        assert compile_trigger_filter(spec)(EVENT)
        return
    with pytest.raises(FilterError) as refusal:
        compile_trigger_filter(spec)
    assert refusal.value.path == path


def test_nesting_is_bounded() -> None:
    compile_trigger_filter({"filters": [_nested(16)]})
    with pytest.raises(FilterError, match="nested deeper"):
        compile_trigger_filter({"filters": [_nested(17)]})


def test_a_refused_expression_is_pointed_at_by_line_and_column() -> None:
    with pytest.raises(FilterError, match=r"^spec\.filters\[0\]\.cesql: line 2, column 5: unexpected '='"):
        compile_trigger_filter({"filters": [{"cesql": "type = 'x'\nAND = 'y'"}]})


def test_only_a_process_that_compiles_an_expression_loads_the_grammar_library() -> None:
    script = (
        "import sys; from eventmesh.cloudevents.filters import compile_trigger_filter as f; f({'filters': [{'not': "
        "{'exact': {'a': 'b'}}}]}); assert 'lark' not in sys.modules; f({'filters': [{'cesql': 'TRUE'}]}); "
        "assert 'lark' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
