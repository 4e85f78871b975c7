"""The HTTP binding (cloudevents/bindings/http-protocol-binding.md): the core reads events, here they are written.

Headers come and go as (name, value) with values decoded as Latin-1, as the core hands them over.
"""

from __future__ import annotations

import re
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
    event_mode,
)

Headers = Sequence[tuple[str, str]]

_PREFIX = "ce-"
_SAFE = frozenset(range(0x21, 0x7F)) - set(b'"%')
_PLAIN = re.compile(r"[!#$&-~]*")
"""What all of is safe."""


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
