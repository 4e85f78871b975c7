"""The types of expressions: what the checker compares, and how its sentences name them (`cel-go/common/types`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from eventmesh.base.frozen import frozen


@frozen
class Type:
    """One type: its name, what it is of (`list(int)`), and the fields of an object."""

    name: str
    params: tuple[Type, ...] = ()
    fields: Mapping[str, Type] | None = field(default=None, compare=False, repr=False)
    """Of an object, by their escaped names; None = no object."""
    is_parameter: bool = False
    """Stands for whatever type a call has in its place."""

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.params))})" if self.params else self.name


DYN = Type("dyn")
NULL = Type("null")
BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
DOUBLE = Type("double")
STRING = Type("string")
BYTES = Type("bytes")
TIMESTAMP = Type("timestamp")
DURATION = Type("duration")
QUANTITY = Type("kubernetes.Quantity")
URL = Type("kubernetes.URL")
IP = Type("net.IP")
CIDR = Type("net.CIDR")
FORMAT = Type("kubernetes.NamedFormat")
SEMVER = Type("kubernetes.Semver")
WRONG = Type("*error*")
"""What is already refused: it fits everywhere, so that one mistake is told once."""
A = Type("A", is_parameter=True)
B = Type("B", is_parameter=True)

_TAKES_NULL = frozenset(
    {"timestamp", "duration", "optional_type", QUANTITY.name, URL.name, IP.name, CIDR.name, SEMVER.name}
)
NAMES: Mapping[str, Type] = MappingProxyType(
    {
        **{of.name: of for of in (BOOL, INT, UINT, DOUBLE, STRING, BYTES)},
        "null_type": NULL,
        "list": Type("list", (DYN,)),
        "map": Type("map", (DYN, DYN)),
        "google.protobuf.Timestamp": TIMESTAMP,
        "google.protobuf.Duration": DURATION,
    }
)
"""The types that an expression may name."""


def list_of(item: Type) -> Type:
    """Return the type of lists of `item`."""
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    """Return the type of maps."""
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    """Return the type of what may be absent."""
    return Type("optional_type", (value,))


def type_of(described: Type) -> Type:
    """Return the type of the value that `described` itself is in an expression."""
    return Type("type", (described,))


def fits(wanted: Type, given: Type, bound: dict[str, Type]) -> bool:
    """Return whether a value of type `given` may stand where `wanted` is; parameters are learnt into `bound`."""
    if wanted.is_parameter:
        known = bound.get(wanted.name)
        if known is None or (_is_open(known) and not _is_open(given)):
            if known is not None and not fits(known, given, {}):
                return False
            bound[wanted.name] = given
            return True
        return fits(known, given, {}) or fits(given, known, {})
    if wanted in (DYN, WRONG) or given in (DYN, WRONG):
        return True
    if given == NULL and (wanted.fields is not None or wanted.name in _TAKES_NULL):
        return True
    if wanted == NULL and (given.fields is not None or given.name in _TAKES_NULL):
        return True
    if wanted.name != given.name or len(wanted.params) != len(given.params):
        return False
    return wanted.name == "type" or all(
        fits(one, other, bound) for one, other in zip(wanted.params, given.params, strict=True)
    )


def _is_open(of: Type) -> bool:
    return of in (DYN, WRONG, NULL) or any(map(_is_open, of.params))


def filled(of: Type, bound: Mapping[str, Type]) -> Type:
    """Return `of` with its parameters as a call has `bound` them."""
    if of.is_parameter:
        return bound.get(of.name, DYN)
    return Type(of.name, tuple(filled(param, bound) for param in of.params), of.fields) if of.params else of
