"""The HTTP binding (cloudevents/bindings/http-protocol-binding.md): binary and structured mode, both ways.

Headers come and go as (name, value) with values decoded as Latin-1, as the core hands them over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from eventmesh.base.errors import MeshError
from eventmesh.cloudevents import json_format, protobuf_format
from eventmesh.cloudevents.event import AttributeValue, Event, InvalidEvent

Headers = Sequence[tuple[str, str]]

_PREFIX = "ce-"
_STRUCTURED = "application/cloudevents"
_BATCH = "application/cloudevents-batch"
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_SAFE = frozenset(range(0x21, 0x7F)) - set(b'"%')
_PLAIN = re.compile(r"[!#$&-~]*")
"""What all of is safe."""


class UnsupportedFormat(MeshError):
    """The message is in an event format that is not supported; answer 415."""


def is_event(headers: Headers) -> bool:
    """Return whether a message claims to be an event in one of the three modes."""
    return any(
        (name == "content-type" and value.lower().startswith("application/cloudevents"))
        or name == f"{_PREFIX}specversion"
        for name, value in headers
    )


def decode(headers: Headers, body: bytes) -> Event:
    """Return the event in an HTTP message; raises InvalidEvent or UnsupportedFormat.

    The mode is told from Content-Type, as the binding says. A batch is no event: see `decode_batch`.
    """
    content_type = _single(headers, "content-type") or ""
    media_type = _media_type(content_type)
    if media_type.startswith(_BATCH):
        raise InvalidEvent("", "batched CloudEvents are not accepted here: send one event a request")
    if not media_type.startswith(_STRUCTURED):
        return _decode_binary(headers, content_type, body)
    match media_type:
        case json_format.MEDIA_TYPE | "application/cloudevents":
            return json_format.decode(body)
        case protobuf_format.MEDIA_TYPE:
            return protobuf_format.decode(body)
    known = f"{json_format.MEDIA_TYPE} or {protobuf_format.MEDIA_TYPE}"
    raise UnsupportedFormat(f"event format {media_type!r} is not supported: use {known}")


def is_batch(headers: Headers) -> bool:
    """Return whether a message says that it holds a batch."""
    return any(name == "content-type" and _media_type(value).startswith(_BATCH) for name, value in headers)


def decode_batch(headers: Headers, body: bytes, limit: int) -> list[Event]:
    """Return the events of a batch, which may be none; raises InvalidEvent, also for more than `limit`, or
    UnsupportedFormat."""
    media_type = _media_type(_single(headers, "content-type") or "")
    match media_type:
        case json_format.BATCH_MEDIA_TYPE:
            return json_format.decode_batch(body, limit)
        case protobuf_format.BATCH_MEDIA_TYPE:
            return protobuf_format.decode_batch(body, limit)
    known = f"{json_format.BATCH_MEDIA_TYPE} or {protobuf_format.BATCH_MEDIA_TYPE}"
    raise UnsupportedFormat(f"batch format {media_type!r} is not supported: use {known}")


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _decode_binary(headers: Headers, content_type: str, body: bytes) -> Event:
    attributes: dict[str, AttributeValue] = {}
    for name, value in headers:
        if name.startswith(_PREFIX):
            attribute = name[len(_PREFIX) :]
            if attribute in attributes:
                raise InvalidEvent(attribute, f"header {name} is given twice")
            if attribute == "datacontenttype":
                raise InvalidEvent(attribute, "is carried by Content-Type in binary mode, not by a header of its own")
            attributes[attribute] = decode_value(attribute, value)
    if "specversion" not in attributes:
        raise InvalidEvent(
            "specversion", "is required: no ce-specversion header, and Content-Type names no event format"
        )
    if content_type:
        attributes["datacontenttype"] = content_type
    return Event(attributes, body if body or content_type else None)


def decode_value(attribute: str, value: str) -> str:
    """Return the attribute value in a header: unquoted, percent-decoded once, UTF-8 (raw UTF-8 is tolerated)."""
    if _PLAIN.fullmatch(value):
        return value
    raw = value.encode("latin-1", errors="replace")
    if len(raw) >= 2 and raw.startswith(b'"') and raw.endswith(b'"'):
        raw = re.sub(rb"\\(.)", rb"\1", raw[1:-1], flags=re.DOTALL)
    if b"%" in raw:
        raw = _ESCAPE.sub(lambda match: _unescape(attribute, match), raw)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidEvent(attribute, "is not UTF-8 after percent-decoding") from error


def _unescape(attribute: str, match: re.Match[bytes]) -> bytes:
    if match.group(1) is None:
        raise InvalidEvent(attribute, 'has a "%" that two hexadecimal digits do not follow (write "%25")')
    return bytes((int(match.group(1), 16),))


def encode_value(text: str) -> str:
    """Return the header form of an attribute value: space, quote, percent and all beyond ASCII escaped."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in text.encode())


def encode_binary(event: Event) -> tuple[list[tuple[str, str]], bytes]:
    """Return (headers, body) in binary mode."""
    headers = [
        (_PREFIX + name, encode_value(event.text(name))) for name in event.attributes if name != "datacontenttype"
    ]
    content_type = event.text("datacontenttype")
    if content_type:
        headers.append(("content-type", content_type))
    return headers, event.data or b""


def encode_structured(event: Event) -> tuple[list[tuple[str, str]], bytes]:
    """Return (headers, body) in structured mode, JSON format."""
    return [("content-type", f"{json_format.MEDIA_TYPE}; charset=utf-8")], json_format.encode(event)


def _single(headers: Headers, name: str) -> str | None:
    values = [value for key, value in headers if key == name]
    if len(values) > 1:
        raise InvalidEvent("", f"the header {name} is given {len(values)} times")
    return values[0] if values else None
