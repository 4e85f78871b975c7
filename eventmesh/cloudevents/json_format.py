"""The JSON event format (cloudevents/formats/json-format.md): one event as a JSON object."""

from __future__ import annotations

import base64
import binascii
import json

from eventmesh.cloudevents.event import AttributeValue, Event, InvalidEvent

MEDIA_TYPE = "application/cloudevents+json"
BATCH_MEDIA_TYPE = "application/cloudevents-batch+json"


def decode(body: bytes) -> Event:
    """Return the event in `body`; raises InvalidEvent saying what is wrong and where."""
    return _event(_parsed(body, "structured CloudEvent"))


def decode_batch(body: bytes, limit: int) -> list[Event]:
    """Return the events of a JSON array; raises InvalidEvent, also for more than `limit`."""
    documents = _parsed(body, "batch")
    if not isinstance(documents, list):
        raise InvalidEvent("", "batch is not a JSON array")
    if len(documents) > limit:
        raise InvalidEvent("", f"batch has {len(documents)} events, more than {limit}")
    return [_event(document) for document in documents]


def _parsed(body: bytes, what: str) -> object:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise InvalidEvent("", f"{what} is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise InvalidEvent("", f"{what} is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidEvent("", f"{what} is nested too deeply") from error


def _event(document: object) -> Event:
    if not isinstance(document, dict):
        raise InvalidEvent("", "structured CloudEvent is not a JSON object")
    members = dict(document)
    has_data, data_base64 = "data" in members, members.pop("data_base64", None)
    data_member = members.pop("data", None)
    if has_data and data_base64 is not None:
        raise InvalidEvent("", 'structured CloudEvent has both "data" and "data_base64"')
    attributes = {name: _attribute(name, value) for name, value in members.items() if value is not None}
    if data_base64 is not None:
        return Event(attributes, _from_base64(data_base64))
    if not has_data:
        return Event(attributes)
    # An absent datacontenttype means application/json here; written down, so that binary mode says so too.
    content_type = attributes.setdefault("datacontenttype", "application/json")
    if is_json(str(content_type)):
        return Event(attributes, json.dumps(data_member, ensure_ascii=False, separators=(",", ":")).encode())
    if not isinstance(data_member, str):
        raise InvalidEvent("", f'"data" must be a string when datacontenttype is {content_type!r}')
    return Event(attributes, data_member.encode())


def encode(event: Event) -> bytes:
    """Return `event` as a JSON object in UTF-8."""
    document: dict[str, object] = dict(event.attributes)
    if event.data is not None:
        _add_data(document, event.text("datacontenttype"), event.data)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _add_data(document: dict[str, object], content_type: str, data: bytes) -> None:
    try:
        if is_json(content_type):
            document["data"] = json.loads(data)
            return
        if content_type.startswith("text/"):
            document["data"] = data.decode("utf-8")
            return
    except ValueError:
        # Not what its content type claims: the octets still travel, as base64.
        document.pop("data", None)
    document["data_base64"] = base64.b64encode(data).decode()


def is_json(content_type: str) -> bool:
    """Return whether the media type is JSON: subtype `json` or a `+json` suffix, parameters ignored."""
    subtype = content_type.partition(";")[0].strip().lower().partition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def _attribute(name: str, value: object) -> AttributeValue:
    if isinstance(value, str | bool | int):
        return value
    raise InvalidEvent(name, f"must be a JSON string, boolean or integer, not {type(value).__name__}")


def _from_base64(value: object) -> bytes:
    if not isinstance(value, str):
        raise InvalidEvent("", '"data_base64" must be a string')
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise InvalidEvent("", f'"data_base64" is not base64: {error}') from error


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        # Two readers could take different ones: neither value is to be trusted.
        raise InvalidEvent("", f'structured CloudEvent has the member "{twice}" twice')
    return members
