from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventmesh.cluster.api.openapi import OpenApi
from eventmesh.cluster.api.openapi_v2 import encode_swagger, swagger
from eventmesh.cluster.api.protobuf import wire_fields
from tests.component.embedded_api import embedded


def v3(**schemas: Any) -> dict[str, Any]:
    return {"components": {"schemas": schemas}}


def test_references_become_those_of_v2_and_keep_their_markers() -> None:
    properties = {"a": {"allOf": [{"$ref": "#/components/schemas/B"}], "default": {}}, "b": {"type": "string"}}
    listed = {"type": "array", "items": {"$ref": "#/components/schemas/B"}, "x-kubernetes-patch-merge-key": "name"}
    document = swagger([v3(A={"type": "object", "properties": {**properties, "c": listed}})], "v1")
    found = document["definitions"]["A"]["properties"]
    assert found["a"] == {"$ref": "#/definitions/B"} and found["b"] == {"type": "string"}
    assert found["c"]["x-kubernetes-patch-merge-key"] == "name"


def test_what_v2_cannot_say_says_nothing() -> None:
    free = {"type": "object", "properties": {"x": {}}, "x-kubernetes-preserve-unknown-fields": True}
    either = {"x-kubernetes-int-or-string": True, "type": "string"}
    document = swagger([v3(Free=free, Either=either, Null={"type": "string", "nullable": True})], "v1")
    for name in ("Free", "Either", "Null"):
        assert not {"type", "properties"} & document["definitions"][name].keys()


async def test_protobuf_has_every_definition_with_its_kind(tmp_path: Path) -> None:
    async with embedded(tmp_path) as api:
        document = swagger(OpenApi(api.catalog).documents(), "v1")
    encoded = memoryview(encode_swagger(document))
    definitions = dict(messages(encoded))[9]
    named = [dict(messages(part)) for _, part in messages(definitions)]
    assert sorted(str(parts[1], "utf-8") for parts in named) == sorted(document["definitions"])
    extensions = [bytes(value) for parts in named for number, value in messages(parts[2]) if number == 31]
    told = [json.loads(text[text.index(b"[") :]) for text in extensions if b"group-version-kind" in text]
    kinds = {entry["kind"] for entries in told for entry in entries}
    assert {"Pod", "Deployment", "Trigger", "CustomResourceDefinition"} <= kinds


def messages(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the fields of a message that are messages or texts, which all of these are."""
    for number, value in wire_fields(data):
        assert isinstance(value, memoryview)
        yield number, value
