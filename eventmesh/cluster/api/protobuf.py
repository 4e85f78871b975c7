"""Protobuf request bodies of built-in kinds, decoded by the table of types.

Typed Go clients (kubectl 1.32 and later, kn's secrets) send these and take no other answer than success.
The envelope is `k8s\\0` and a `runtime.Unknown`; what is inside has the field numbers of `types.txt`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from eventmesh.cluster.api import errors
from eventmesh.cluster.api.builtin.types import INLINE, FieldType, MessageType, find_type, message_types
from eventmesh.cluster.api.structural import MAX_DEPTH
from eventmesh.kube.api import Object

MAGIC = b"k8s\x00"
MAX_VARINT_BYTES = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MalformedError(Exception):
    """The bytes are not protobuf; told to the client as 400."""


def decode_protobuf(body: bytes) -> Object:
    """Return the object in `body`; raises 400 for what cannot be read, 415 for a kind the table does not have."""
    if not body.startswith(MAGIC):
        raise errors.bad_request("the protobuf body does not begin with the Kubernetes envelope (6b 38 73 00)")
    try:
        api_version, kind, raw = _envelope(memoryview(body)[len(MAGIC) :])
        message = find_type(api_version, kind)
        if message is None:
            accepted = ("application/json", "application/yaml")
            raise errors.unsupported_media_type(f"protobuf of {api_version} {kind}", accepted)
        return {"apiVersion": api_version, "kind": kind, **_message(message, raw, 0)}
    except (MalformedError, UnicodeDecodeError, ValueError, OverflowError) as error:
        raise errors.bad_request(f"the protobuf body cannot be read: {error}") from error


def _envelope(data: memoryview) -> tuple[str, str, memoryview]:
    api_version = kind = ""
    raw = memoryview(b"")
    for number, value in wire_fields(data):
        if number == 1 and isinstance(value, memoryview):
            for inner, text in wire_fields(value):
                if inner == 1 and isinstance(text, memoryview):
                    api_version = _text(text)
                elif inner == 2 and isinstance(text, memoryview):
                    kind = _text(text)
        elif number == 2 and isinstance(value, memoryview):
            raw = value
    return api_version, kind, raw


def wire_fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, varint or bytes) of one message; fixed-width values come as bytes.

    Raises MalformedError where the bytes are not a message.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        match wire:
            case 0:
                value, at = _varint(data, at)
                yield number, value
                continue
            case 2:
                length, at = _varint(data, at)
            case 1:
                length = 8
            case 5:
                length = 4
            case _:
                raise MalformedError(f"field {number} has the unknown wire type {wire}")
        if length > end - at:
            raise MalformedError(f"field {number} claims {length} bytes, {end - at} are left")
        yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    for used in range(MAX_VARINT_BYTES):
        if at + used >= len(data):
            raise MalformedError("it ends within a number")
        byte = data[at + used]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + used + 1
        shift += 7
    raise MalformedError(f"a number is longer than {MAX_VARINT_BYTES} bytes")


def _message(message: MessageType, data: memoryview, depth: int) -> Object:
    if depth > MAX_DEPTH:
        raise MalformedError(f"it nests deeper than {MAX_DEPTH} levels")
    obj: Object = {}
    for number, raw in wire_fields(data):
        field = message.by_number.get(number)
        if field is None:
            continue  # a field of a newer client, which an API server drops as well
        if field.name == INLINE:
            obj.update(_message(message_types()[field.shape], _bytes(raw, field), depth + 1))
        elif field.is_map:
            key, value = _entry(field, _bytes(raw, field), depth)
            obj.setdefault(field.name, {})[key] = value
        elif field.is_list:
            obj.setdefault(field.name, []).extend(_items(field, raw, depth))
        else:
            value = _value(field.shape, raw, depth)
            if field.keeps_zero or not _is_zero(value):
                obj[field.name] = value
    return obj


def _bytes(raw: int | memoryview, field: FieldType) -> memoryview:
    if isinstance(raw, int):
        raise MalformedError(f"field {field.name} is a number where a message belongs")
    return raw


def _is_zero(value: Any) -> bool:
    # Go writes every plain field, set or not; JSON clients leave the unset ones out.
    return value is None or value in (0, "", {}, [])


def _entry(field: FieldType, data: memoryview, depth: int) -> tuple[str, Any]:
    key = ""
    value: Any = _EMPTY.get(field.shape, "" if field.shape in _SCALARS else {})
    for number, raw in wire_fields(data):
        if number == 1:
            key = _text(_bytes(raw, field))
        elif number == 2:
            value = _value(field.shape, raw, depth)
    return key, value


def _items(field: FieldType, raw: int | memoryview, depth: int) -> Iterator[Any]:
    if field.shape in _PACKABLE and isinstance(raw, memoryview):
        at = 0
        while at < len(raw):
            number, at = _varint(raw, at)
            yield _value(field.shape, number, depth)
    else:
        yield _value(field.shape, raw, depth)


def _value(shape: str, raw: int | memoryview, depth: int) -> Any:
    if isinstance(raw, int):
        return _number(shape, raw)
    decode = _SCALARS.get(shape)
    if decode is not None:
        return decode(raw)
    return _message(message_types()[shape], raw, depth + 1)


def _number(shape: str, raw: int) -> int | bool:
    match shape:
        case "bool":
            return raw != 0
        case "int32" | "int64":
            return raw - (1 << 64) if raw >= 1 << 63 else raw
        case _:
            raise MalformedError(f"a number stands where a {shape} belongs")


def _text(raw: memoryview) -> str:
    return bytes(raw).decode()


def _first(raw: memoryview, number: int) -> int | memoryview | None:
    return next((value for found, value in wire_fields(raw) if found == number), None)


def _first_text(raw: memoryview) -> str:
    value = _first(raw, 1)
    return _text(value) if isinstance(value, memoryview) else ""


def _time(raw: memoryview) -> str | None:
    moment = _moment(raw)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(raw: memoryview) -> str | None:
    moment = _moment(raw)
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _moment(raw: memoryview) -> datetime | None:
    seconds, nanos = _first(raw, 1) or 0, _first(raw, 2) or 0
    if not isinstance(seconds, int) or not isinstance(nanos, int):
        raise MalformedError("a time is not made of numbers")
    if not seconds and not nanos:
        return None
    return _EPOCH + timedelta(seconds=int(_number("int64", seconds)), microseconds=nanos // 1000)


def _duration(raw: memoryview) -> str:
    nanos = _first(raw, 1) or 0
    return f"{int(_number('int64', nanos)) / 1e9:g}s" if isinstance(nanos, int) else "0s"


def _int_or_string(raw: memoryview) -> int | str:
    if _first(raw, 1) == 1:
        text = _first(raw, 3)
        return _text(text) if isinstance(text, memoryview) else ""
    value = _first(raw, 2) or 0
    return int(_number("int32", value)) if isinstance(value, int) else 0


def _raw_json(raw: memoryview) -> Any:
    value = _first(raw, 1)
    return json.loads(bytes(value)) if isinstance(value, memoryview) and value else {}


def _texts(raw: memoryview) -> list[str]:
    return [_text(value) for number, value in wire_fields(raw) if number == 1 and isinstance(value, memoryview)]


def _base64(raw: memoryview) -> str:
    return base64.b64encode(raw).decode()


def _wrong(raw: memoryview) -> Any:
    raise MalformedError("bytes stand where a number belongs")


_PACKABLE = {"int32", "int64", "bool"}
_SCALARS: dict[str, Callable[[memoryview], Any]] = {
    "string": _text,
    "bytes": _base64,
    "time": _time,
    "microtime": _micro_time,
    "duration": _duration,
    "quantity": _first_text,
    "intorstring": _int_or_string,
    "raw": _raw_json,
    "fields": _raw_json,
    "[]string": _texts,
    "int32": _wrong,
    "int64": _wrong,
    "bool": _wrong,
    "double": _wrong,
}
_EMPTY: dict[str, Any] = {"[]string": []}
