from __future__ import annotations

import pytest

from eventmesh.cluster.api.cel.compiling import compile_expression
from eventmesh.cluster.api.cel.fields import declared
from eventmesh.cluster.api.cel.parser import MAX_CHARS, MAX_DEPTH
from eventmesh.cluster.api.cel.syntax import MAX_ISSUES, CompileError
from eventmesh.cluster.api.cel.types import BOOL, Type
from tests.unit.cluster.api.cel.expressions import FALSE, REFUSED, SCHEMA, TRUE, WITHOUT_VALUE


def self_type() -> Type:
    found = declared(SCHEMA, "self")
    assert found is not None
    return found


def refusal(source: str) -> str:
    with pytest.raises(CompileError) as refused:
        compile_expression(source, {"self": self_type()})
    return str(refused.value)


@pytest.mark.parametrize("source", [*TRUE, *FALSE, *WITHOUT_VALUE])
def test_a_truth_is_known_as_one(source: str) -> None:
    assert compile_expression(source, {"self": self_type()}).type == BOOL


@pytest.mark.parametrize("source", [source for source in REFUSED if source != "self.n"])
def test_what_cannot_be_meant_is_refused_at_its_place(source: str) -> None:
    assert refusal(source).startswith("ERROR: <input>:1:")


def test_a_refusal_shows_the_line_and_the_place() -> None:
    assert refusal("self.n > 0 &&\n self.x") == ("ERROR: <input>:2:6: undefined field 'x'\n |  self.x\n | .....^")


def test_everything_that_is_wrong_is_told_in_order_and_once() -> None:
    told = refusal("self.other || self.nope.nope == 1")
    assert [line for line in told.splitlines() if "ERROR" in line] == [
        "ERROR: <input>:1:5: undefined field 'other'",
        "ERROR: <input>:1:19: undefined field 'nope'",
    ]


def test_of_very_many_mistakes_the_first_are_told() -> None:
    told = refusal(f"[{'x,' * 4000}x] == []")
    assert told.count("ERROR") == MAX_ISSUES
    assert told.endswith("\n3981 more errors were truncated")


def test_a_key_is_of_a_type_that_keys_have() -> None:
    assert "unsupported key type: map(int, int)" in refusal(f"[1]{'.map(a, {a: a})' * 40} == []")
    assert "unsupported key type: double" in refusal("{1.5: 1} == {}")


@pytest.mark.parametrize("source", ["[?1] == []", "{?'a': 1} == {}"])
def test_only_an_optional_may_be_left_out(source: str) -> None:
    assert "expected type 'optional_type(int)' but found 'int'" in refusal(source)


def test_the_types_of_a_call_are_told() -> None:
    assert "found no matching overload for '_+_' applied to '(list(string), list(int))'" in refusal(
        "self.l + [1] == []"
    )
    assert "found no matching overload for 'startsWith' applied to 'string.(int)'" in refusal("self.s.startsWith(1)")


def test_what_an_expression_speaks_of_is_known() -> None:
    of = self_type()
    assert compile_expression("[1].all(oldSelf, oldSelf > 0)", {"self": of, "oldSelf": of}).uses == frozenset()
    assert compile_expression("oldSelf.n < self.n", {"self": of, "oldSelf": of}).uses == {"self", "oldSelf"}


def test_a_long_expression_is_refused() -> None:
    assert f"may have {MAX_CHARS}" in refusal("1 + " * (MAX_CHARS // 4) + "1 == 1")


@pytest.mark.parametrize("nested", ["(", "[", "!", "-", "self.l.all(x, ", "true ? true : ", "{1: ", "self.m[", "1 + "])
def test_a_deep_expression_is_refused_before_it_is_followed(nested: str) -> None:
    assert f"expression recursion limit exceeded: {MAX_DEPTH}" in refusal(nested * (MAX_DEPTH * 4))


def test_many_conditions_in_a_row_are_not_deep() -> None:
    assert compile_expression(" && ".join(["self.n > 0"] * 300), {"self": self_type()}).type == BOOL


def test_filters_of_filters_are_checked_once() -> None:
    chained = "self.l" + ".filter(x, x != '')" * (MAX_DEPTH // 2) + ".size() > 0"
    assert compile_expression(chained, {"self": self_type()}).type == BOOL
