"""CESQL beside the suite: bounds, positions, and that nothing raises what is not announced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cloudevents.cesql import CesqlError, compile_cesql
from eventmesh.cloudevents.cesql.expression import MAX_LENGTH
from eventmesh.cloudevents.cesql.parser import MAX_DEPTH, MAX_PATTERNS
from eventmesh.cloudevents.event import AttributeValue, Event

EVENT = Event({"id": "1", "source": "/orders", "type": "order.created", "specversion": "1.0", "n": 7, "flag": True})

words = st.sampled_from(
    ["type", "n", "flag", "missing", "'order%'", "1", "-3", "TRUE", "(", ")", ",", "=", "!=", "<", "+", "/", "%"]
    + ["AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS", "LENGTH", "ABS", "SUBSTRING", "CONCAT"]
)


@given(st.one_of(st.text(max_size=60), st.lists(words, max_size=14).map(" ".join)))
def test_any_text_compiles_or_is_refused_and_what_compiled_evaluates(text: str) -> None:
    try:
        expression = compile_cesql(text)
    except CesqlError:
        return
    result = expression.evaluate(EVENT)
    assert isinstance(result.value, bool | int | str)
    assert expression.passes(EVENT) is (result.value is True and not result.errors)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("type LIKE 'order.%' AND n > 5", True),
        ("n + 1 = 8", True),
        ("missing = 'x'", False),
        ("NOT (missing = 'x')", False),
        ("n", False),
        ("n / 0 = 0", False),
        ("flag = 'true'", True),
    ],
)
def test_an_event_passes_only_when_the_result_is_true_without_an_error(text: str, passes: bool) -> None:
    assert compile_cesql(text).passes(EVENT) is passes


def test_a_fault_is_told_with_its_place() -> None:
    with pytest.raises(CesqlError, match=r"line 2, column"):
        compile_cesql("type = 'a'\n AND AND")


def test_length_and_depth_are_bounded() -> None:
    with pytest.raises(CesqlError, match=str(MAX_LENGTH)):
        compile_cesql("'" + "x" * MAX_LENGTH + "' = type")
    with pytest.raises(CesqlError, match=str(MAX_DEPTH)):
        compile_cesql("NOT " * (MAX_DEPTH + 1) + "TRUE")


def test_patterns_are_bounded() -> None:
    def likes(count: int) -> str:
        return " AND ".join(["type LIKE 'order%'"] * count)

    assert compile_cesql(likes(MAX_PATTERNS)).passes(EVENT)
    with pytest.raises(CesqlError, match=f"more than {MAX_PATTERNS} LIKEs"):
        compile_cesql(likes(MAX_PATTERNS + 1))


names = st.from_regex(r"x[a-z0-9]{0,8}", fullmatch=True)
texts = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=30)
extensions = st.dictionaries(names, st.booleans() | st.integers(-(2**31), 2**31 - 1) | texts, max_size=5)
expressions = st.sampled_from(
    ["x = 1", "x LIKE '%b_'", "LENGTH(xa) + x", "NOT xa OR xb", "x IN (xb, 'x', 3)", "-x / xa", "UPPER(x) = xb"]
)


@given(extensions, expressions)
def test_any_event_evaluates(attributes: dict[str, AttributeValue], text: str) -> None:
    event = Event({"id": "1", "source": "/s", "type": "t", "specversion": "1.0", **attributes})
    assert isinstance(compile_cesql(text).evaluate(event).value, bool | int | str)
