"""The sub-expression that decided is found, with its place."""

from __future__ import annotations

import pytest

from eventmesh.cloudevents.cesql import CesqlError, compile_cesql
from eventmesh.cloudevents.cesql.explain import explain
from eventmesh.cloudevents.event import Event

EVENT = Event(
    {"specversion": "1.0", "id": "1", "source": "/s", "type": "order", "subject": "vip-7", "priority": 2, "late": True}
)


@pytest.mark.parametrize(
    ("text", "passes", "decisions"),
    [
        ("priority > 3", False, [(1, "priority > 3", "is false: priority is 2")]),
        ("type = 'order' AND\n  priority > 3", False, [(3, "priority > 3", "is false: priority is 2")]),
        ("type = 'order' AND priority = 2", True, [(1, "type = 'order'", ""), (20, "priority = 2", "")]),
        ("priority > 3 OR subject LIKE 'vip-%'", True, [(17, "subject LIKE 'vip-%'", "is true: subject is 'vip-7'")]),
        ("priority > 3 OR source = '/x'", False, [(1, "priority > 3", ""), (17, "source = '/x'", "")]),
        ("NOT (EXISTS colour)", True, [(6, "EXISTS colour", "is false")]),
        ("colour = 'blue'", False, [(1, "colour", "fails (missingAttribute): the event has no attribute colour")]),
        ("priority / 0 = 1", False, [(1, "priority / 0", "fails (math): 2 / 0")]),
        ("TRUE AND INT(subject) = 1", False, [(10, "INT(subject)", "fails (cast): 'vip-7' cannot be cast to Integer")]),
        ("FALSE AND colour OR priority / 0 = 1", False, [(21, "priority / 0", "fails (math): 2 / 0")]),
        (
            "late XOR priority = 2",
            False,
            [(1, "late XOR priority = 2", "is false: late is true, priority = 2 is true")],
        ),
        ("priority", False, [(1, "priority", "is 2, an Integer and no Boolean")]),
        ("late", True, [(1, "late", "is true")]),
        ("TRUE", True, [(1, "TRUE", "is true")]),
        ("type IN ('a', 'order')", True, [(1, "type IN ('a', 'order')", "is true: type is 'order'")]),
    ],
)
def test_what_decided_is_told(text: str, passes: bool, decisions: list[tuple[int, str, str]]) -> None:
    told = explain(text, EVENT)
    assert told.passes is passes
    assert [(part.column, part.text) for part in told.decisions] == [(column, part) for column, part, _ in decisions]
    for part, (_, _, reason) in zip(told.decisions, decisions, strict=True):
        assert part.reason == reason or not reason


def test_a_second_line_is_counted() -> None:
    (part,) = explain("type = 'order' AND\n  priority > 3", EVENT).decisions
    assert (part.line, part.column) == (2, 3)


def test_what_does_not_compile_is_refused_as_ever() -> None:
    with pytest.raises(CesqlError, match="line 1, column 7"):
        explain("type =", EVENT)


PARTS = (
    "priority > 3",
    "colour",
    "late",
    "priority / 0 = 1",
    "EXISTS subject",
    "NOT late",
    "subject LIKE '%7'",
    "'true'",
)


@pytest.mark.parametrize("first", PARTS)
@pytest.mark.parametrize("second", PARTS[:4])
@pytest.mark.parametrize("operator", ["AND", "OR", "XOR"])
def test_the_verdict_is_that_of_the_filter_and_something_decided_it(first: str, second: str, operator: str) -> None:
    for text in (f"({first}) {operator} ({second})", f"NOT (({second}) {operator} ({first})) OR ({first})"):
        told = explain(text, EVENT)
        assert told.passes is compile_cesql(text).passes(EVENT)
        assert told.decisions
        assert all(part.text in text for part in told.decisions)
