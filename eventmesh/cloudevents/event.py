"""An event as an immutable value, with the attribute rules of cloudevents/spec.md, "Context Attributes"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen

AttributeValue = str | int | bool
"""What an attribute may be; the other types of the specification (URI, timestamp, binary) travel as text."""

REQUIRED = ("id", "source", "specversion", "type")

MAX_ATTRIBUTES = 128
"""Most attributes of one event. Real events carry under 20; without a bound an event of 1 MiB could hold 100,000
names, and every trigger would look at them."""

MAX_NAME_LENGTH = 64
"""Longest attribute name. The specification asks producers for at most 20; longer ones exist in the wild."""

MAX_VALUE_BYTES = 16_384
"""Longest attribute value in UTF-8: what a header of common servers holds, so that binary mode stays possible."""

_NAME = re.compile(r"[a-z0-9]+\Z")
_FORBIDDEN_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})\Z")
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+\Z")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(;.*)?\Z")
_INTEGER_RANGE = range(-(2**31), 2**31)


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
        check_attributes(self.attributes)
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

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

    def with_attributes(self, **changes: AttributeValue | None) -> Event:
        """Return a copy with attributes set, or removed where the value is None; only what changes is checked."""
        merged = {**self.attributes, **changes}
        for name in REQUIRED:
            if name in changes:
                _check_required(merged)
        changed: dict[str, AttributeValue] = {}
        kept: dict[str, AttributeValue] = {}
        for name, value in merged.items():
            if value is not None:
                kept[name] = value
                if name in changes:
                    changed[name] = value
        _check_count(kept)
        _check_each(changed)
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


def canonical(value: AttributeValue) -> str:
    """Return the string form of an attribute (cloudevents/spec.md, "Type System")."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def check_attributes(attributes: Mapping[str, AttributeValue]) -> None:
    """Raise InvalidEvent when a name, a value or the set of attributes breaks a rule."""
    _check_count(attributes)
    _check_required(attributes)
    _check_each(attributes)


def _check_count(attributes: Mapping[str, AttributeValue]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidEvent("", f"CloudEvent has {len(attributes)} attributes, more than {MAX_ATTRIBUTES}")


def _check_required(attributes: Mapping[str, AttributeValue | None]) -> None:
    for name in REQUIRED:
        if attributes.get(name) in ("", None):
            raise InvalidEvent(name, "is required and must not be empty")
    if attributes["specversion"] != "1.0":
        raise InvalidEvent("specversion", f'is {attributes["specversion"]!r}; only "1.0" is supported')


def _check_each(attributes: Mapping[str, AttributeValue]) -> None:
    for name, value in attributes.items():
        _check_name(name)
        _check_value(name, value)
        rule = _RULES.get(name)
        if rule is not None:
            rule(name, canonical(value))


@lru_cache(maxsize=1024)
def _check_name(name: str) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidEvent(name[:MAX_NAME_LENGTH], f"name has {len(name)} characters, more than {MAX_NAME_LENGTH}")
    if not _NAME.match(name):
        raise InvalidEvent(name, "names consist of lower-case ASCII letters and digits")
    if name == "data":
        raise InvalidEvent(name, "is no attribute: it names the payload")


def _check_value(name: str, value: AttributeValue) -> None:
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        if value not in _INTEGER_RANGE:
            raise InvalidEvent(name, f"{value} is outside the 32-bit signed range")
        return
    # Nearly all values are plain ASCII, and those need no search.
    plain = value.isascii() and value.isprintable()
    if not plain and (found := _FORBIDDEN_TEXT.search(value)):
        raise InvalidEvent(name, f"holds the forbidden character U+{ord(found.group()):04X}")
    size = len(value) if plain else len(value.encode())
    if size > MAX_VALUE_BYTES:
        raise InvalidEvent(name, f"has {size} bytes, more than {MAX_VALUE_BYTES}")


def _uri_reference(name: str, value: str) -> None:
    if not _URI_CHARACTERS.match(value):
        raise InvalidEvent(name, f"{value!r} is not a URI-reference (RFC 3986)")


def _absolute_uri(name: str, value: str) -> None:
    _uri_reference(name, value)
    if not urlsplit(value).scheme:
        raise InvalidEvent(name, f"{value!r} is not an absolute URI")


def _timestamp(name: str, value: str) -> None:
    problem = f"{value!r} is not an RFC 3339 timestamp"
    if not _TIMESTAMP.match(value):
        raise InvalidEvent(name, problem)
    try:
        parse_timestamp(value)
    except ValueError as error:
        raise InvalidEvent(name, problem) from error


def parse_timestamp(text: str) -> datetime:
    """Return the moment of an RFC 3339 timestamp that has passed the check; a leap second counts as the one before.

    Raises ValueError for a date that does not exist.
    """
    # Fractions beyond microseconds are legal; Python reads six digits. A leap second is not to be had in Python.
    whole = re.sub(r"(\.\d{1,6})\d*", r"\1", text).upper().replace("Z", "+00:00")
    return datetime.fromisoformat(re.sub(r":60(?=[.+-])", ":59", whole))


def _media_type(name: str, value: str) -> None:
    if not _MEDIA_TYPE.match(value):
        raise InvalidEvent(name, f"{value!r} is not a media type (RFC 2046)")


def _not_empty(name: str, value: str) -> None:
    if not value:
        raise InvalidEvent(name, "must not be empty when it is present")


_RULES = {
    "source": _uri_reference,
    "dataschema": _absolute_uri,
    "time": _timestamp,
    "expirytime": _timestamp,
    "deliverafter": _timestamp,
    "datacontenttype": _media_type,
    "subject": _not_empty,
}
