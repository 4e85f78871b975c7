from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.rules import MAX_SOURCE_CHARS, compiled, violations
from eventmesh.cluster.api.validating import MAX_CAUSES

PLACE = "schema.properties[spec].x-kubernetes-validations[0]"


def schema(*rules: Any, **more: Any) -> dict[str, Any]:
    properties = {"a": {"type": "integer"}, "m": {"type": "object", "additionalProperties": {"type": "string"}}}
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules), **more}
    return {"type": "object", "properties": {"spec": spec}}


def told(*rules: Any) -> list[tuple[str, str]]:
    return [(cause.field, cause.message) for cause in violations(schema(*rules), "schema")]


def test_a_good_rule_is_no_violation() -> None:
    good = {
        "rule": "oldSelf.hasValue() || self.a > 0",
        "message": "m",
        "messageExpression": "'a is ' + string(self.a)",
        "reason": "FieldValueForbidden",
        "fieldPath": ".m['x']",
        "optionalOldSelf": True,
    }
    assert told(good) == []


@pytest.mark.parametrize(
    ("rule", "field", "message"),
    [
        ({}, "rule", "Required value: rule is not specified"),
        ({"rule": " "}, "rule", "Required value: rule is not specified"),
        ({"rule": "self.b > 0"}, "rule", "undefined field 'b'"),
        ({"rule": "self.a"}, "rule", "cel expression must evaluate to a bool"),
        ({"rule": "true\n&& true"}, "message", "message must be specified if rule contains line breaks"),
        ({"rule": "true", "message": " "}, "message", "must be non-empty if specified"),
        ({"rule": "true", "message": "a\nb"}, "message", "must not contain line breaks"),
        ({"rule": "true", "messageExpression": " "}, "messageExpression", "must be non-empty if specified"),
        (
            {"rule": "true", "messageExpression": "1"},
            "messageExpression",
            "messageExpression must evaluate to a string",
        ),
        (
            {"rule": "true", "messageExpression": "x"},
            "messageExpression",
            "messageExpression compilation failed: ERROR",
        ),
        (
            {"rule": "true", "reason": "Why"},
            "reason",
            'Unsupported value: "Why": supported values: "FieldValueDuplicate"',
        ),
        ({"rule": "true", "fieldPath": "a"}, "fieldPath", "must be a valid path"),
        ({"rule": "true", "optionalOldSelf": True}, "optionalOldSelf", "may not be set if oldSelf is not used in rule"),
        ({"rule": 7}, "rule", "must be a JSON string"),
        ({"rule": "true", "optionalOldSelf": "yes"}, "optionalOldSelf", "must be a JSON boolean"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_by_its_field(rule: Any, field: str, message: str) -> None:
    [(where, what)] = told(rule)
    assert where == f"{PLACE}.{field}"
    assert message in what


@pytest.mark.parametrize("rules", ["true", {"rule": "true"}])
def test_rules_that_are_no_list_are_refused(rules: Any) -> None:
    [cause] = violations({"type": "object", "x-kubernetes-validations": rules}, "schema")
    assert (cause.field, cause.detail) == ("schema.x-kubernetes-validations", "must be a JSON array")


def test_a_rule_that_is_no_object_is_refused() -> None:
    assert told("true") == [(PLACE, 'Invalid value: "true": must be a JSON object')]


def test_more_source_than_is_allowed_is_refused_unread() -> None:
    rule = {"rule": "self.b" + " " * 9_000}
    found = told(*[rule] * (MAX_SOURCE_CHARS // 9_000 + 1))
    assert found == [
        (
            PLACE[:-3],
            f"Forbidden: the rules of a CRD may have {MAX_SOURCE_CHARS} characters together: shorten or drop some",
        )
    ]


def test_many_bad_rules_are_told_of_in_part() -> None:
    assert len(told(*[{"rule": "self.b"}] * (MAX_CAUSES * 2))) == MAX_CAUSES


@pytest.mark.parametrize(
    ("marks", "is_refused"),
    [
        ({}, True),
        ({"x-kubernetes-list-type": "atomic"}, True),
        ({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}, False),
    ],
)
def test_the_old_value_of_an_item_is_only_known_by_keys(marks: dict[str, Any], is_refused: bool) -> None:
    item = {
        "type": "object",
        "properties": {"k": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": "self == oldSelf"}],
    }
    found = violations({"type": "object", "properties": {"l": {"type": "array", "items": item, **marks}}}, "schema")
    assert [cause.detail for cause in found] == [
        "oldSelf cannot be used on the uncorrelatable portion of the schema within schema.properties[l]"
    ] * is_refused


def test_a_rule_where_there_is_no_type_is_refused() -> None:
    shapeless = {"x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-validations": [{"rule": "true"}]}
    [cause] = violations({"type": "object", "properties": {"x": shapeless}}, "schema")
    assert cause.detail.startswith("rules need a schema with a type")


def test_rules_of_a_choice_are_checked_with_the_types_of_the_whole() -> None:
    whole = schema(allOf=[{"x-kubernetes-validations": [{"rule": "self.a > 0"}, {"rule": "self.b > 0"}]}])
    [cause] = violations(whole, "schema")
    assert cause.field == "schema.properties[spec].allOf[0].x-kubernetes-validations[1].rule"


def test_a_schema_without_rules_has_none() -> None:
    assert compiled({"type": "object", "properties": {"a": {"type": "string"}}}) is None


def test_a_bad_rule_that_is_stored_already_is_left_out() -> None:
    ruled = compiled(schema({"rule": "self.b"}, {"rule": "self.a > 0"}))
    assert ruled is not None
    assert [rule.source for rule in ruled.properties["spec"].rules] == ["self.a > 0"]
