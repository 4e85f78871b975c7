"""Load reports on the wire: Knative's `WireStatMessages` (Serving, pkg/autoscaler/metrics/stat.proto, proto3).

The sidecar answers one `Stat` on :9090/metrics, the activator posts `WireStatMessages`; seven fixed fields
do not justify a protobuf runtime in every pod.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import fields

from eventmesh.base.frozen import frozen
from eventmesh.base.protobuf_wire import BYTES, FIXED64, UINT64_WRAP, VARINT, Value, WireError, signed, wire_fields

MAX_REPORT_BYTES = 1_048_576
"""Longest report that is read: about six thousand revisions at the length of Knative's longest names."""


class StatError(ValueError):
    """The bytes are no load report; the reporter is answered 400 and nothing is recorded."""


@frozen
class Stat:
    """The load of one pod, or of one activator for one revision, over the last second."""

    pod_name: str = ""
    average_concurrent_requests: float = 0.0
    average_proxied_concurrent_requests: float = 0.0
    """The part that came through an activator, which reports it too."""
    request_count: float = 0.0
    """Requests a second."""
    proxied_request_count: float = 0.0
    process_uptime: float = 0.0
    """Seconds."""
    timestamp: int = 0
    """Milliseconds since the epoch; 0 = now."""


@frozen
class StatMessage:
    """A Stat and the revision it belongs to."""

    namespace: str
    name: str
    stat: Stat


def encode_stat(stat: Stat) -> bytes:
    """Return `stat` as protobuf; fields at their default are omitted, as proto3 does."""
    out = bytearray()
    _put_text(out, 1, stat.pod_name)
    for number, value in enumerate(
        (
            stat.average_concurrent_requests,
            stat.average_proxied_concurrent_requests,
            stat.request_count,
            stat.proxied_request_count,
            stat.process_uptime,
        ),
        start=2,
    ):
        if value:
            out.append(number << 3 | FIXED64)
            out += struct.pack("<d", value)
    if stat.timestamp:
        out.append(7 << 3 | VARINT)
        _put_varint(out, stat.timestamp % UINT64_WRAP)
    return bytes(out)


def encode_messages(messages: Iterable[StatMessage]) -> bytes:
    """Return `WireStatMessages` as protobuf."""
    out = bytearray()
    for message in messages:
        inner = bytearray()
        _put_text(inner, 1, message.namespace)
        _put_text(inner, 2, message.name)
        _put_bytes(inner, 3, encode_stat(message.stat))
        _put_bytes(out, 1, inner)
    return bytes(out)


def decode_stat(data: bytes) -> Stat:
    """Return the Stat in `data`; unknown fields are skipped. Raises StatError."""
    values: dict[str, str | float | int] = {}
    for number, value in _fields(data):
        if not 1 <= number <= len(_STAT_FIELDS):
            continue
        name, kind = _STAT_FIELDS[number - 1]
        values[name] = _scalar(name, kind, value)
    return Stat(**values)  # type: ignore[arg-type]  # _scalar has checked each against its field


def decode_messages(data: bytes) -> list[StatMessage]:
    """Return the messages of `WireStatMessages`. Raises StatError, also when one names no revision."""
    if len(data) > MAX_REPORT_BYTES:
        raise StatError(f"report of {len(data)} bytes is longer than {MAX_REPORT_BYTES}")
    return [_message(_bytes("messages", value)) for number, value in _fields(data) if number == 1]


def _message(data: bytes) -> StatMessage:
    namespace = name = ""
    stat = Stat()
    for number, value in _fields(data):
        match number:
            case 1:
                namespace = _text("namespace", value)
            case 2:
                name = _text("name", value)
            case 3:
                stat = decode_stat(_bytes("stat", value))
    if not namespace or not name:
        raise StatError("a message names no namespace or no revision")
    return StatMessage(namespace, name, stat)


_STAT_FIELDS: tuple[tuple[str, type], ...] = tuple(
    (field.name, {"str": str, "float": float, "int": int}[str(field.type)]) for field in fields(Stat)
)


def _scalar(name: str, kind: type, value: Value) -> str | float | int:
    if kind is str:
        return _text(name, value)
    if not isinstance(value, kind):
        raise StatError(f"{name}: wrong wire type")
    if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
        raise StatError(f"{name}: {value} is not a load")
    if isinstance(value, int):
        return signed(value)
    assert not isinstance(value, bytes)  # noqa: S101  # kind is float or int here
    return value


def _bytes(name: str, value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise StatError(f"{name}: wrong wire type")
    return value


def _text(name: str, value: Value) -> str:
    try:
        return _bytes(name, value).decode()
    except UnicodeDecodeError as error:
        raise StatError(f"{name}: not UTF-8") from error


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    try:
        yield from wire_fields(data)
    except WireError as error:
        raise StatError(str(error)) from None


def _put_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _put_text(out: bytearray, number: int, text: str) -> None:
    if text:
        _put_bytes(out, number, text.encode())


def _put_bytes(out: bytearray, number: int, data: bytes | bytearray) -> None:
    out.append(number << 3 | BYTES)
    _put_varint(out, len(data))
    out += data
