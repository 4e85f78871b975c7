"""Sets of paths into an object, as `metadata.managedFields` keeps them (`structured-merge-diff/fieldpath`).

A path is made of elements: `f:spec` is a field, `k:{"name":"main"}` an item of a list told apart by its keys,
`v:"a"` an item of a list of values. A set is kept in the very form of FieldsV1, so that reading and storing one costs
nothing: a tree of elements in which `{}` is a place that is in the set, `{".": {}, ...}` one that is and has more
of the set below it, and anything else one that merely has more below it. The empty tree is the empty set.
Sets are shared and never changed. Knows nothing of schemas or owners.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventmesh.base.errors import ConfigError

FIELD = "f:"
KEYS = "k:"
VALUE = "v:"
INDEX = "i:"
_MARKS = (FIELD, KEYS, VALUE, INDEX)
SELF = "."
"""Marks that a place with more below it is in the set itself."""

FieldSet = dict[str, Any]

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def field_set(*paths: Sequence[str]) -> FieldSet:
    """Return the set of `paths`, each a sequence of elements."""
    found: FieldSet = {}
    for path in paths:
        below: FieldSet = {}
        for element in reversed(path):
            below = {element: below}
        found = union(found, below)
    return found


def union(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in either set."""
    joined = dict(one)
    for element, below in other.items():
        known = joined.get(element)
        joined[element] = below if known is None else _join(known, below)
    return joined


def _join(one: FieldSet, other: FieldSet) -> FieldSet:
    joined = union(one, other)
    return {SELF: {}, **joined} if joined and not (one and other) else joined


def minus(fields: FieldSet, gone: FieldSet) -> FieldSet:
    """Return what is in `fields` and not in `gone`."""
    touched = [element for element in gone if element in fields]
    if not touched:
        return fields
    left = dict(fields)
    for element in touched:
        here = is_member(fields[element]) and not is_member(gone[element])
        _spell(left, element, minus(_below(fields[element]), _below(gone[element])), is_in=here)
    return left


def common(one: FieldSet, other: FieldSet) -> FieldSet:
    """Return what is in both sets."""
    both: FieldSet = {}
    for element in one.keys() & other.keys():
        here = is_member(one[element]) and is_member(other[element])
        _spell(both, element, common(_below(one[element]), _below(other[element])), is_in=here)
    return both


def outside(fields: FieldSet, places: FieldSet) -> FieldSet:
    """Return what of `fields` is neither in `places` nor anywhere below them."""
    left = dict(fields)
    for element in places.keys() & fields.keys():
        if is_member(places[element]):
            del left[element]
        else:
            below = outside(_below(fields[element]), places[element])
            _spell(left, element, below, is_in=is_member(fields[element]))
    return left


def is_member(fields: FieldSet) -> bool:
    """Return whether a place, whose tree is `fields`, is in the set itself."""
    return not fields or SELF in fields


def _below(fields: FieldSet) -> FieldSet:
    return {element: below for element, below in fields.items() if element != SELF} if SELF in fields else fields


def _spell(fields: FieldSet, element: str, below: FieldSet, *, is_in: bool) -> None:
    """Put a place into `fields`, or take it out when nothing of it is left."""
    if is_in:
        fields[element] = {SELF: {}, **below} if below else {}
    elif below:
        fields[element] = below
    else:
        fields.pop(element, None)


def paths(fields: FieldSet) -> Iterator[tuple[str, ...]]:
    """Yield every path of the set as upstream does: sorted, those that end here before those that go on."""
    elements = sorted(_below(fields))
    for element in elements:
        if is_member(fields[element]):
            yield (element,)
    for element in elements:
        for rest in paths(fields[element]):
            yield (element, *rest)


def checked(value: Any) -> FieldSet:
    """Return `value`, which somebody sent as `fieldsV1`; raises ConfigError when it is no set.

    The depth of `value` must have been checked.
    """
    if not isinstance(value, dict):
        raise ConfigError("fieldsV1", "must be an object")
    for element, below in value.items():
        if element != SELF:
            _check_element(element)
        checked(below)
    return value


def _check_element(element: str) -> None:
    if not element.startswith(_MARKS):
        raise ConfigError("fieldsV1", f'"{element}" must begin with one of {", ".join(_MARKS)}, or be "."')
    if element.startswith((KEYS, VALUE)):
        try:
            spelt = json.loads(element[len(KEYS) :])
        except (ValueError, RecursionError) as error:
            raise ConfigError("fieldsV1", f'"{element}" does not go on with JSON: {error}') from error
        if element.startswith(KEYS) and not isinstance(spelt, dict):
            raise ConfigError("fieldsV1", f'"{element}" must go on with an object of keys')


def keys_element(keys: Mapping[str, Any]) -> str:
    """Return the element of a list item with these keys."""
    return KEYS + "{" + ",".join(f"{_compact(name)}:{_compact(keys[name])}" for name in sorted(keys)) + "}"


def value_element(value: Any) -> str:
    """Return the element of an item of a list of values."""
    return VALUE + _compact(value)


def path_text(path: Sequence[str]) -> str:
    """Return a path as conflicts name it: `.spec.containers[name="main"].image`."""
    return "".join(map(_element_text, path))


def _element_text(element: str) -> str:
    mark, rest = element[:2], element[2:]
    match mark:
        case "k:":
            keys = json.loads(rest)
            return "[" + ",".join(f"{name}={_compact(keys[name])}" for name in sorted(keys)) + "]"
        case "v:":
            return f"[={rest}]"
        case "i:":
            return f"[{rest}]"
        case _:
            return f".{rest}"
