"""What breaks a schema, and the words it is refused with: as `k8s.io/apiextensions-apiserver` has them."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.errors import CauseType
from eventmesh.cluster.api.structural import drop_unknown
from eventmesh.cluster.api.validating import MAX_CAUSES, NOWHERE, repeated, violations
from tests.unit.cluster.api.test_structural import SCHEMA, STRING


@pytest.mark.parametrize(
    ("spec", "field", "kind"),
    [
        ({}, "spec.image", CauseType.REQUIRED),
        ({"image": 1}, "spec.image", CauseType.TYPE_INVALID),
        ({"image": ""}, "spec.image", CauseType.INVALID),
        ({"image": "UPPER"}, "spec.image", CauseType.INVALID),
        ({"image": "toolongname"}, "spec.image", CauseType.TOO_LONG),
        ({"image": "a", "size": -1}, "spec.size", CauseType.INVALID),
        ({"image": "a", "size": 6}, "spec.size", CauseType.INVALID),
        ({"image": "a", "size": True}, "spec.size", CauseType.TYPE_INVALID),
        ({"image": "a", "ratio": "half"}, "spec.ratio", CauseType.TYPE_INVALID),
        ({"image": "a", "mode": "medium"}, "spec.mode", CauseType.NOT_SUPPORTED),
        ({"image": "a", "port": True}, "spec.port", CauseType.TYPE_INVALID),
        ({"image": "a", "port": []}, "spec.port", CauseType.TYPE_INVALID),
        ({"image": "a", "on": "yes"}, "spec.on", CauseType.TYPE_INVALID),
        ({"image": "a", "tags": "x"}, "spec.tags", CauseType.TYPE_INVALID),
        ({"image": "a", "tags": []}, "spec.tags", CauseType.INVALID),
        ({"image": "a", "tags": ["x", "y", "z"]}, "spec.tags", CauseType.TOO_MANY),
        ({"image": "a", "tags": [1]}, "spec.tags[0]", CauseType.TYPE_INVALID),
        ({"image": "a", "labels": {"k": 1}}, "spec.labels.k", CauseType.TYPE_INVALID),
        ({"image": None}, "spec.image", CauseType.TYPE_INVALID),
    ],
)
def test_each_broken_rule_names_its_field(spec: dict[str, Any], field: str, kind: CauseType) -> None:
    found = violations(SCHEMA, {"spec": spec})
    assert [(cause.field, cause.type) for cause in found] == [(field, kind)]


def test_what_keeps_every_rule_is_accepted() -> None:
    spec = {"image": "a/b", "size": 5, "ratio": 1, "mode": "fast", "port": "http", "on": False, "nothing": None}
    assert violations(SCHEMA, {"spec": spec}) == []
    assert violations(SCHEMA, {"spec": {**spec, "port": 80, "ratio": 0.5, "tags": ["x"]}}) == []


def test_fields_known_from_before_are_not_looked_into_but_count_as_present() -> None:
    schema = {**SCHEMA, "required": ["spec"]}
    obj: dict[str, Any] = {"spec": {"bogus": 1}, "odd": 1}
    assert drop_unknown(schema, obj, {"spec"}) == ["odd"]
    assert violations(schema, obj, {"spec"}) == []
    assert [cause.field for cause in violations(schema, {})] == ["spec"]


def test_a_long_wrong_list_does_not_make_a_long_answer() -> None:
    schema = {"type": "object", "properties": {"tags": {"type": "array", "items": STRING}}}
    assert len(violations(schema, {"tags": [1] * (MAX_CAUSES * 10)})) == MAX_CAUSES


def messages(schema: dict[str, Any], value: Any) -> list[str]:
    return sorted(map(str, violations({"type": "object", "properties": {"x": schema}}, {"x": value})))


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        ({"type": "integer"}, "7", 'x: Invalid value: "string": x in body must be of type integer: "string"'),
        ({"type": "string"}, None, 'x: Invalid value: "null": x in body must be of type string: "null"'),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            'x: Invalid value: "boolean": x in body must be of type integer,string: "boolean"',
        ),
        ({"type": "integer", "multipleOf": 2}, 3, "x: Invalid value: 3: x in body should be a multiple of 2"),
        (
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            0,
            "x: Invalid value: 0: x in body should be greater than 0",
        ),
        (
            {"type": "number", "maximum": 1, "exclusiveMaximum": True},
            1.5,
            "x: Invalid value: 1.5: x in body should be less than 1",
        ),
        (
            {"type": "string", "format": "date-time"},
            "yesterday",
            'x: Invalid value: "yesterday": x in body must be of type date-time: "yesterday"',
        ),
        ({"type": "string", "maxLength": 2}, "abc", "x: Too long: may not be more than 2 bytes"),
        ({"type": "string", "maxLength": 2, "pattern": "^[a-z]"}, "1bc", "x: Too long: may not be more than 2 bytes"),
        ({"type": "array", "maxItems": 1}, [1, 2], "x: Too many: 2: must have at most 1 items"),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, "x: Too many: 2: must have at most 1 items"),
        (
            {"type": "object", "minProperties": 1},
            {},
            "x: Invalid value: 0: x in body should have at least 1 properties",
        ),
        ({"type": "string", "enum": ["a"]}, "b", 'x: Unsupported value: "b": supported values: "a"'),
        (
            {"type": "integer", "format": "int32"},
            2**31,
            '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in x',
        ),
        ({"not": {"type": "string"}}, "a", '<nil>: Invalid value: "": "x" must not validate the schema (not)'),
    ],
)
def test_a_broken_rule_is_told_in_the_words_of_kubernetes(schema: dict[str, Any], value: Any, message: str) -> None:
    assert messages(schema, value) == [message]


@pytest.mark.parametrize(
    ("value", "factor", "fits"),
    [
        (0.3, 0.1, True),
        (0.35, 0.1, False),
        (1e308, 0.1, True),
        (10**400, 0.5, True),
        (10**400, 3, False),
        (7, 2, False),
    ],
)
def test_a_multiple_is_one_whatever_floating_point_adds(value: float, factor: float, fits: bool) -> None:
    assert (messages({"type": "number", "multipleOf": factor}, value) == []) is fits


EITHER = [{"required": ["a"]}, {"required": ["b"]}]


@pytest.mark.parametrize(
    ("schema", "value", "rule"),
    [
        ({"oneOf": EITHER}, {"a": 1, "b": 1}, '"x" must validate one and only one schema (oneOf). Found 2 valid'),
        ({"oneOf": EITHER}, {}, '"x" must validate one and only one schema (oneOf). Found none valid'),
        ({"anyOf": EITHER}, {}, '"x" must validate at least one schema (anyOf)'),
        ({"allOf": EITHER}, {"a": 1}, '"x" must validate all the schemas (allOf)'),
        ({"allOf": EITHER}, {}, '"x" must validate all the schemas (allOf). None validated'),
    ],
)
def test_a_choice_that_does_not_fit_is_refused_as_a_whole(schema: dict[str, Any], value: Any, rule: str) -> None:
    found = violations({"type": "object", "properties": {"x": {"type": "object", **schema}}}, {"x": value})
    assert [cause.detail for cause in found if cause.field == NOWHERE and cause.detail.startswith(rule)]


def test_a_choice_that_fits_is_accepted() -> None:
    assert messages({"type": "object", "oneOf": EITHER}, {"a": 1}) == []
    assert messages({"type": "object", "anyOf": EITHER, "allOf": EITHER}, {"a": 1, "b": 1}) == []


def test_items_that_are_told_apart_may_not_be_said_twice() -> None:
    keyed = {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {}}
    schema = {"properties": {"set": {"type": "array", "x-kubernetes-list-type": "set"}, "map": keyed}}
    value = {"set": ["a", "b", "a", "a"], "map": [{"name": "p"}, {"name": "q"}, {"name": "p", "more": 1}]}
    assert list(map(str, repeated(schema, value))) == [
        'set[2]: Duplicate value: "a"',
        'map[2]: Duplicate value: {"name":"p"}',
    ]
    assert list(map(str, repeated(schema, {"map": [{"name": "p"}, {"name": "p"}, 5]}))) == [
        "map[2]: Invalid value: 5: must be an object for an array of list-type map"
    ]
    assert list(repeated({"additionalProperties": keyed}, {"k": [{}, {}]})) != []
