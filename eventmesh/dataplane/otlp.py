"""The envelope of OTLP around spans that the engine has written, and what a receiver says of it (opentelemetry-proto,
`collector/trace/v1/trace_service.proto`).

Four nested messages of two fields each: a protobuf library would cost a sidecar more than they do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GRPC_PATH: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def export_request(resource: Mapping[str, str], scope: tuple[str, str], spans: bytes) -> bytes:
    """Return an `ExportTraceServiceRequest` for `spans` (`Engine.take_spans`) of one resource.

    `scope` is the name and the version of who recorded them.
    """
    attributes = b"".join(_field(1, _attribute(key, value)) for key, value in resource.items())
    name, version = scope
    scoped = _field(1, _field(1, name.encode()) + _field(2, version.encode())) + spans
    return _field(1, _field(1, attributes) + _field(2, scoped))


def rejected_spans(response: bytes) -> int:
    """Return how many spans an `ExportTraceServiceResponse` says were not taken; 0 for what is no such message."""
    try:
        partial = _find(response, 1, _BYTES)
        found = _find(partial, 1, _VARINT) if isinstance(partial, bytes) else None
    except ValueError:
        return 0
    return found if isinstance(found, int) else 0


def _attribute(key: str, value: str) -> bytes:
    return _field(1, key.encode()) + _field(2, _field(1, value.encode()))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _find(message: bytes, wanted: int, kind: int) -> bytes | int | None:
    """Return the last field `wanted` of that kind. ValueError: these bytes are no message."""
    found: bytes | int | None = None
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        value: bytes | int
        match key & 7:
            case 0:
                value, at = _read_varint(message, at)
            case 2:
                length, at = _read_varint(message, at)
                value, at = message[at : at + length], at + length
            case 1 | 5 as fixed:
                length = 8 if fixed == _FIXED64 else 4
                value, at = message[at : at + length], at + length
            case other:
                raise ValueError(f"wire type {other}")
        if at > len(message):
            raise ValueError("cut off")
        if key >> 3 == wanted and key & 7 == kind:
            found = value
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("cut off")
        number |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return number, at
    raise ValueError("a number longer than ten bytes")
