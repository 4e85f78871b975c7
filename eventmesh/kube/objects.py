"""Reading and building the parts that all Kubernetes objects share: keys, owners, labels."""

from __future__ import annotations

from typing import Any, NamedTuple

from eventmesh.kube.api import Object, Resource


class Key(NamedTuple):
    """Which object of a kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Object) -> Key:
    """Return the key of `obj`."""
    metadata = obj["metadata"]
    return Key(metadata.get("namespace") or "", metadata["name"])


def labels_of(obj: Object) -> dict[str, str]:
    """Return the labels, to read; empty when there are none."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """Return the annotations, to read; empty when there are none."""
    return obj["metadata"].get("annotations") or {}


def is_deleting(obj: Object) -> bool:
    """Return whether the object is on its way out and waits for its finalizers."""
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: Object) -> Object | None:
    """Return the owner reference marked `controller: true`, or None."""
    owners: list[Object] = obj["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Return whether this very incarnation of `owner` controls `obj`."""
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == owner["metadata"].get("uid")


def owner_reference(resource: Resource, owner: Object, *, block_owner_deletion: bool = True) -> dict[str, Any]:
    """Return the reference that makes `owner` the controller of a dependent."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": block_owner_deletion,
    }
