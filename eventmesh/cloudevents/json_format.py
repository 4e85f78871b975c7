"""The JSON event format (cloudevents/formats/json-format.md), as it is written: one event as a JSON object."""

from __future__ import annotations

import base64
import json

from eventmesh.cloudevents.event import Event
from eventmesh.core import is_json_type

MEDIA_TYPE = "application/cloudevents+json"


def encode(event: Event) -> bytes:
    """Return `event` as a JSON object in UTF-8."""
    document: dict[str, object] = dict(event.attributes)
    if event.data is not None:
        _add_data(document, event.text("datacontenttype"), event.data)
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, in data: only an escape can say that.
        return json.dumps(document, separators=(",", ":")).encode()


def _add_data(document: dict[str, object], content_type: str, data: bytes) -> None:
    try:
        if is_json(content_type):
            document["data"] = json.loads(data)
            return
        if content_type.startswith("text/"):
            document["data"] = data.decode("utf-8")
            return
    except (ValueError, RecursionError):
        # Not what its content type claims, or nested beyond what is read: the octets still travel, as base64.
        document.pop("data", None)
    document["data_base64"] = base64.b64encode(data).decode()


def is_json(content_type: str) -> bool:
    """Return whether the media type is JSON: subtype `json` or a `+json` suffix, parameters ignored."""
    return is_json_type(content_type)
