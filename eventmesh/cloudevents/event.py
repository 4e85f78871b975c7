"""An event as an immutable value. The rules of attributes are the core's (`crates/core/src/cloudevents`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.core import (
    MAX_ATTRIBUTE_NAME_LENGTH,
    MAX_ATTRIBUTE_VALUE_BYTES,
    MAX_EVENT_ATTRIBUTES,
    REQUIRED_ATTRIBUTES,
    EventFault,
    check_event,
)

AttributeValue = str | int | bool
"""What an attribute may be; the other types of the specification (URI, timestamp, binary) travel as text."""


REQUIRED: Final = REQUIRED_ATTRIBUTES
MAX_ATTRIBUTES: Final = MAX_EVENT_ATTRIBUTES
MAX_NAME_LENGTH: Final = MAX_ATTRIBUTE_NAME_LENGTH
MAX_VALUE_BYTES: Final = MAX_ATTRIBUTE_VALUE_BYTES
"""The core's bounds, argued there."""


class InvalidEvent(MeshError):
    """A message is not a valid CloudEvent; answer 400. `attribute` is empty when the message as a whole is at fault."""

    def __init__(self, attribute: str, problem: str) -> None:
        super().__init__(f'CloudEvent attribute "{attribute}": {problem}' if attribute else problem)
        self.attribute = attribute
        self.problem = problem


@frozen
class Event:
    """A valid event: building one checks it, so whoever holds an Event need not.

    Raises InvalidEvent naming the first attribute that breaks a rule.
    """

    attributes: Mapping[str, AttributeValue]
    """Context attributes and extensions, `specversion` included, `datacontenttype` when known."""
    data: bytes | None = field(default=None)
    """The payload as octets; None when the event has none (which differs from an empty payload)."""

    def __post_init__(self) -> None:
        attributes = dict(self.attributes)
        _check(attributes)
        object.__setattr__(self, "attributes", MappingProxyType(attributes))

    @property
    def id(self) -> str:
        """Return the `id`; with `source` it identifies the event."""
        return self.text("id")

    @property
    def source(self) -> str:
        """Return the `source`."""
        return self.text("source")

    @property
    def type(self) -> str:
        """Return the `type`."""
        return self.text("type")

    def text(self, name: str) -> str:
        """Return the attribute in its canonical string form; empty when it is absent."""
        value = self.attributes.get(name, "")
        return canonical(value)

    def with_attributes(self, /, **changes: AttributeValue | None) -> Event:
        """Return a copy with attributes set, or removed where the value is None; only what changes is checked."""
        merged = {**self.attributes, **changes}
        kept = {name: value for name, value in merged.items() if value is not None}
        _check(kept, changes)
        return Event.checked(kept, self.data)

    def without(self, name: str) -> Event:
        """Return the event without an attribute that it need not have."""
        return Event.checked({known: value for known, value in self.attributes.items() if known != name}, self.data)

    @staticmethod
    def checked(attributes: Mapping[str, AttributeValue], data: bytes | None) -> Event:
        """Return an event from attributes that are known to be valid, because they are those of an event."""
        event = object.__new__(Event)
        object.__setattr__(event, "attributes", MappingProxyType(attributes))
        object.__setattr__(event, "data", data)
        return event


def _check(attributes: dict[str, AttributeValue], changed: Mapping[str, object] | None = None) -> None:
    try:
        check_event(attributes, changed)
    except EventFault as fault:
        raise InvalidEvent(*fault.args) from None


def canonical(value: AttributeValue) -> str:
    """Return the string form of an attribute (cloudevents/spec.md, "Type System")."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def parse_timestamp(text: str) -> datetime:
    """Return the moment of an RFC 3339 timestamp that has passed the check; a leap second counts as the one before.

    Raises ValueError for a date that does not exist.
    """
    # Fractions beyond microseconds are legal; Python reads six digits. A leap second is not to be had in Python.
    whole = re.sub(r"(\.\d{1,6})\d*", r"\1", text).upper().replace("Z", "+00:00")
    return datetime.fromisoformat(re.sub(r":60(?=[.+-])", ":59", whole))
