"""The protobuf event format (cloudevents/formats/cloudevents.proto, package io.cloudevents.v1), as it is read.

The `.proto` file is the authority: the Markdown page beside it shows other numbers.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Final

from eventmesh.base.protobuf_wire import Value, WireError, signed, wire_fields
from eventmesh.cloudevents.event import AttributeValue, Event, InvalidEvent

MEDIA_TYPE: Final = "application/cloudevents+protobuf"
BATCH_MEDIA_TYPE: Final = "application/cloudevents-batch+protobuf"

PROTOBUF_DATA: Final = "application/protobuf"
"""What `proto_data` is; `dataschema` then says which message."""
PROTOBUF_MEDIA_TYPES: Final = frozenset({PROTOBUF_DATA, "application/x-protobuf", "application/vnd.google.protobuf"})
"""Names under which senders say that data is a message of protobuf."""

_REQUIRED: Final = {1: "id", 2: "source", 3: "specversion", 4: "type"}
_ATTRIBUTES, _BINARY_DATA, _TEXT_DATA, _PROTO_DATA = 5, 6, 7, 8
_NANOS_PER_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def is_protobuf(content_type: str) -> bool:
    """Return whether data of this media type is a message of protobuf, parameters ignored."""
    return content_type.partition(";")[0].strip().lower() in PROTOBUF_MEDIA_TYPES


def decode(body: bytes) -> Event:
    """Return the event in `body`; raises InvalidEvent saying what is wrong and where."""
    attributes: dict[str, AttributeValue] = {}
    implied: dict[str, AttributeValue] = {}
    data: bytes | None = None
    try:
        for number, value in wire_fields(body):
            if name := _REQUIRED.get(number):
                attributes[name] = _text(name, value)
            elif number == _ATTRIBUTES:
                name, read = _entry(_bytes("attributes", value))
                if name in attributes:
                    raise InvalidEvent(name, "is given twice")
                attributes[name] = read
            elif number in (_BINARY_DATA, _TEXT_DATA):
                data, implied = _bytes("data", value), {}
                if number == _TEXT_DATA:
                    _text("data", value)
            elif number == _PROTO_DATA:
                data, implied = _any(_bytes("proto_data", value))
    except WireError as error:
        raise InvalidEvent("", f"CloudEvent is not protobuf: {error}") from None
    return Event(implied | attributes, data)


def decode_batch(body: bytes, limit: int) -> list[Event]:
    """Return the events of a `CloudEventBatch`; raises InvalidEvent, also for more than `limit`."""
    try:
        parts = [_bytes("events", value) for number, value in wire_fields(body) if number == 1]
    except WireError as error:
        raise InvalidEvent("", f"batch is not protobuf: {error}") from None
    if len(parts) > limit:
        raise InvalidEvent("", f"batch has {len(parts)} events, more than {limit}")
    return [decode(part) for part in parts]


def _entry(data: bytes) -> tuple[str, AttributeValue]:
    name, value = "", b""
    for number, field in wire_fields(data):
        if number == 1:
            name = _text("attributes", field)
        elif number == 2:
            value = _bytes(name, field)
    return name, _attribute(name, value)


def _attribute(name: str, data: bytes) -> AttributeValue:
    """Return a `CloudEventAttributeValue`: of its oneof, what comes last counts."""
    read: AttributeValue | None = None
    for number, field in wire_fields(data):
        match number:
            case 1:
                read = bool(_integer(name, field))
            case 2:
                read = signed(_integer(name, field))
            case 3 | 5 | 6:
                read = _text(name, field)
            case 4:
                read = base64.b64encode(_bytes(name, field)).decode()
            case 7:
                read = _timestamp(name, _bytes(name, field))
    if read is None:
        raise InvalidEvent(name, "has no value")
    return read


def _timestamp(name: str, data: bytes) -> str:
    seconds = nanos = 0
    for number, field in wire_fields(data):
        if number == 1:
            seconds = signed(_integer(name, field))
        elif number == 2:
            nanos = signed(_integer(name, field))
    if not 0 <= nanos < _NANOS_PER_SECOND:
        raise InvalidEvent(name, f"has {nanos} nanoseconds")
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise InvalidEvent(name, f"is {seconds} s from 1970, outside the years 1 to 9999") from None
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f"{fraction}Z"


def _any(data: bytes) -> tuple[bytes, dict[str, AttributeValue]]:
    """Return the message in an `Any`, and the attributes that it implies."""
    url, message = "", b""
    for number, field in wire_fields(data):
        if number == 1:
            url = _text("proto_data", field)
        elif number == 2:
            message = _bytes("proto_data", field)
    implied: dict[str, AttributeValue] = {"datacontenttype": PROTOBUF_DATA}
    if "://" in url:
        implied["dataschema"] = url
    elif url:
        # Type URLs have no scheme by custom, `dataschema` must have one; https is what they stand for (any.proto).
        implied["dataschema"] = f"https://{url}"
    return message, implied


def _bytes(name: str, value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidEvent(name, "has another type on the wire than the format gives it")
    return value


def _integer(name: str, value: Value) -> int:
    if not isinstance(value, int):
        raise InvalidEvent(name, "has another type on the wire than the format gives it")
    return value


def _text(name: str, value: Value) -> str:
    try:
        return _bytes(name, value).decode()
    except UnicodeDecodeError:
        raise InvalidEvent(name, "is not UTF-8") from None
