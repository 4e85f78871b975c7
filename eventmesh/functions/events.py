"""Between the events of the wire and those of the `cloudevents` package, which functions see.

The rules of the wire are ours (`eventmesh.cloudevents`): the package invents an id or a time where none was sent.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from eventmesh.cloudevents.event import AttributeValue, Event, InvalidEvent, parse_timestamp
from eventmesh.cloudevents.json_format import is_json

if TYPE_CHECKING:
    from cloudevents.core.base import BaseCloudEvent
    from cloudevents.core.v1.event import CloudEvent


class Refused(Exception):
    """Raised by a function about an event it will never take: answered 400, which no broker tries again."""


def reply_to(
    cause: BaseCloudEvent, type: str, data: dict[str, Any] | str | bytes | None = None, **attributes: Any
) -> CloudEvent:
    """Return an event that answers `cause`.

    Its id is made from the cause's, so that it stays the same when the cause is delivered again; its source is the
    function's name (`K_SERVICE`); data is JSON unless `datacontenttype` says otherwise. `attributes` are added or take
    the place of these; those that are None are left out. A cause that came by a RequestReply (`correlationid`) is
    answered as that expects it (`replyid`).
    """
    from cloudevents.core.v1.event import CloudEvent

    said: dict[str, Any] = {
        "id": f"{cause.get_id()}-{type}",
        "source": f"/functions/{os.environ.get('K_SERVICE', 'function')}",
        "type": type,
        "specversion": "1.0",
        "time": datetime.now(UTC),
    }
    if mark := cause.get_extension("correlationid"):
        said["replyid"] = mark
    if data is not None:
        said["datacontenttype"] = "application/octet-stream" if isinstance(data, bytes) else "application/json"
    merged = {**said, **attributes}
    return CloudEvent({name: value for name, value in merged.items() if value is not None}, data)


def for_function(event: Event) -> CloudEvent:
    """Return the event as functions see it: data read as JSON or as text where `datacontenttype` says so.

    Raises InvalidEvent when the data is not what it says.
    """
    from cloudevents.core.v1.event import CloudEvent

    attributes: dict[str, Any] = dict(event.attributes)
    if "time" in attributes:
        attributes["time"] = parse_timestamp(event.text("time"))
    made = CloudEvent(attributes, _data(event))
    if "time" not in event.attributes:
        # The package has written its own; nobody said when this happened.
        made.get_attributes().pop("time", None)
    return made


def _data(event: Event) -> Any:
    if event.data is None:
        return None
    content_type = event.text("datacontenttype")
    try:
        if is_json(content_type):
            return json.loads(event.data)
        return event.data.decode() if content_type.startswith("text/") else event.data
    except ValueError as error:
        raise InvalidEvent("datacontenttype", f"is {content_type}, which the data is not: {error}") from None


def from_function(result: object) -> Event | None:
    """Return the event that a function returned, checked; None when it returned none.

    Raises TypeError (it returned something else) or InvalidEvent.
    """
    if result is None:
        return None
    if isinstance(result, list | tuple):
        raise TypeError(
            f"it returned {len(result)} things in a {type(result).__name__}: a reply is one event. "
            "Send further ones to a broker, or let a second function make them"
        )
    if not hasattr(result, "get_attributes") or not hasattr(result, "get_data"):
        raise TypeError(
            f"it returned a {type(result).__name__}: a reply is an event of the package cloudevents, or None"
        )
    attributes = {name: _attribute(value) for name, value in result.get_attributes().items() if value is not None}
    data = result.get_data()
    if data is None or isinstance(data, bytes | bytearray):
        return Event(attributes, None if data is None else bytes(data))
    content_type = str(attributes.setdefault("datacontenttype", "application/json"))
    if isinstance(data, str) and not is_json(content_type):
        return Event(attributes, data.encode())
    return Event(attributes, json.dumps(data, ensure_ascii=False).encode())


def _attribute(value: object) -> AttributeValue:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value if isinstance(value, str | int | bool) else str(value)
