from __future__ import annotations

from typing import Any

import pytest

from eventmesh.cluster.api.errors import CauseType
from eventmesh.cluster.api.structural import (
    MAX_CAUSES,
    MAX_DEPTH,
    clone,
    depth_exceeds,
    drop_unknown,
    fill_defaults,
    violations,
)

STRING = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["image"],
            "properties": {
                "image": {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[a-z/]*$"},
                "size": {"type": "integer", "minimum": 0, "maximum": 5, "default": 1},
                "ratio": {"type": "number"},
                "mode": {"type": "string", "enum": ["fast", "slow"]},
                "port": {"x-kubernetes-int-or-string": True},
                "on": {"type": "boolean"},
                "tags": {"type": "array", "items": STRING, "minItems": 1, "maxItems": 2},
                "steps": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string", "default": "step"}}},
                },
                "labels": {"type": "object", "additionalProperties": STRING},
                "free": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"known": {"type": "object", "properties": {"a": STRING}}},
                },
                "nothing": {"type": "string", "nullable": True, "default": "x"},
                "child": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "properties": {"spec": {"type": "object"}},
                },
            },
        }
    },
}


def test_unknown_fields_are_dropped_and_named() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "K",
        "metadata": {"anything": 1},
        "extra": 1,
        "spec": {
            "image": "a",
            "bogus": {},
            "steps": [{"name": "a"}, {"name": "b", "odd": 1}],
            "labels": {"any": "key"},
            "free": {"kept": {"deep": 1}, "known": {"a": "b", "gone": 1}},
            "child": {"apiVersion": "v1", "kind": "C", "metadata": {"x": 1}, "status": {}},
        },
    }
    dropped = drop_unknown(SCHEMA, obj)
    assert dropped == ["extra", "spec.bogus", "spec.steps[1].odd", "spec.free.known.gone", "spec.child.status"]
    spec: Any = obj["spec"]
    assert spec["free"] == {"kept": {"deep": 1}, "known": {"a": "b"}}
    assert spec["child"] == {"apiVersion": "v1", "kind": "C", "metadata": {"x": 1}}
    assert obj["metadata"] == {"anything": 1}


def test_defaults_fill_what_is_absent_at_every_depth() -> None:
    obj: dict[str, Any] = {"spec": {"steps": [{}, {"name": "mine"}], "size": None, "nothing": None}}
    fill_defaults(SCHEMA, obj)
    assert obj["spec"] == {"steps": [{"name": "step"}, {"name": "mine"}], "size": 1, "nothing": None}


def test_defaults_do_not_invent_parents() -> None:
    obj: dict[str, Any] = {}
    fill_defaults(SCHEMA, obj)
    assert obj == {}


@pytest.mark.parametrize(
    ("spec", "field", "kind"),
    [
        ({}, "spec.image", CauseType.REQUIRED),
        ({"image": 1}, "spec.image", CauseType.TYPE_INVALID),
        ({"image": ""}, "spec.image", CauseType.INVALID),
        ({"image": "UPPER"}, "spec.image", CauseType.INVALID),
        ({"image": "toolongname"}, "spec.image", CauseType.INVALID),
        ({"image": "a", "size": -1}, "spec.size", CauseType.INVALID),
        ({"image": "a", "size": 6}, "spec.size", CauseType.INVALID),
        ({"image": "a", "size": True}, "spec.size", CauseType.TYPE_INVALID),
        ({"image": "a", "size": 1.5}, "spec.size", CauseType.TYPE_INVALID),
        ({"image": "a", "ratio": "half"}, "spec.ratio", CauseType.TYPE_INVALID),
        ({"image": "a", "mode": "medium"}, "spec.mode", CauseType.NOT_SUPPORTED),
        ({"image": "a", "port": True}, "spec.port", CauseType.TYPE_INVALID),
        ({"image": "a", "port": []}, "spec.port", CauseType.TYPE_INVALID),
        ({"image": "a", "on": "yes"}, "spec.on", CauseType.TYPE_INVALID),
        ({"image": "a", "tags": "x"}, "spec.tags", CauseType.TYPE_INVALID),
        ({"image": "a", "tags": []}, "spec.tags", CauseType.INVALID),
        ({"image": "a", "tags": ["x", "y", "z"]}, "spec.tags", CauseType.INVALID),
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


def test_depth_is_measured_without_falling_into_it() -> None:
    deep: Any = "bottom"
    for _ in range(100_000):
        deep = [deep]
    assert depth_exceeds(deep)
    shallow: Any = "bottom"
    for _ in range(MAX_DEPTH):
        shallow = {"a": shallow}
    assert not depth_exceeds(shallow)
    while isinstance(deep, list):  # taken apart by hand: the interpreter would recurse
        deep = deep.pop()


def test_clone_shares_nothing() -> None:
    value = {"a": [{"b": 1}]}
    copy = clone(value)
    copy["a"][0]["b"] = 2
    assert value == {"a": [{"b": 1}]}
