from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.cel.checker import compile_expression
from eventmesh.cluster.api.cel.fields import declared, reader
from eventmesh.cluster.api.cel.program import Frame
from eventmesh.cluster.api.cel.types import DYN, INT, STRING, Type, list_of
from eventmesh.cluster.api.cel.values import Budget, CostExceededError, EvaluationError
from tests.unit.cluster.api.cel.expressions import FALSE, SCHEMA, TRUE, VALUE, WITHOUT_VALUE

STEPS = 10_000


def value_of(source: str, of: Type, value: Any, steps: int = STEPS) -> Any:
    return compile_expression(source, {"self": of}).run(Frame({"self": value}, Budget(steps)))


def held(source: str) -> Any:
    of, read = declared(SCHEMA, "self"), reader(SCHEMA)
    assert of is not None
    assert read is not None
    return value_of(source, of, read(VALUE))


@pytest.mark.parametrize("source", TRUE)
def test_it_is_true(source: str) -> None:
    assert held(source) is True


@pytest.mark.parametrize("source", FALSE)
def test_it_is_false(source: str) -> None:
    assert held(source) is False


@pytest.mark.parametrize(("source", "problem"), WITHOUT_VALUE.items())
def test_it_has_no_value_and_says_why(source: str, problem: str) -> None:
    with pytest.raises(EvaluationError, match=problem.replace("(", r"\(").replace(")", r"\)")):
        held(source)


def test_names_of_a_loop_end_with_it() -> None:
    assert value_of("[1, 2].map(self, self + 1).size() + self", INT, 5) == 7


@pytest.mark.parametrize(
    "source",
    [
        "self.all(x, self.all(y, x + y >= 0))",
        "self.map(x, self) == self.map(x, self)",
        "self.map(x, self + self).size() == 0",
        "self.all(x, self == self)",
        "self.all(x, self.exists(y, y == x && y < 0) || true)",
        "lists.range(1000000000).size() == 0",
        "self.sortBy(x, -x).map(x, self.indexOf(-1)).size() == 0",
        "self.map(x, self.distinct()).size() == 0",
    ],
)
def test_a_dear_expression_is_ended_before_it_is_paid(source: str) -> None:
    with pytest.raises(CostExceededError):
        value_of(source, list_of(INT), list(range(200)), steps=5_000)


def test_a_text_that_would_grow_is_ended_before_memory_is_spent() -> None:
    with pytest.raises(CostExceededError):
        value_of("self.replace('a', self).size() > 0", STRING, "a" * 10_000)


def test_an_excess_is_not_made_up_for() -> None:
    with pytest.raises(CostExceededError):
        value_of("lists.range(1000000000).size() > 0 || true", INT, 1)


@pytest.mark.parametrize("digits", ["101", "9" * 30])
def test_a_format_of_too_many_digits_is_refused(digits: str) -> None:
    with pytest.raises(EvaluationError, match="at most 100 digits|unrecognized"):
        value_of(f"'%.{digits}f'.format([1.5]) == ''", INT, 1)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("self.a.b == 1", 7),
        ("self + 1 == 2", "x"),
        ("self.all(x, x)", 1),
        ("self ? true : false", 1),
        ("self && true", 1),
        ("self.sum() == 1", [1, "a"]),
        ("self.max() == 1", [1, "a"]),
        ("self.join() == ''", [1]),
        ("self.x == 1", None),
    ],
)
def test_what_only_shows_at_run_time_is_no_overload(source: str, value: Any) -> None:
    with pytest.raises(EvaluationError, match="no such overload"):
        value_of(source, DYN, value)
