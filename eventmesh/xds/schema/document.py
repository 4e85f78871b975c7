"""Reads messages from the JSON shape, as in bootstrap files: field names in snake_case or camelCase,
durations as `1.5s`, enums by label or number, 64-bit integers also as strings, an Any by its `@type`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from eventmesh.base.errors import ConfigError
from eventmesh.xds.schema.tree import Json, Message, verdict_refused
from eventmesh.xds.schema.types import Field, Kind, MessageType, Policy, Shape, type_of_url

MAX_DEPTH = 64
"""Deepest nesting of objects; Envoy's own configurations stay below 30, an endless YAML alias is cut here."""
MAX_VALUES = 1_000_000
"""Most values in one document: a few lines of YAML aliases can spell out billions."""

MAX_DURATION_S = 315_576_000_000
"""Ten thousand years, the range of `google.protobuf.Duration`."""


def read_document(message_type: MessageType, value: object, path: str, warnings: list[str]) -> Message:
    """Return the message that the JSON-shaped `value` spells; what is harmless but unsupported goes to `warnings`.

    Raises ConfigError with the path of the first field that is unknown, unsupported or of the wrong type.
    """
    return _Reader(warnings).message(message_type, value, path, 0)


class _Reader:
    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings
        self._values = 0

    def message(self, message_type: MessageType, value: object, path: str, depth: int) -> Message:
        fields: dict[str, object] = {}
        groups: dict[str, str] = {}
        for key, item in _object(value, path).items():
            self._count(path, depth)
            field = message_type.by_name.get(key)
            where = f"{path}.{key}" if path else key
            if field is None:
                raise ConfigError(where, f"{message_type.name} has no such field{_nearest(key, message_type)}")
            if item is None or not self._accepts(field, item, where, message_type):
                continue
            if field.name in fields:
                raise ConfigError(where, "given twice, in snake_case and in camelCase")
            if field.group and groups.setdefault(field.group, key) != key:
                raise ConfigError(where, f"excludes {groups[field.group]}; keep one of the two")
            read = self._field(field, item, where, depth)
            if read is not None:
                fields[field.name] = read
        return Message(message_type, fields, path)

    def _accepts(self, field: Field, item: object, where: str, owner: MessageType) -> bool:
        if field.policy is Policy.SUPPORTED:
            return True
        # Spelling out a scalar's or a list's default sets nothing; an empty message is set.
        if not item and not isinstance(item, dict):
            return False
        if field.policy is Policy.REFUSED:
            raise verdict_refused(where, owner.name)
        self._warnings.append(f"{where}: ignored, eventmesh has no such setting")
        return False

    def _field(self, field: Field, item: object, where: str, depth: int) -> object:
        match field.shape:
            case Shape.REPEATED:
                if not isinstance(item, list):
                    raise _expected(where, "a list", item)
                return tuple(self._value(field, one, f"{where}[{i}]", depth) for i, one in enumerate(item)) or None
            case Shape.MAP:
                pairs = _object(item, where).items()
                return {key: self._value(field, one, f'{where}["{key}"]', depth) for key, one in pairs} or None
            case Shape.SINGLE | Shape.OPTIONAL:
                read = self._value(field, item, where, depth)
                if field.only is not None and read != field.only:
                    raise only_value(where, field.only)
                return None if is_default(field, read) else read

    def _value(self, field: Field, item: object, where: str, depth: int) -> object:
        self._count(where, depth)
        match field.kind:
            case Kind.MESSAGE:
                return self.message(field.message, item, where, depth + 1)
            case Kind.ANY:
                return self._any(item, where, depth)
            case Kind.ENUM:
                return _enum(field, item, where)
            case Kind.STRUCT:
                return {key: self._json(one, f"{where}.{key}", depth + 1) for key, one in _object(item, where).items()}
            case _:
                return _SCALARS[field.kind](item, where)

    def _any(self, item: object, where: str, depth: int) -> Message:
        members = dict(_object(item, where))
        url = members.pop("@type", None)
        if not isinstance(url, str) or not url:
            raise ConfigError(f"{where}.@type", "missing: it names the message that follows")
        message_type = type_of_url(url)
        if not message_type.known:
            return Message(message_type, {}, where)
        return self.message(message_type, members, where, depth + 1)

    def _json(self, item: object, where: str, depth: int) -> Json:
        self._count(where, depth)
        match item:
            case None | bool() | str():
                return item
            case int() | float():
                return float(item)
            case list():
                return [self._json(one, f"{where}[{i}]", depth + 1) for i, one in enumerate(item)]
            case dict():
                pairs = _object(item, where).items()
                return {key: self._json(one, f"{where}.{key}", depth + 1) for key, one in pairs}
        raise _expected(where, "a JSON value", item)

    def _count(self, path: str, depth: int) -> None:
        self._values += 1
        if depth > MAX_DEPTH:
            raise ConfigError(path, f"nested more than {MAX_DEPTH} deep")
        if self._values > MAX_VALUES:
            raise ConfigError(path, f"the document has more than {MAX_VALUES} values")


def is_default(field: Field, value: object) -> bool:
    """Tell whether a value without presence of its own equals the protobuf default, so that setting it says nothing."""
    if field.shape is not Shape.SINGLE or field.group or field.kind in (Kind.MESSAGE, Kind.ANY, Kind.DURATION):
        return False
    if field.kind is Kind.ENUM:
        return value == field.enum.by_number[0]
    return not value and field.kind is not Kind.STRUCT


def only_value(path: str, only: object) -> ConfigError:
    """Return the error for a setting of which just one value describes what eventmesh does."""
    word = str(only).lower() if isinstance(only, bool) else str(only)
    return ConfigError(path, f"only {word} is supported; remove the field or set it so")


def duration_seconds(seconds: int, nanos: int, path: str) -> float:
    """Return a Duration as seconds; raise ConfigError when it is out of protobuf's range or its signs differ."""
    if abs(seconds) > MAX_DURATION_S or abs(nanos) > 999_999_999 or seconds * nanos < 0:
        raise ConfigError(path, f"{seconds}s and {nanos}ns is no valid duration")
    return seconds + nanos / 1e9


def _object(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _expected(path, "an object", value)
    for key in value:
        if not isinstance(key, str):
            raise ConfigError(path, f"the key {key!r} must be a string; quote it")
    return value


def _expected(path: str, what: str, value: object) -> ConfigError:
    return ConfigError(path, f"expected {what}, got {value!r:.60}" if value is not None else f"expected {what}")


def _nearest(key: str, message_type: MessageType) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key, message_type.by_name, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _bool(value: object, path: str) -> bool:
    if not isinstance(value, bool):
        raise _expected(path, "true or false", value)
    return value


def _string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _expected(path, "a string (quote it)", value)
    return value


def _bytes(value: object, path: str) -> bytes:
    # Few configurations hold any.
    import base64
    import binascii

    text = _string(value, path)
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise _expected(path, "bytes in base64", value) from None


def _integer(low: int, high: int) -> Callable[[object, str], int]:
    def read(value: object, path: str) -> int:
        match value:
            case int() if not isinstance(value, bool):
                number = value
            case str() if re.fullmatch(r"-?\d{1,20}", value):
                number = int(value)
            case float() if value.is_integer():
                number = int(value)
            case _:
                raise _expected(path, "an integer", value)
        if not low <= number <= high:
            raise ConfigError(path, f"{number} is out of range; accepted are {low} to {high}")
        return number

    return read


def _double(value: object, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _expected(path, "a finite number", value)
    return float(value)


_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s")


def _duration(value: object, path: str) -> float:
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _expected(path, 'a duration in seconds such as "1.5s"', value)
    sign = -1 if found[1] else 1
    return duration_seconds(sign * int(found[2]), sign * int((found[3] or "").ljust(9, "0")), path)


def _enum(field: Field, value: object, path: str) -> str:
    labels = field.enum
    if isinstance(value, str) and value in labels.by_name:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value in labels.by_number:
        return labels.by_number[value]
    raise ConfigError(path, f"{value!r} is none of {', '.join(labels.by_name)}")


_SCALARS: dict[Kind, Callable[[object, str], object]] = {
    Kind.BOOL: _bool,
    Kind.STRING: _string,
    Kind.BYTES: _bytes,
    Kind.INT32: _integer(-(2**31), 2**31 - 1),
    Kind.INT64: _integer(-(2**63), 2**63 - 1),
    Kind.UINT32: _integer(0, 2**32 - 1),
    Kind.UINT64: _integer(0, 2**64 - 1),
    Kind.DOUBLE: _double,
    Kind.DURATION: _duration,
}
