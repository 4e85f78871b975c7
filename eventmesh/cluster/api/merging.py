"""Values under a schema, field by field: what differs, what a merge gives, what a value is without some fields.

The rules are those of `structured-merge-diff/typed`: a map is granular unless it is marked atomic, a list is atomic
unless its schema says how its items are told apart, and what has no schema is maps of maps with atomic lists.
Pure; values handed in stay as they are, and are shared with what comes back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.fieldset import (
    FIELD,
    INDEX,
    SELF,
    FieldSet,
    is_member,
    keys_element,
    minus,
    path_text,
    value_element,
)
from eventmesh.cluster.api.structural import Schema

_ANY: Schema = {}
"""The schema of what no schema speaks of."""


class _Part(NamedTuple):
    """One field of a map, or one item of a list that is not atomic."""

    value: Any
    schema: Schema
    is_named: bool
    """Whether the schema names the field; such a field has no owner of its own, only what is in it has."""


class UnmergeableError(Exception):
    """A list in the value cannot be merged by the keys its schema demands; the message says where and why."""


@frozen
class Difference:
    """What a write did to an object."""

    written: FieldSet
    """What is new or has another value."""
    removed: FieldSet

    def __bool__(self) -> bool:
        return bool(self.written) or bool(self.removed)


def fields_of(schema: Schema, value: Any) -> FieldSet:
    """Return the fields that `value` has an opinion on: its leaves, list items and map keys."""
    fields: FieldSet = {}
    for element, part in (_parts(schema, value) or {}).items():
        is_leaf = part.value == {} or _parts(part.schema, part.value) is None
        below = {} if is_leaf else fields_of(part.schema, part.value)
        if below:
            fields[element] = below if part.is_named else {SELF: {}, **below}
        elif is_leaf or not part.is_named:
            fields[element] = {}
    return fields


def difference(schema: Schema, old: Any, new: Any) -> Difference:
    """Return what makes `new` of `old`, two maps."""
    written: FieldSet = {}
    removed: FieldSet = {}
    before, after = _parts(schema, old) or {}, _parts(schema, new) or {}
    for element, part in after.items():
        known = before.get(element)
        if known is None:
            written[element] = _everything(part.schema, part.value)
        elif known.value != part.value:
            _compare(part.schema, known.value, part.value, element, Difference(written, removed))
    for element, part in before.items():
        if element not in after:
            removed[element] = _everything(part.schema, part.value)
    return Difference(written, removed)


def _compare(schema: Schema, old: Any, new: Any, element: str, found: Difference) -> None:
    """Add to `found` how the value of `element` has changed; null is a map or a list with nothing in it."""
    if isinstance(new, dict | list) and old is None:
        old = type(new)()
    elif isinstance(old, dict | list) and new is None:
        new = type(old)()
    if type(old) is not type(new) or _parts(schema, old) is None or _parts(schema, new) is None:
        found.written[element] = _everything(schema, new)
        lost = minus({element: _everything(schema, old)}, {element: found.written[element]})
        found.removed.update(lost)
        return
    below = difference(schema, old, new)
    if below.written:
        found.written[element] = below.written
    if below.removed:
        found.removed[element] = below.removed


def _everything(schema: Schema, value: Any) -> FieldSet:
    """Return every path in `value`, itself included."""
    parts = _parts(schema, value)
    if not parts:
        return {}
    return {SELF: {}, **{element: _everything(part.schema, part.value) for element, part in parts.items()}}


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """Return `live` with everything that `config` says; null says of a map or a list nothing."""
    if config is None and isinstance(live, dict | list):
        return live
    known, wanted = _parts(schema, live), _parts(schema, config)
    if known is None or wanted is None or type(live) is not type(config):
        return config
    if isinstance(config, dict):
        merged = dict(live)
        for name, value in config.items():
            merged[name] = merge(_field_schema(schema, name)[0], live[name], value) if name in live else value
        return merged
    return _merge_list(schema.get("items") or _ANY, known, wanted)


def _merge_list(schema: Schema, known: dict[str, _Part], wanted: dict[str, _Part]) -> list[Any]:
    """Return the items of both: in the order of `wanted`, what `known` alone has where it stood among the others."""
    order = list(known)
    position = {element: number for number, element in enumerate(order)}
    merged: dict[str, Any] = {}
    at = 0
    for element, part in wanted.items():
        there = position.get(element)
        while at < len(order) and (order[at] not in wanted if there is None else at < there):
            if order[at] not in wanted:
                merged[order[at]] = known[order[at]].value
            at += 1
        if there is None:
            merged[element] = part.value
        else:
            at = max(at, there + 1)
            merged[element] = merge(schema, known[element].value, part.value)
    merged.update((element, known[element].value) for element in order[at:] if element not in wanted)
    return list(merged.values())


def without(schema: Schema, value: Any, fields: FieldSet, *, keep_emptied: bool = False) -> Any:
    """Return `value` without `fields` and all below them; a map or list that this empties goes too (None).

    With `keep_emptied` it stays as null in what it is part of: upstream's own answer, by which owners are told.
    """
    parts = _parts(schema, value)
    if parts is None or not fields:
        return value
    left: dict[str, Any] = {}
    for element, part in parts.items():
        gone = fields.get(element)
        if gone is None or (part.value is None and not is_member(gone)):
            left[element] = part.value
        elif not is_member(gone):
            kept = without(part.schema, part.value, gone, keep_emptied=keep_emptied)
            if kept is not None or keep_emptied:
                left[element] = kept
    if not left and parts:
        return None
    if isinstance(value, dict):
        return {name: left[FIELD + name] for name in value if FIELD + name in left}
    return list(left.values())


def with_named_fields(schema: Schema, fields: FieldSet) -> FieldSet:
    """Return `fields` and every field named by the schema that has one of them in it."""
    whole: FieldSet = {}
    for element, below in fields.items():
        if element == SELF or not below:
            whole[element] = below
        elif element.startswith(FIELD):
            inner, is_named = _field_schema(schema, element[len(FIELD) :])
            named = with_named_fields(inner, below)
            whole[element] = {SELF: {}, **named} if is_named else named
        else:
            whole[element] = with_named_fields(schema.get("items") or _ANY, below)
    return whole


def check_mergeable(schema: Schema, value: Any, path: tuple[str, ...] = ()) -> None:
    """Raise UnmergeableError when a list in `value` lacks the keys by which its items are told apart, or repeats them.

    What is stored may be so all the same (another client wrote it); such a list is taken as atomic.
    """
    if isinstance(value, dict):
        for name, item in value.items():
            check_mergeable(_field_schema(schema, name)[0], item, (*path, FIELD + name))
    elif isinstance(value, list):
        items = schema.get("items") or _ANY
        kind = schema.get("x-kubernetes-list-type")
        seen: set[str] = set()
        for number, item in enumerate(value):
            element = value_element(item) if kind == "set" else f"{INDEX}{number}"
            if kind == "map":
                found = _item_element(schema, item)
                if found is None:
                    keys = ", ".join(f'"{key}"' for key in _missing_keys(schema, item))
                    raise UnmergeableError(
                        f"{path_text(path)}: element {number}: associative list with keys has an element that omits "
                        f"key field {keys} (and doesn't have default value)"
                    )
                element = found
            if element in seen:
                raise UnmergeableError(f"{path_text(path)}: duplicate entries for key {path_text((element,))}")
            seen.add(element)
            check_mergeable(items, item, (*path, element))


def _parts(schema: Schema, value: Any) -> dict[str, _Part] | None:
    """Return the parts of `value` by their elements; None for what is written as a whole."""
    if isinstance(value, dict):
        if schema.get("x-kubernetes-map-type") == "atomic":
            return None
        named: Schema = schema.get("properties") or _ANY
        additional = schema.get("additionalProperties")
        others: Schema = additional if isinstance(additional, dict) else _ANY
        return {
            FIELD + name: _Part(item, named[name], True) if name in named else _Part(item, others, False)
            for name, item in value.items()
        }
    return _items(schema, value) if isinstance(value, list) else None


def _items(schema: Schema, value: list[Any]) -> dict[str, _Part] | None:
    items = schema.get("items") or _ANY
    found: dict[str, _Part] = {}
    match schema.get("x-kubernetes-list-type"):
        case "map":
            for item in value:
                element = _item_element(schema, item)
                if element is None or element in found:
                    return None
                found[element] = _Part(item, items, False)
        case "set":
            found = {value_element(item): _Part(item, items, False) for item in value}
        case _:
            return None
    return found if len(found) == len(value) else None


def _field_schema(schema: Schema, name: str) -> tuple[Schema, bool]:
    properties: Schema = schema.get("properties") or _ANY
    if name in properties:
        return properties[name], True
    additional = schema.get("additionalProperties")
    return (additional if isinstance(additional, dict) else _ANY), False


def _item_element(schema: Schema, item: Any) -> str | None:
    """Return the element of an item of a list of maps; None when it lacks a key."""
    if not isinstance(item, dict):
        return None
    keys = {key: item.get(key) for key in schema.get("x-kubernetes-list-map-keys") or ()}
    for key, value in keys.items():
        if value is None:
            keys[key] = value = _key_default(schema, key)
        if value is None:
            return None
    return keys_element(keys)


def _missing_keys(schema: Schema, item: Any) -> list[str]:
    keys: list[str] = schema.get("x-kubernetes-list-map-keys") or []
    present = item if isinstance(item, dict) else {}
    return [key for key in keys if present.get(key, _key_default(schema, key)) is None]


def _key_default(schema: Schema, key: str) -> Any:
    properties = (schema.get("items") or _ANY).get("properties") or _ANY
    return (properties.get(key) or _ANY).get("default")
