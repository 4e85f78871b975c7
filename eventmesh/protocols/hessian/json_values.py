"""What JSON means as a Java value of a declared type, and what a Java value is in JSON. Pure.

| Java | JSON |
|---|---|
| numbers, `boolean`, their classes | number, true, false; a whole number within the range of its type |
| `String`, `char` | string |
| `byte[]` | string in base64 |
| `java.util.Date` | string, RFC 3339 |
| `java.math.BigDecimal`, `BigInteger` | string, or number |
| arrays, `java.util.List` and the like | array |
| `java.util.Map` and the like | object |
| any other class | object of its fields; inside of one, `"@class"` names a class where the field's own is not enough |
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

from eventmesh.protocols.hessian.values import MAX_DEPTH, HessianError, JavaObject, Long, TypedList
from eventmesh.protocols.java_types import PRIMITIVES, TYPE, VOID, element_of

MAX_JSON_VALUES: Final = 100_000
"""Values of one result in JSON. Hessian says once what JSON says each time, so that a few bytes could become any
number; a megabyte of JSON, the most an event has, holds no more that mean anything."""

MAX_JSON_TEXT: Final = 1 << 20
"""Characters of all its texts, names and bytes together, for the same reason: an event has no room for more."""

CLASS: Final = "@class"

_BOXED: Final = {
    "java.lang.Boolean": "boolean",
    "java.lang.Byte": "byte",
    "java.lang.Character": "char",
    "java.lang.Double": "double",
    "java.lang.Float": "float",
    "java.lang.Integer": "int",
    "java.lang.Long": "long",
    "java.lang.Short": "short",
}
_BITS: Final = {"byte": 8, "short": 16, "int": 32, "long": 64}
_DECIMALS: Final = frozenset({"java.math.BigDecimal", "java.math.BigInteger"})
_LISTS: Final = frozenset({"java.util.List", "java.util.Collection", "java.util.Set", "java.util.ArrayList"})
_MAPS: Final = frozenset({"java.util.Map", "java.util.HashMap", "java.util.LinkedHashMap"})


_Kind = TypeVar("_Kind")


class Unfit(HessianError):
    """JSON that is no value of the type it stands for, or a value that JSON has no form for."""


def from_json(value: object, java_type: str, path: str) -> object:
    """Return `value` as Hessian carries a `java_type`; raises Unfit, which names `path`, type and value."""
    plain = _BOXED.get(java_type, java_type)
    if value is None:
        if java_type in PRIMITIVES:
            raise _unfit(path, java_type, value)
        return None
    if plain in PRIMITIVES:
        return _primitive(value, plain, path)
    if java_type == "byte[]":
        return _base64(value, path)
    if element := element_of(java_type):
        items = _of_kind(value, list, java_type, path)
        return TypedList(_list_type(element), [from_json(v, element, f"{path}[{at}]") for at, v in enumerate(items)])
    read = _READ.get(java_type)
    if read is not None:
        return read(value, java_type, path)
    if java_type in _LISTS:
        return [_natural(item, f"{path}[{at}]") for at, item in enumerate(_of_kind(value, list, java_type, path))]
    if java_type in _MAPS:
        return {key: _natural(held, f"{path}.{key}") for key, held in _of_kind(value, dict, java_type, path).items()}
    return _object(_of_kind(value, dict, java_type, path), java_type, path)


def _primitive(value: object, name: str, path: str) -> object:
    match name, value:
        case "boolean", bool():
            return value
        case "char", str() if len(value) == 1 and ord(value) < 0x10000:
            return value
        case "float" | "double", int() | float() if not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise _unfit(path, name, value) from None
        case (("byte" | "short" | "int" | "long"), int()) if not isinstance(value, bool) and _holds(name, value):
            return Long(value) if name == "long" else value
    raise _unfit(path, name, value)


def _holds(name: str, value: int) -> bool:
    half = 1 << (_BITS[name] - 1)
    return -half <= value < half


def _text(value: object, java_type: str, path: str) -> object:
    return _of_kind(value, str, java_type, path)


def _date(value: object, java_type: str, path: str) -> object:
    try:
        moment = datetime.fromisoformat(_of_kind(value, str, java_type, path))
    except ValueError:
        raise _unfit(path, java_type, value) from None
    if moment.tzinfo is None:
        raise Unfit(f"{path}: {value!r} has no time zone: end it with Z or +hh:mm")
    return moment


def _decimal(value: object, java_type: str, path: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _unfit(path, java_type, value)
    return JavaObject(java_type, {"value": value if isinstance(value, str) else repr(value)})


def _anything(value: object, _java_type: str, path: str) -> object:
    return _natural(value, path)


_READ: Final[Mapping[str, Callable[[object, str, str], object]]] = {
    "java.lang.String": _text,
    "java.util.Date": _date,
    **dict.fromkeys(_DECIMALS, _decimal),
    "java.lang.Object": _anything,
}


def _base64(value: object, path: str) -> bytes:
    try:
        return base64.b64decode(_of_kind(value, str, "byte[]", path), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(f"{path}: byte[] is written in base64, which this is not") from None


def _natural(value: object, path: str) -> object:
    """Return a value as it is; Java makes of it what the field it goes to is declared as."""
    if isinstance(value, list):
        return [_natural(item, f"{path}[{at}]") for at, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if CLASS in value:
        return _object(value, _class(value[CLASS], f"{path}.{CLASS}"), path)
    return {key: _natural(held, f"{path}.{key}") for key, held in value.items()}


def _class(named: object, path: str) -> str:
    if not isinstance(named, str) or TYPE.fullmatch(named) is None or element_of(named):
        raise _unfit(path, "name of a class", named)
    return named


def _object(value: Mapping[str, object], class_name: str, path: str) -> JavaObject:
    fields = {name: _natural(held, f"{path}.{name}") for name, held in value.items() if name != CLASS}
    return JavaObject(class_name, fields)


def _of_kind(value: object, kind: type[_Kind], java_type: str, path: str) -> _Kind:
    if not isinstance(value, kind):
        raise _unfit(path, java_type, value)
    return value


def _list_type(element: str) -> str:
    return f"[{'string' if element == 'java.lang.String' else element}"


def _unfit(path: str, java_type: str, value: object) -> Unfit:
    return Unfit(f"{path}: {_shown(value)} is no {java_type}")


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def to_json(value: object) -> object:
    """Return a value that was read as JSON has it; raises Unfit for what JSON has no form for, a circle among them."""
    return _Writing().of(value)


class _Writing:
    def __init__(self) -> None:
        self._values = MAX_JSON_VALUES
        self._text = MAX_JSON_TEXT
        self._inside: set[int] = set()

    def of(self, value: object) -> object:
        self._values -= 1
        if self._values < 0:
            raise Unfit(f"the result has more than {MAX_JSON_VALUES} values in JSON")
        match value:
            case None | bool() | int():
                return value
            case str():
                return self._counted(value)
            case float():
                if not math.isfinite(value):
                    raise Unfit(f"{value} has no form in JSON")
                return value
            case bytes():
                self._count(len(value))
                return base64.b64encode(value).decode()
            case datetime():
                return _moment(value)
            case list() | dict() | JavaObject():
                return self._composite(value)
        raise Unfit(f"{type(value).__name__} has no form in JSON")

    def _count(self, characters: int) -> None:
        self._text -= characters
        if self._text < 0:
            raise Unfit(f"the result has more than {MAX_JSON_TEXT} characters in JSON")

    def _counted(self, text: str) -> str:
        self._count(len(text))
        return text

    def _composite(self, value: list[object] | dict[object, object] | JavaObject) -> object:
        if id(value) in self._inside:
            raise Unfit("the result holds itself, which JSON cannot say")
        if len(self._inside) > MAX_DEPTH:
            # Each may refer to the one before, so that the depth to which they are written says nothing.
            raise Unfit(f"the values of the result nest deeper than {MAX_DEPTH}")
        self._inside.add(id(value))
        try:
            match value:
                case list():
                    return [self.of(item) for item in value]
                case dict():
                    return {self._counted(_key(key)): self.of(held) for key, held in value.items()}
                case JavaObject():
                    return self._fields(value)
        finally:
            self._inside.discard(id(value))

    def _fields(self, value: JavaObject) -> object:
        if value.class_name in _DECIMALS:
            return self.of(value.fields.get("value"))
        return {self._counted(name): self.of(held) for name, held in value.fields.items()}


def _key(key: object) -> str:
    match key:
        case str():
            return key
        case bool():
            return "true" if key else "false"
        case datetime():
            return _moment(key)
        case None:
            return "null"
    return str(key)


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fits(value: object, java_type: str) -> bool:
    """Return whether what came back may be a `java_type`. Of a class nothing more is known than that it is no scalar:
    it may be any that extends it."""
    plain = _BOXED.get(java_type, java_type)
    if java_type == VOID or java_type == "java.lang.Object":
        return True
    if value is None:
        return java_type not in PRIMITIVES
    match plain:
        case "boolean":
            return isinstance(value, bool)
        case "float" | "double":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "byte" | "short" | "int" | "long":
            return isinstance(value, int) and not isinstance(value, bool)
        case "char" | "java.lang.String":
            return isinstance(value, str)
        case "byte[]":
            return isinstance(value, bytes)
        case "java.util.Date":
            return isinstance(value, datetime)
    if element_of(plain) or plain in _LISTS:
        return isinstance(value, list)
    return isinstance(value, dict | JavaObject | list | str)
