"""Who owns which field of an object: `metadata.managedFields`, kept on every write, and server-side apply by it.

The rules are those of `structured-merge-diff/merge` and `apimachinery/pkg/util/managedfields`. Pure: objects and
owners in, objects and owners out; what is stored and when is the registry's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import reduce
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.api.fieldset import FieldSet, checked, common, field_set, minus, outside, paths, union
from eventmesh.cluster.api.merging import Difference, difference, fields_of, merge, with_named_fields, without
from eventmesh.cluster.api.structural import Schema
from eventmesh.kube.api import Object

MAX_UPDATERS = 10
"""Managers that update (not apply) and are told apart; Kubernetes' own number. Older ones are put together as one,
so that an object with many clients does not grow with each."""
ANCIENT = "ancient-changes"
"""Who has the fields of updaters beyond MAX_UPDATERS."""
BEFORE_FIRST_APPLY = "before-first-apply"
"""Who has the fields of an object that was stored before anybody kept account."""
_UNOWNED = field_set(
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "creationTimestamp",
            "generation",
            "managedFields",
            "name",
            "namespace",
            "resourceVersion",
            "selfLink",
            "uid",
        )
    ),
)
"""Fields that name the object or are the server's: nobody's to own."""


class Operation(Enum):
    """How a manager came by its fields."""

    APPLY = "Apply"
    UPDATE = "Update"


@frozen
class Manager:
    """One owner; an applier is the same in every version of the kind."""

    name: str
    operation: Operation
    api_version: str
    subresource: str = ""

    @property
    def label(self) -> str:
        """Return the manager as conflicts name it."""
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return text if self.operation is Operation.APPLY else f"{text} using {self.api_version}"


@frozen
class Owned:
    """The fields of one manager, and when it last changed one (RFC 3339)."""

    fields: FieldSet
    time: str = ""


Owners = Mapping[Manager, Owned]


class ApplyConflictError(Exception):
    """The applied object gives another value to fields that others own: `conflicts` has (manager, path) of each."""

    def __init__(self, conflicts: Sequence[tuple[Manager, tuple[str, ...]]]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


@frozen
class Write:
    """Who writes to an object, of which schema, and when."""

    schema: Schema
    manager: Manager
    now: str
    reserved: FieldSet
    """Fields that this kind of write does not set, and so cannot own."""


def decode(managed_fields: Any) -> Owners:
    """Return the owners in a value of `managedFields`; raises ConfigError for one that cannot be read."""
    if not isinstance(managed_fields, list):
        raise ConfigError("metadata.managedFields", "must be a list")
    return dict(_decode_entry(entry) for entry in managed_fields)


def _decode_entry(entry: Any) -> tuple[Manager, Owned]:
    if not isinstance(entry, dict) or entry.get("fieldsType") != "FieldsV1":
        raise ConfigError("metadata.managedFields", "every entry must be an object of fieldsType FieldsV1")
    names = [entry.get(name, "") for name in ("manager", "apiVersion", "subresource", "time")]
    if not all(isinstance(name, str) for name in names):
        raise ConfigError("metadata.managedFields", "manager, apiVersion, subresource and time must be strings")
    manager, api_version, subresource, time = names
    try:
        operation = Operation(entry.get("operation"))
    except ValueError:
        raise ConfigError("metadata.managedFields", "operation must be Apply or Update") from None
    return Manager(manager, operation, api_version, subresource), Owned(entry.get("fieldsV1") or {}, time)


def encode(owners: Owners) -> list[Object]:
    """Return the value of `managedFields`: appliers first, then by time and name."""
    ordered = sorted(owners.items(), key=lambda item: (item[0].operation.value, item[1].time, item[0].name))
    return [_encode_entry(manager, owned) for manager, owned in ordered]


def _encode_entry(manager: Manager, owned: Owned) -> Object:
    entry: Object = {
        "manager": manager.name,
        "operation": manager.operation.value,
        "apiVersion": manager.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.fields,
    }
    if owned.time:
        entry["time"] = owned.time
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def claimed(obj: Object, live: Object | None) -> list[Object]:
    """Return the managedFields that a write begins from: those it sends, else those of the live object.

    A list of one empty entry is how a client resets them; what cannot be read comes from a client that does not
    know them, and must not lose them.
    """
    sent = obj["metadata"].get("managedFields")
    kept: list[Object] = [] if live is None else live["metadata"].get("managedFields") or []
    if not sent or sent == kept:
        return kept
    if sent == [{}]:
        return []
    try:
        owners = decode(sent)
        for owned in owners.values():
            checked(owned.fields)
        return encode(owners)
    except ConfigError:
        return kept


def updated(write: Write, owners: Owners, live: Object | None, obj: Object) -> Owners:
    """Return the owners after an ordinary write has made `obj` of `live` (None = created).

    The writer gets what it changed, everybody loses what it changed or removed.
    """
    change = difference(write.schema, live or {}, obj)
    if not change:
        return owners
    after = _after(owners, write.manager, change)
    known: FieldSet = owners[write.manager].fields if write.manager in owners else {}
    written = outside(minus(change.written, _UNOWNED), write.reserved)
    mine = union(minus(known, change.removed), written)
    if mine:
        after[write.manager] = Owned(mine, write.now if written else owners[write.manager].time)
    return _bounded(after)


def _after(owners: Owners, writer: Manager, change: Difference) -> dict[Manager, Owned]:
    """Return what the others have left."""
    gone = union(change.written, change.removed)
    left = {other: replace(owned, fields=minus(owned.fields, gone)) for other, owned in owners.items()}
    left.pop(writer, None)
    return {other: owned for other, owned in left.items() if owned.fields}


def _bounded(owners: dict[Manager, Owned]) -> Owners:
    updaters = sorted(
        (manager for manager in owners if manager.operation is Operation.UPDATE),
        key=lambda manager: (owners[manager].time, manager.name),
    )
    if len(updaters) <= MAX_UPDATERS:
        return owners
    excess = updaters[: len(updaters) - MAX_UPDATERS + 1]
    bounded = {manager: owned for manager, owned in owners.items() if manager not in excess}
    for version in {manager.api_version for manager in excess}:
        old = [owners[manager] for manager in excess if manager.api_version == version]
        together = Manager(ANCIENT, Operation.UPDATE, version)
        known = [bounded[together]] if together in bounded else []
        bounded[together] = Owned(reduce(union, (owned.fields for owned in known + old)), old[-1].time)
    return bounded


def applied(write: Write, owners: Owners, live: Object, config: Object, *, force: bool) -> tuple[Object, Owners]:
    """Return the object and its owners after `write.manager` has applied `config` to `live`.

    The applier owns exactly what it applies; what it applied before, no longer applies, and nobody else owns, goes.
    Raises ApplyConflictError when the value of a field that another owns would change; with `force` the field
    changes hands.
    """
    if not owners and live:
        first = Manager(BEFORE_FIRST_APPLY, Operation.UPDATE, write.manager.api_version)
        owners = updated(replace(write, manager=first), owners, None, live)
    former = next((manager for manager in owners if _is_same_applier(manager, write.manager)), None)
    last: FieldSet = owners[former].fields if former is not None else {}
    others = {manager: owned for manager, owned in owners.items() if manager != former}
    mine = fields_of(write.schema, config)
    merged = merge(write.schema, live, config)
    given_up = _given_up(write.schema, last, others, mine)
    # A map of which everything is given up is still its owner's, though none is left.
    change = difference(write.schema, live, without(write.schema, merged, given_up, keep_emptied=True) or {})
    if not force:
        _require_no_conflict(others, change)
    after = _after(others, write.manager, change)
    # The time is that of the last change of the object: who applies what is so already has made none.
    unchanged_since = owners[former].time if former is not None else ""
    owned = Owned(outside(minus(mine, _UNOWNED), write.reserved), write.now if change else unchanged_since)
    if owned.fields:
        after[write.manager] = owned
    return without(write.schema, merged, given_up) or {}, _bounded(after)


def _is_same_applier(manager: Manager, applier: Manager) -> bool:
    return (manager.name, manager.operation, manager.subresource) == (
        applier.name,
        applier.operation,
        applier.subresource,
    )


def _given_up(schema: Schema, last: FieldSet, others: Owners, mine: FieldSet) -> FieldSet:
    """Return what only the applier owned and no longer applies."""
    if not last:
        return {}
    owned = reduce(union, (other.fields for other in others.values()), mine)
    return minus(with_named_fields(schema, last), with_named_fields(schema, owned))


def _require_no_conflict(others: Owners, change: Difference) -> None:
    conflicts = [
        (manager, path)
        for manager in sorted(others, key=lambda manager: manager.label)
        for path in paths(common(others[manager].fields, change.written))
    ]
    if conflicts:
        raise ApplyConflictError(conflicts)
