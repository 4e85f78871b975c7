"""Data held against a JSON Schema: where it breaks it, and which schemas could cost too much to be held against."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.schema import MAX_DEPTH, MAX_MESSAGE_CHARS, MAX_SCHEMA_BYTES, DataSchema, SchemaViolated

ORDER = {
    "type": "object",
    "required": ["order"],
    "properties": {
        "order": {"type": "integer"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
        "note": {"type": "string", "pattern": "^(a+)+$"},
    },
    "$defs": {"item": {"type": "object", "properties": {"price": {"minimum": 0}}}},
}


def compiled(schema: Any) -> DataSchema:
    return DataSchema(schema if isinstance(schema, str) else json.dumps(schema), "spec.schemaData")


def event(data: Any, content_type: str = "application/json") -> Event:
    attributes = {"id": "1", "source": "/s", "type": "order", "specversion": "1.0"}
    body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
    return Event(attributes | ({"datacontenttype": content_type} if content_type else {}), body)


@pytest.mark.parametrize("content_type", ["application/json", "application/shop+json; charset=utf-8", ""])
def test_data_that_follows_the_schema_passes(content_type: str) -> None:
    compiled(ORDER).check(event({"order": 7, "items": [{"price": 1}], "note": "aaa"}, content_type))


@pytest.mark.parametrize(
    ("data", "content_type", "place"),
    [
        ({"items": []}, "application/json", "data: "),
        ({"order": "7"}, "application/json", "data/order: "),
        ({"order": 7, "items": [{}, {"price": -1}]}, "application/json", "data/items/1/price: "),
        (b"{", "application/json", "data: is not JSON"),
        (b"[" * 100_000, "application/json", "data: is not JSON"),
        (b"\xff", "", "data: is not JSON"),
        (None, "", "data: is missing"),
        (b"order", "text/plain", "data: is text/plain"),
    ],
)
def test_what_breaks_it_is_told_with_its_place(data: Any, content_type: str, place: str) -> None:
    with pytest.raises(SchemaViolated) as broken:
        compiled(ORDER).check(event(data, content_type))
    assert str(broken.value).startswith(place)


def test_a_long_value_is_not_quoted_whole() -> None:
    with pytest.raises(SchemaViolated) as broken:
        compiled({"type": "integer"}).check(event("x" * 100_000))
    assert len(str(broken.value)) < MAX_MESSAGE_CHARS + 50


def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few lines that holds a value against 2^levels subschemas."""
    names = [f"s{number}" for number in range(levels)]
    definitions: dict[str, Any] = {names[-1]: {"type": "integer"}}
    for name, below in zip(names, names[1:], strict=False):
        definitions[name] = {"allOf": [{"$ref": f"#/$defs/{below}"}, {"$ref": f"#/$defs/{below}"}]}
    return {"$ref": "#/$defs/s0", "$defs": definitions}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "is no JSON Schema"),
        ({"type": "nothing"}, "is no JSON Schema that can be checked"),
        ({"pattern": "(a)\\1"}, "is no JSON Schema that can be checked"),
        ({"$ref": "http://169.254.169.254/schema"}, "only places within the schema"),
        ({"$schema": "http://schema.test/own"}, "is no JSON Schema that can be checked"),
        ({"$ref": "#/$defs/absent"}, "leads nowhere"),
        ({"properties": {"child": {"$ref": "#"}}}, "only places within the schema"),
        ({"$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "contains itself"),
        ({"$dynamicRef": "#a"}, "is not supported"),
        (doubling(20), "more than 10000 subschemas"),
        (nested(MAX_DEPTH + 1), f"more than {MAX_DEPTH} deep"),
        (json.dumps({"title": "x" * MAX_SCHEMA_BYTES}), f"more than {MAX_SCHEMA_BYTES}"),
    ],
)
def test_a_schema_that_is_none_or_could_cost_too_much_is_refused_by_name(schema: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compiled(schema)
    assert refused.value.path == "spec.schemaData"
    assert problem in refused.value.problem


def test_what_is_allowed_is_decided_at_once() -> None:
    compiled(doubling(12)).check(event(7))
    with pytest.raises(SchemaViolated):
        compiled(ORDER).check(event({"order": 7, "note": "a" * 50_000 + "b"}))
