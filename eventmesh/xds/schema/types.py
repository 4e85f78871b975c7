"""Compiled form of the table: message types, their fields, and what is done about each.

A message is compiled when it is first met, so that a sidecar pays for the messages it reads and no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache

from eventmesh.base.frozen import frozen
from eventmesh.xds.schema.table import ALIASES, ENUMS, MESSAGES

TYPE_URL_PREFIX = "type.googleapis.com/"


class Kind(Enum):
    """What a field holds, and so how it lies on the wire and in JSON."""

    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    UINT32 = "uint32"
    UINT64 = "uint64"
    DOUBLE = "double"
    STRING = "string"
    BYTES = "bytes"
    ENUM = "enum"
    MESSAGE = "message"
    DURATION = "duration"
    """`google.protobuf.Duration`, read as seconds."""
    STRUCT = "struct"
    """`google.protobuf.Struct`, read as plain JSON values."""
    ANY = "any"
    """`google.protobuf.Any`, read as the message inside it."""


class Shape(Enum):
    """How often a field occurs."""

    SINGLE = ""
    OPTIONAL = "?"
    """A scalar in a wrapper message (`google.protobuf.UInt32Value`): zero differs from unset."""
    REPEATED = "[]"
    MAP = "{}"
    """A map from string."""


class Policy(Enum):
    """What is done when a field is set."""

    SUPPORTED = "supported"
    IGNORED = "ignored"
    """Harmless to what requests experience; reported as a warning."""
    REFUSED = "refused"
    """Asks for something that would not happen; reported as an error."""


Scalar = bool | int | float | str | bytes


@frozen
class Field:
    """One field of a message. `kind`, `shape` and what follows matter only when it is supported."""

    number: int
    name: str
    policy: Policy
    kind: Kind = Kind.MESSAGE
    shape: Shape = Shape.SINGLE
    group: str = ""
    """The oneof it belongs to."""
    type_name: str = ""
    """Full name of the message or enum."""
    only: Scalar | None = None
    """The one value that says what eventmesh does anyway; any other is refused."""

    @property
    def message(self) -> MessageType:
        """Return the type of a field of kind MESSAGE."""
        return message_type(self.type_name)

    @property
    def enum(self) -> EnumType:
        """Return the type of a field of kind ENUM."""
        return enum_type(self.type_name)


@frozen
class EnumType:
    """Names and numbers of an enum."""

    by_name: Mapping[str, int]
    by_number: Mapping[int, str]


@frozen
class MessageType:
    """A message; `known` is false for one that stands in no table (only inside an Any)."""

    name: str
    by_number: Mapping[int, Field]
    by_name: Mapping[str, Field]
    """By snake_case name and by camelCase name, as protobuf's JSON accepts both."""
    known: bool = True

    @property
    def type_url(self) -> str:
        """Return the URL an Any carries for this message."""
        return TYPE_URL_PREFIX + self.name

    def __repr__(self) -> str:
        return f"MessageType({self.name})"


@cache
def message_type(name: str) -> MessageType:
    """Return the message called `name` in full; raise KeyError when the table does not know it."""
    text = MESSAGES[_short(name)]
    fields = [field for line in text.splitlines() if line.strip() for field in _parse_line(line.strip())]
    by_name = {field.name: field for field in fields}
    by_name.update((_camel(field.name), field) for field in fields if "_" in field.name)
    return MessageType(name, {field.number: field for field in fields}, by_name)


def type_of_url(url: str) -> MessageType:
    """Return the message an Any names; one that is not in the table comes back with `known` false."""
    name = url.rpartition("/")[2]
    return message_type(name) if _short(name) in MESSAGES else MessageType(name, {}, {}, known=False)


@cache
def enum_type(name: str) -> EnumType:
    """Return the enum called `name` in the table."""
    by_name: dict[str, int] = {}
    number = 0
    for word in ENUMS[name].split():
        label, _, explicit = word.partition("=")
        number = int(explicit) if explicit else number
        by_name[label] = number
        number += 1
    return EnumType(by_name, {n: label for label, n in by_name.items()})


_PRIMITIVES = {kind.value: kind for kind in Kind if kind not in (Kind.ENUM, Kind.MESSAGE)}
# A tenth of the time of asking the classes, hundreds of times in each start.
_SHAPES = {shape.value: shape for shape in Shape}
_POLICIES = {policy.value: policy for policy in Policy}


def _parse_line(line: str) -> list[Field]:
    head, colon, rest = line.partition(": ")
    if colon:
        policy = _POLICIES[head]
        pairs = (item.split() for item in rest.split(","))
        return [Field(int(number), name, policy) for number, name in pairs]
    number, name, typed, *more = line.split()
    group = more.pop(0).removeprefix("|") if more and more[0].startswith("|") else ""
    match more:
        case []:
            only = None
        case ["only", only]:
            pass
        case _:
            raise ValueError(f"the table has a line that cannot be read: {line!r}")
    word = typed.rstrip("?[]{}")
    kind = _PRIMITIVES.get(word) or (Kind.MESSAGE if "." in word else Kind.ENUM)
    return [
        Field(
            number=int(number),
            name=name,
            policy=Policy.SUPPORTED,
            kind=kind,
            shape=_SHAPES[typed.removeprefix(word)],
            group=group,
            type_name=full_name(word) if kind is Kind.MESSAGE else word,
            only=_literal(only, kind),
        )
    ]


def _literal(word: str | None, kind: Kind) -> Scalar | None:
    if word is None:
        return None
    match kind:
        case Kind.BOOL:
            return word == "true"
        case Kind.ENUM:
            return word
        case _:
            return int(word)


_PACKAGES = {package: alias for alias, package in ALIASES.items()}


def full_name(short: str) -> str:
    """Return the full name of a message that the table calls `short`."""
    alias, _, name = short.partition(".")
    return f"{ALIASES[alias]}.{name}"


@cache
def _short(full: str) -> str:
    # Nested messages keep their parent's name, so the package is the longest known prefix.
    parts = full.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        alias = _PACKAGES.get(".".join(parts[:cut]))
        if alias is not None:
            return f"{alias}.{'.'.join(parts[cut:])}"
    return full


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)
