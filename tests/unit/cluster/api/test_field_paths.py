from __future__ import annotations

import pytest

from eventmesh.cluster.api.field_paths import field_path

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {"type": "object", "properties": {"a-b": {"type": "string"}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


@pytest.mark.parametrize(
    ("said", "path"),
    [
        (".spec", "spec"),
        (".spec['a-b']", "spec.a-b"),
        (".spec.a-b", "spec.a-b"),
        (".labels['x']", "labels[x]"),
        (r".labels['it\'s']", "labels[it's]"),
        (".labels.x", "labels[x]"),
        ("", ""),
    ],
)
def test_a_path_is_spelt_as_causes_spell_it(said: str, path: str) -> None:
    assert field_path(said, SCHEMA) == path


@pytest.mark.parametrize(
    "said",
    ["spec", ".", ".none", ".spec.none", ".spec[0]", ".spec['a-b", r".labels['\q']", ".spec.a-b.c", "..spec", ".spec "],
)
def test_a_path_to_nowhere_is_none(said: str) -> None:
    assert field_path(said, SCHEMA) is None
