"""The Kafka binding (cloudevents/bindings/kafka-protocol-binding.md, 1.0.2): binary and structured mode, both ways.

A record is key, headers and value as octets, as clients of Kafka hand them over; no client is known here.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventmesh.base.frozen import frozen
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import AttributeValue, Event, InvalidEvent

Headers = Sequence[tuple[str, bytes | None]]

KEY_ATTRIBUTE = "partitionkey"
"""What becomes the key of a record (section 3.1, and the extension of that name)."""

_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_STRUCTURED = "application/cloudevents"


@frozen
class Message:
    """What a record of Kafka says."""

    headers: Headers
    value: bytes | None
    """None is not empty: a topic that is compacted forgets a key whose newest value is None."""
    key: bytes | None = None


def is_event(headers: Headers) -> bool:
    """Return whether a record claims to be an event, in either mode."""
    return any(
        name == f"{_PREFIX}specversion"
        or (_is_content_type(name) and _media_type(value or b"").startswith(_STRUCTURED))
        for name, value in headers
    )


def decode(message: Message) -> Event:
    """Return the event in a record; raises InvalidEvent or http.UnsupportedFormat.

    The mode is told from `content-type`, as the binding says. The key says nothing: who maps it onto a record leaves
    the attribute in the event. There are no batches: a record holds one event.
    """
    content_type = _content_type(message.headers)
    media_type = _media_type(content_type.encode())
    if not media_type.startswith(_STRUCTURED):
        return _decode_binary(message, content_type)
    if message.value is None:
        raise InvalidEvent("", "structured CloudEvent has no value")
    return http.decode_structured(content_type, message.value)


def _decode_binary(message: Message, content_type: str) -> Event:
    attributes: dict[str, AttributeValue] = {}
    for name, value in message.headers:
        if not name.startswith(_PREFIX):
            continue
        attribute = name[len(_PREFIX) :]
        if attribute in attributes:
            raise InvalidEvent(attribute, f"header {name} is given twice")
        if attribute == "datacontenttype":
            raise InvalidEvent(attribute, "is carried by content-type in binary mode, not by a header of its own")
        attributes[attribute] = _text(attribute, name, value)
    if "specversion" not in attributes:
        raise InvalidEvent(
            "specversion", "is required: no ce_specversion header, and content-type names no event format"
        )
    if content_type:
        attributes["datacontenttype"] = content_type
    return Event(attributes, message.value)


def encode_binary(event: Event) -> Message:
    """Return the record of an event in binary mode."""
    headers = [(_PREFIX + name, event.text(name).encode()) for name in event.attributes if name != "datacontenttype"]
    content_type = event.text("datacontenttype")
    if content_type:
        headers.append((_CONTENT_TYPE, content_type.encode()))
    return Message(headers, event.data, _key(event))


def encode_structured(event: Event) -> Message:
    """Return the record of an event in structured mode, JSON format."""
    [(_, content_type)], body = http.encode_structured(event)
    return Message([(_CONTENT_TYPE, content_type.encode())], body, _key(event))


def _key(event: Event) -> bytes | None:
    return event.text(KEY_ATTRIBUTE).encode() or None


def _is_content_type(name: str) -> bool:
    # Written as HTTP writes it by some producers: the binding spells it so, and Kafka tells cases apart.
    return name.lower() == _CONTENT_TYPE


def _content_type(headers: Headers) -> str:
    values = [value for name, value in headers if _is_content_type(name)]
    if len(values) > 1:
        raise InvalidEvent("", f"the header {_CONTENT_TYPE} is given {len(values)} times")
    return _text("datacontenttype", _CONTENT_TYPE, values[0]) if values else ""


def _media_type(content_type: bytes) -> str:
    return content_type.partition(b";")[0].strip().lower().decode("latin-1")


def _text(attribute: str, header: str, value: bytes | None) -> str:
    """Return the value of a header: UTF-8 as it stands, since the binding knows no escapes."""
    if value is None:
        raise InvalidEvent(attribute, f"header {header} has no value")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(attribute, f"is not UTF-8 (byte {error.start} of header {header})") from error
