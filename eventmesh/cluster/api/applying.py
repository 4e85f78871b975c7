"""The verb apply: an object that says some fields, and owns them from then on (`application/apply-patch+yaml`)."""

from __future__ import annotations

import json
from typing import Any

from eventmesh.cluster.api import errors, metadata
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.errors import Cause, CauseType
from eventmesh.cluster.api.fieldset import FieldSet, common, field_set, minus, path_text, union
from eventmesh.cluster.api.manifests import LAST_APPLIED
from eventmesh.cluster.api.merging import UnmergeableError, check_mergeable, difference, fields_of
from eventmesh.cluster.api.ownership import (
    ApplyConflictError,
    Manager,
    Operation,
    Write,
    applied,
    claimed,
    decode,
)
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.api.structural import clone, clone_object, depth_exceeds, drop_unknown
from eventmesh.cluster.api.tracking import object_schema, writer
from eventmesh.cluster.api.writing import WriteOptions, Written
from eventmesh.cluster.store.store import Key
from eventmesh.kube.api import ApiError, Object
from eventmesh.kube.objects import annotations_of

KUBECTL = "kubectl"
"""The manager of `kubectl apply --server-side`; what kubectl applied before it is told by an annotation."""
_MAY_BE_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences")
_IDENTITY = ("apiVersion", "kind", "metadata")


def apply(
    registry: Registry,
    served: Served,
    config: Object,
    name: str,
    namespace: str,
    options: WriteOptions,
    *,
    status: bool = False,
) -> tuple[Written, bool]:
    """Apply `config` (or, with `status`, its status alone) to the object `name`; return whether that created it.

    Raises ApiError: 409 with the conflicting fields and their managers unless `options.force`, 400 for an object
    that cannot be merged, 422 when the writer gives no name to own by.
    """
    if not options.manager:
        cause = Cause(CauseType.REQUIRED, "fieldManager", "is required for apply patch")
        raise errors.invalid_options("PatchOptions", cause)
    is_named = bool((config.get("metadata") or {}).get("name"))
    config = _checked(served, config, name, namespace)
    if served.view is not None:
        _require_mergeable(served, config, name, namespace)
        if not is_named:
            del config["metadata"]["name"]
        # Fields are owned under the names of what is stored: one that two versions spell differently has one owner.
        hub = registry.stored_kind(served)
        written, is_new = apply(registry, hub, served.view.stored(config), name, namespace, options, status=status)
        return Written(served.view.shown(written.object), written.warnings), is_new
    stored = registry.store.get(Key(served.kind_key, namespace, name))
    if stored is None and status:
        raise errors.not_found(served.resource, name)
    _require_mergeable(served, config, name, namespace)
    _keep_own_part(served, config, status=status)
    write = writer(served, options.manager, Operation.APPLY, "status" if status else "", registry.now())
    if stored is None:
        if not is_named:
            raise errors.nameless(name)
        _require_no_precondition(served, config, name)
        _, owners = applied(write, {}, {}, config, force=True)
        return registry.create(served, clone(config), namespace, options, owners), True
    live = registry.get(served, name, namespace)
    owners = decode(claimed(live, live))
    version = config["metadata"].pop("resourceVersion", None)
    try:
        merged, owners = applied(write, owners, live, config, force=options.force)
    except ApplyConflictError as error:
        conflicts = _serious(write, live, error)
        if conflicts:
            named = [(manager.label, path_text(path)) for manager, path in conflicts]
            raise errors.apply_conflict(named) from None
        merged, owners = applied(write, owners, live, config, force=True)
    obj = clone_object(merged)
    if version:
        obj["metadata"]["resourceVersion"] = version
    return registry.update(served, obj, name, namespace, options, status=status, owners=owners), False


def _serious(write: Write, live: Object, error: ApplyConflictError) -> list[tuple[Manager, tuple[str, ...]]]:
    """Return the conflicts that stand between the applier and its object.

    Who moves from `kubectl apply` to `kubectl apply --server-side` meets itself: what it last applied, and nobody
    has changed since, is its own.
    """
    if write.manager.name != KUBECTL:
        return list(error.conflicts)
    own: FieldSet = _last_applied(write, live) if LAST_APPLIED in annotations_of(live) else {}
    return [(manager, path) for manager, path in error.conflicts if not common(field_set(path), own)]


def _last_applied(write: Write, live: Object) -> FieldSet:
    """Return the fields that client-side apply last set, as far as they are still so."""
    try:
        last = json.loads(annotations_of(live)[LAST_APPLIED])
    except (ValueError, RecursionError):
        return {}
    if not isinstance(last, dict) or depth_exceeds(last):
        return {}
    change = difference(write.schema, last, live)
    return minus(fields_of(write.schema, last), union(change.written, change.removed))


def _checked(served: Served, config: Object, name: str, namespace: str) -> Object:
    """Return a copy of `config`, its identity checked; of a built-in kind without what is not said (null)."""
    if config.get("metadata") is not None and not isinstance(config["metadata"], dict):
        raise errors.bad_request("metadata must be an object")
    if (config.get("metadata") or {}).get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    for field in ("apiVersion", "kind"):
        if not config.get(field):
            raise errors.bad_request(f"{field} must be set in the applied object")
    # What has no schema of its own in Go is a value as any other, null too.
    said: Object = clone(config) if served.is_custom else _without_nulls(config)
    given = said.get("metadata") or {}
    empty = {field: given[field] for field in _MAY_BE_EMPTY if given.get(field) in ({}, [])}
    metadata.check_shape(served, said)
    said["metadata"] |= empty  # none of it is stored, but it is said, and so owned
    metadata.check_address(served, said, name, namespace)
    return said


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {name: _without_nulls(item) for name, item in value.items() if item is not None}
        case list():
            return [_without_nulls(item) for item in value]
        case _:
            return value


def _keep_own_part(served: Served, config: Object, *, status: bool) -> None:
    """Drop what the addressed part of the object does not take: its status, or everything else."""
    if status:
        meta = config["metadata"]
        config["metadata"] = {key: meta[key] for key in ("name", "namespace", "resourceVersion", "uid") if key in meta}
        for field in [field for field in config if field not in (*_IDENTITY, "status")]:
            del config[field]
    elif served.has_status:
        config.pop("status", None)


def _require_mergeable(served: Served, config: Object, name: str, namespace: str) -> None:
    resource = served.resource
    where = f"{namespace}/{name}; {resource.api_version}, Kind={resource.kind}"
    unknown = drop_unknown(served.schema, config) if served.schema is not None else []
    if unknown:
        problem = f".{unknown[0]}: field not declared in schema"
        raise errors.bad_request(f"failed to create typed patch object ({where}): {problem}")
    try:
        check_mergeable(object_schema(served.schema), config)
    except UnmergeableError as error:
        raise errors.bad_request(f"failed to create typed patch object ({where}): {error}") from None


def _require_no_precondition(served: Served, config: Object, name: str) -> None:
    meta = config["metadata"]
    uid = meta.get("uid")
    if uid:
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise errors.conflict(served.resource, name, why)
    if meta.get("resourceVersion"):
        raise _gone(served, name)


def _gone(served: Served, name: str) -> ApiError:
    return errors.conflict(served.resource, name, "the object to apply to, of that resourceVersion, does not exist")
