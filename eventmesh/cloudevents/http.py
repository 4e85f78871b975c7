"""The HTTP binding (cloudevents/bindings/http-protocol-binding.md), as the core reads and writes it.

Headers come and go as (name, value) with values decoded as Latin-1, as the core hands them over.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventmesh.base.errors import MeshError
from eventmesh.cloudevents import json_format
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.core import (
    EventFault,
    UnknownEventFormat,
    decode_event,
    decode_event_batch,
    decode_structured_event,
    encode_event,
    event_mode,
)

Headers = Sequence[tuple[str, str]]


class UnsupportedFormat(MeshError):
    """The message is in an event format that is not supported; answer 415."""


def is_event(headers: Headers) -> bool:
    """Return whether a message claims to be an event in one of the three modes."""
    return event_mode(headers) is not None


def is_batch(headers: Headers) -> bool:
    """Return whether a message says that it holds a batch."""
    return event_mode(headers) == "batch"


def decode(headers: Headers, body: bytes) -> Event:
    """Return the event in an HTTP message; raises InvalidEvent or UnsupportedFormat.

    The mode is told from Content-Type, as the binding says. A batch is no event: see `decode_batch`.
    """
    try:
        return Event.checked(*decode_event(headers, body))
    except EventFault as fault:
        raise InvalidEvent(*fault.args) from None
    except UnknownEventFormat as unknown:
        raise UnsupportedFormat(str(unknown)) from None


def decode_structured(content_type: str, body: bytes) -> Event:
    """Return the event that is all of `body`, in the format that `content_type` names; raises as `decode` does."""
    try:
        return Event.checked(*decode_structured_event(content_type, body))
    except EventFault as fault:
        raise InvalidEvent(*fault.args) from None
    except UnknownEventFormat as unknown:
        raise UnsupportedFormat(str(unknown)) from None


def decode_batch(headers: Headers, body: bytes, limit: int) -> list[Event]:
    """Return the events of a batch, which may be none; raises InvalidEvent, also for more than `limit`, or
    UnsupportedFormat."""
    try:
        return [Event.checked(*event) for event in decode_event_batch(headers, body, limit)]
    except EventFault as fault:
        raise InvalidEvent(*fault.args) from None
    except UnknownEventFormat as unknown:
        raise UnsupportedFormat(str(unknown)) from None


def encode_binary(event: Event, without: str = "") -> tuple[list[tuple[str, str]], bytes]:
    """Return (headers, body) in binary mode; the attribute `without` is left out."""
    return encode_event(event.attributes, without), event.data or b""


def encode_structured(event: Event) -> tuple[list[tuple[str, str]], bytes]:
    """Return (headers, body) in structured mode, JSON format."""
    return [("content-type", f"{json_format.MEDIA_TYPE}; charset=utf-8")], json_format.encode(event)
