from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.cel.compiling import compile_expression
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
        "[1].all(x, [0].map(x, 1 / x) == [] || x == 1)",
        "[1].all(x, [0].all(x, 1 / x == 1) || x == 1)",
        "[1].all(x, [0].filter(x, 1 / x == 1) == [] || x == 1)",
        "[1].all(x, [0].sortBy(x, 1 / x) == [] || x == 1)",
        "[1].all(x, [0].transformMap(x, y, 1 / y) == {} || x == 1)",
    ],
)
def test_a_step_without_a_value_leaves_its_names_to_nobody(source: str) -> None:
    assert value_of(source, INT, 5) is True


@pytest.mark.parametrize("source", ["[?self].size() == 0", "{?'a': self}.size() == 0"])
def test_what_is_no_optional_cannot_be_left_out(source: str) -> None:
    with pytest.raises(EvaluationError, match="no optional, but a value of type int"):
        value_of(source, DYN, 1)


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


@pytest.mark.parametrize(
    ("source", "value"),
    [
        # One text, one map or one URL in many places: each time it is gone through costs.
        ("'%s'.format([lists.range(100).map(i, self)]) == ''", "x" * 10_000),
        ("lists.range(100).map(i, self[0]) == lists.range(100).map(i, self[1])", [dict.fromkeys(range(2000), 0)] * 2),
        ("lists.range(100).map(i, self[0]) == lists.range(100).map(i, self[1])", [b"x" * 10_000, b"x" * 10_000]),
        ("[url(self)].all(u, lists.range(100).all(i, u.getQuery().size() > 0))", f"http://a/?{'a=1&' * 2000}"),
        ("[semver(self)].all(v, lists.range(100).all(i, v.compareTo(v) == 0))", f"1.0.0-{'.'.join('a' * 200)}"),
        # From each blank Python looks for the end again; backwards for the text, too.
        ("self.matches('[ ]+$')", " " * 10_000 + "x"),
        ("self.find('a*b') == ''", "a" * 10_000),
        ("self.findAll('a*b') == []", "a" * 10_000),
        ("self.lastIndexOf('ab' + self) == -1", "a" * 10_000),
    ],
    ids=lambda given: given[:80] if isinstance(given, str) else type(given).__name__,
)
def test_what_is_gone_through_again_is_paid_again(source: str, value: Any) -> None:
    with pytest.raises(CostExceededError):
        value_of(source, DYN, value)


def test_a_long_text_is_searched_by_what_reads_it_once() -> None:
    assert value_of("self.matches('^(?:[a-z]|[%][0-9]{2})+$')", STRING, "a" * 50_000) is True


def test_a_host_of_many_users_is_read_once() -> None:
    assert value_of("url(self).getHostname() == 'h' && url(self).getPort() == '1'", STRING, f"x://{'@' * 20_000}h:1/")


def test_a_regular_expression_that_an_object_brings_has_a_longest() -> None:
    with pytest.raises(EvaluationError, match="has 10001 characters, and may have 10000"):
        value_of("'a'.matches(self)", STRING, "a" * 10_001, steps=100_000)


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
        ("self.max() == [1]", [[1], [2]]),
        ("self.isSorted()", [[1], [2]]),
        ("self.sortBy(x, [x]) == []", [1, 2]),
        ("self.x == 1", None),
    ],
)
def test_what_only_shows_at_run_time_is_no_overload(source: str, value: Any) -> None:
    with pytest.raises(EvaluationError, match="no such overload"):
        value_of(source, DYN, value)
