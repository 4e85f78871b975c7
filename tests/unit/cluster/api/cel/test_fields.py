from __future__ import annotations

import pytest

from eventmesh.cluster.api.cel.fields import declared, escaped, reader, real_name
from eventmesh.cluster.api.cel.types import INT, STRING
from eventmesh.cluster.api.cel.values import EvaluationError


@pytest.mark.parametrize(
    ("name", "selected"),
    [
        ("plain", "plain"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("a__b", "a__underscores__b"),
        ("namespace", "__namespace__"),
        ("namespaces", "namespaces"),
    ],
)
def test_a_field_is_selected_by_its_escaped_name(name: str, selected: str) -> None:
    assert escaped(name) == selected
    assert real_name(selected) == name


@pytest.mark.parametrize("name", ["", "1st", "a b", "$ref"])
def test_a_name_that_cannot_be_spelt_is_not_selected(name: str) -> None:
    assert escaped(name) is None


def test_what_has_no_type_is_not_seen() -> None:
    schema = {
        "type": "object",
        "properties": {
            "typeless": {"x-kubernetes-preserve-unknown-fields": True},
            "lists": {"type": "array", "items": {}},
            "a b": {"type": "string"},
            "whole": {"type": "integer"},
        },
    }
    of = declared(schema, "self")
    assert of is not None and of.fields == {"whole": INT}


def test_every_resource_has_a_name() -> None:
    of = declared({"type": "object"}, "self", is_resource=True)
    assert of is not None and of.fields is not None
    metadata = of.fields["metadata"].fields
    assert metadata == {"name": STRING, "generateName": STRING}


def test_what_is_as_it_is_needs_no_reading() -> None:
    assert reader({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}) is None


@pytest.mark.parametrize(
    ("named", "value"), [("byte", "?"), ("duration", "soon"), ("date", "2024"), ("date-time", "x")]
)
def test_a_text_that_is_not_what_its_format_says_has_no_value(named: str, value: str) -> None:
    read = reader({"type": "string", "format": named})
    assert read is not None
    with pytest.raises(EvaluationError, match=f"Invalid {named} formatted string"):
        read(value)
