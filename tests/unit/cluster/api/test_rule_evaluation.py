from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.rule_evaluation import MAX_COST, MAX_MESSAGE_BYTES, Findings, broken
from eventmesh.cluster.api.rules import compiled
from eventmesh.cluster.api.validating import MAX_CAUSES

WHOLE = {"type": "integer"}


def findings(schema: dict[str, Any], obj: Any, old: Any = None) -> Findings:
    ruled = compiled(schema)
    assert ruled is not None
    return broken(ruled, obj, old)


def told(schema: dict[str, Any], obj: Any, old: Any = None) -> list[str]:
    found = findings(schema, obj, old)
    assert not found.warnings
    return [str(cause) for cause in found.causes]


def of_a(*rules: dict[str, Any], **schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {**(schema or WHOLE), "x-kubernetes-validations": list(rules)}}}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({}, "a: Invalid value: 0: failed rule: self > 0"),
        ({"message": " too small "}, "a: Invalid value: 0: too small"),
        ({"reason": "FieldValueForbidden"}, "a: Forbidden: failed rule: self > 0"),
        ({"reason": "FieldValueRequired"}, "a: Required value: failed rule: self > 0"),
        ({"reason": "FieldValueDuplicate"}, "a: Duplicate value: 0: failed rule: self > 0"),
        ({"messageExpression": "'is ' + string(self)"}, "a: Invalid value: 0: is 0"),
        ({"messageExpression": "string(1 / self)", "message": "m"}, "a: Invalid value: 0: m"),
        ({"messageExpression": "''"}, "a: Invalid value: 0: failed rule: self > 0"),
        ({"messageExpression": r"'a\nb'"}, "a: Invalid value: 0: failed rule: self > 0"),
    ],
)
def test_a_broken_rule_says_what_it_was_told_to_say(more: dict[str, Any], sentence: str) -> None:
    assert told(of_a({"rule": "self > 0", **more}), {"a": 0}) == [sentence]
    assert told(of_a({"rule": "self > 0", **more}), {"a": 1}) == []


def test_a_long_message_gives_way_to_the_rule() -> None:
    text = {"type": "string", "x-kubernetes-validations": [{"rule": "false", "messageExpression": "self"}]}
    schema = {"type": "object", "properties": {"a": text}}
    short, long = "x" * MAX_MESSAGE_BYTES, "x" * (MAX_MESSAGE_BYTES + 1)
    assert told(schema, {"a": short})[0].endswith(short)
    assert told(schema, {"a": long})[0].endswith("failed rule: false")


def test_a_rule_without_a_value_is_broken() -> None:
    schema = of_a({"rule": "self.b > 1"}, type="object", properties={"b": WHOLE})
    assert told(schema, {"a": {}}) == ['a: Invalid value: "object": no such key: b evaluating rule: self.b > 1']


def test_a_rule_that_does_not_fit_the_value_says_so() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"x-kubernetes-int-or-string": True, "x-kubernetes-validations": [{"rule": "self > 1"}]}},
    }
    assert told(schema, {"a": "x"}) == [
        "a: Invalid value: \"\": 'no such overload': call arguments did not match a supported operator, function or "
        "macro signature for rule: self > 1"
    ]


def test_null_is_not_held_against_rules() -> None:
    assert told(of_a({"rule": "self > 0"}), {"a": None}) == []


def test_a_transition_is_only_judged_when_there_was_something() -> None:
    schema = of_a({"rule": "self >= oldSelf"})
    assert told(schema, {"a": 1}) == []
    assert told(schema, {"a": 1}, {}) == []
    assert told(schema, {"a": 1}, {"a": 2}) == ["a: Invalid value: 1: failed rule: self >= oldSelf"]


def test_a_transition_with_an_optional_past_is_always_judged() -> None:
    schema = of_a({"rule": "oldSelf.orValue(9) <= self", "optionalOldSelf": True})
    assert told(schema, {"a": 1}) == ["a: Invalid value: 1: failed rule: oldSelf.orValue(9) <= self"]
    assert told(schema, {"a": 1}, {"a": 0}) == []


def test_items_are_known_again_by_their_keys() -> None:
    item = {
        "type": "object",
        "properties": {"k": {"type": "string"}, "n": WHOLE},
        "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n", "fieldPath": ".n"}],
    }
    marks = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    schema = {"type": "object", "properties": {"l": {"type": "array", "items": item, **marks}}}
    old = {"l": [{"k": "x", "n": 1}, {"k": "y", "n": 5}]}
    new = {"l": [{"k": "y", "n": 2}, {"k": "x", "n": 2}, {"k": "z", "n": 0}]}
    assert told(schema, new, old) == ["l[0].n: Invalid value: failed rule: self.n >= oldSelf.n"]


def test_entries_of_a_map_are_named_by_their_key() -> None:
    entry = {**WHOLE, "x-kubernetes-validations": [{"rule": "self > 0"}]}
    schema = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": entry}}}
    assert told(schema, {"m": {"x": 0, "y": 1}}) == ["m[x]: Invalid value: 0: failed rule: self > 0"]


def test_what_stays_broken_as_it_was_is_a_warning() -> None:
    schema = of_a({"rule": "self > 0"})
    found = findings(schema, {"a": 0, "b": 1}, {"a": 0})
    assert (found.causes, found.warnings) == ((), ("a: Invalid value: 0: failed rule: self > 0",))
    assert told(schema, {"a": -1}, {"a": 0}) == ["a: Invalid value: -1: failed rule: self > 0"]


def test_the_root_has_a_name() -> None:
    schema = {"type": "object", "x-kubernetes-validations": [{"rule": "self.metadata.name == 'x'"}]}
    assert told(schema, {"metadata": {"name": "x"}}) == []
    assert told(schema, {"metadata": {"name": "y"}}) == ["<nil>: Invalid value: failed rule: self.metadata.name == 'x'"]


@pytest.mark.parametrize("rule", ["self > 0", "1 / self > 0"])
def test_a_long_list_of_broken_rules_is_cut_short(rule: str) -> None:
    items = {**WHOLE, "x-kubernetes-validations": [{"rule": rule}]}
    schema = {"type": "object", "properties": {"l": {"type": "array", "items": items}}}
    assert len(told(schema, {"l": [0] * (MAX_CAUSES * 2)})) == MAX_CAUSES


def test_a_long_list_of_warnings_is_cut_short() -> None:
    items = {**WHOLE, "x-kubernetes-validations": [{"rule": "self > 0"}]}
    schema = {"type": "object", "properties": {"l": {"type": "array", "items": items}}}
    wrong = {"l": [0] * (MAX_CAUSES * 2)}
    found = findings(schema, {**wrong, "new": 1}, wrong)
    assert (len(found.causes), len(found.warnings)) == (0, MAX_CAUSES)


def test_rules_that_cost_too_much_are_ended_and_no_more_are_run() -> None:
    dear = {"rule": "self.all(x, self.all(y, self.all(z, x + y + z >= 0)))", "message": "dear"}
    schema = of_a(dear, {"rule": "false"}, type="array", items=WHOLE)
    [cause] = told(schema, {"a": list(range(200))})
    assert cause == (
        'a: Invalid value: "array": no further validation rules will be run: the rules of one object may take '
        f"{MAX_COST} steps together, and they were used up at rule: dear"
    )
