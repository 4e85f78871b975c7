from __future__ import annotations

from typing import Any

from eventmesh.cluster.api.structural import MAX_DEPTH, clone, depth_exceeds, drop_unknown, fill_defaults

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
