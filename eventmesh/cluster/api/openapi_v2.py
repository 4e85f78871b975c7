"""OpenAPI v2, made of the documents of v3: kubectl still validates a `kind: List` by it, and older ones everything.

kubectl takes it as protobuf only (`gnostic-models/openapiv2/OpenAPIv2.proto`); anybody else gets JSON. Only the
definitions are there: the paths of v2 are read by nobody who talks to this API.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from eventmesh.kube.api import Object

PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V3_REF = "#/components/schemas/"
_V2_REF = "#/definitions/"
_WHATEVER = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string", "nullable")
"""A schema with one of these says more than v2 can: there it says nothing, so that nothing valid is refused."""
_SHAPE = ("type", "format", "properties", "items", "additionalProperties", "required")


def swagger(documents: Iterable[Object], version: str) -> Object:
    """Return the v2 document of what the v3 `documents` describe; `version` is that of the server."""
    definitions: Object = {}
    for document in documents:
        schemas = document["components"]["schemas"]
        definitions.update((name, _schema(schema)) for name, schema in schemas.items() if name not in definitions)
    info = {"title": "Kubernetes", "version": version}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": definitions}


def _schema(schema: Object) -> Object:
    says_less = any(schema.get(mark) for mark in _WHATEVER)
    result: Object = {}
    for name, value in schema.items():
        if says_less and name in _SHAPE:
            continue
        match name:
            case "allOf" if len(value) == 1 and "$ref" in value[0]:
                result["$ref"] = value[0]["$ref"].replace(_V3_REF, _V2_REF)
            case "properties":
                result[name] = {field: _schema(inner) for field, inner in value.items()}
            case "items" | "additionalProperties" if isinstance(value, dict):
                result[name] = _schema(value)
            case "type" | "format" | "description" | "required" | "additionalProperties":
                result[name] = value
            case _ if name.startswith("x-kubernetes-"):
                result[name] = value
    return result


def encode_swagger(document: Object) -> bytes:
    """Return a v2 document as the protobuf that kubectl reads."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    definitions = b"".join(_named_schemas(document["definitions"]))
    return _text(1, document["swagger"]) + _bytes(2, info) + _bytes(8, b"") + _bytes(9, definitions)


def _named_schemas(schemas: Mapping[str, Object]) -> Iterator[bytes]:
    for name, schema in schemas.items():
        yield _bytes(1, _text(1, name) + _bytes(2, _encode_schema(schema)))


def _encode_schema(schema: Object) -> bytes:
    return b"".join(part for name, value in schema.items() for part in _encode_part(name, value))


def _encode_part(name: str, value: Any) -> Iterator[bytes]:
    match name:
        case "$ref":
            yield _text(1, value)
        case "format":
            yield _text(2, value)
        case "description":
            yield _text(4, value)
        case "required":
            yield from (_text(19, field) for field in value)
        case "additionalProperties":
            yield _bytes(21, _bytes(1, _encode_schema(value)) if isinstance(value, dict) else _varint(2 << 3) + b"\x01")
        case "type":
            yield _bytes(22, _text(1, value))
        case "items":
            yield _bytes(23, _bytes(1, _encode_schema(value)))
        case "properties":
            yield _bytes(25, b"".join(_named_schemas(value)))
        case _:
            # Any value travels as YAML, of which JSON is a part.
            yield _bytes(31, _text(1, name) + _bytes(2, _text(2, json.dumps(value))))


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
