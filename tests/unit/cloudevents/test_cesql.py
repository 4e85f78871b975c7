"""CESQL beside the suite: bounds, positions, and that nothing raises what is not announced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.cloudevents.cesql import CesqlError, compile_cesql
from eventmesh.cloudevents.cesql.expression import MAX_LENGTH
from eventmesh.cloudevents.cesql.parser import MAX_DEPTH
from eventmesh.cloudevents.event import Event

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
