"""What the keeping of `managedFields` needs to know of a kind and of a writer."""

from __future__ import annotations

from eventmesh.cluster.api.builtin.types import structural_schema
from eventmesh.cluster.api.catalog import Served
from eventmesh.cluster.api.fieldset import field_set
from eventmesh.cluster.api.ownership import Manager, Operation, Owners, Write, claimed, decode, encode, updated
from eventmesh.cluster.api.structural import Schema
from eventmesh.kube.api import Object

_STATUS = field_set(("f:status",))


def object_schema(schema: Schema | None) -> Schema:
    """Return the schema of a whole object of a kind: of its metadata, too, which kinds leave to the server."""
    own: Schema = schema or {}
    text = {"type": "string"}
    everywhere = {"apiVersion": text, "kind": text, "metadata": structural_schema("meta.ObjectMeta")}
    return {**own, "properties": {**(own.get("properties") or {}), **everywhere}}


def writer(served: Served, manager: str, operation: Operation, subresource: str, now: str) -> Write:
    """Return who writes what when; `subresource` is empty for the object itself."""
    reserved = _STATUS if served.has_status and subresource != "status" else {}
    identity = Manager(manager, operation, served.resource.api_version, subresource)
    return Write(object_schema(served.schema), identity, now, reserved)


def record(write: Write, obj: Object, live: Object | None) -> None:
    """Note in `obj` who owns what once `write` has made it of `live` (None = created)."""
    owners = decode(claimed(obj, live))
    # An object that nobody keeps account of stays so until somebody applies to it, as in Kubernetes.
    if owners or live is None:
        owners = updated(write, owners, live, obj)
    set_owners(obj, owners)


def set_owners(obj: Object, owners: Owners) -> None:
    """Write `owners` into the metadata of `obj`."""
    if owners:
        obj["metadata"]["managedFields"] = encode(owners)
    else:
        obj["metadata"].pop("managedFields", None)
