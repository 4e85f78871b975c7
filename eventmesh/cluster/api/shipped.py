"""Installing the manifests that come with eventmesh. A receipt beside the store spares a start that has nothing to do.

Reading and comparing them all took a quarter of what a mesh process needs after its imports, each time it was started
again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import eventmesh
from eventmesh.cluster.api.manifests import apply_absent, apply_objects, key_of
from eventmesh.cluster.api.registry import Registry
from eventmesh.cluster.store.store import Key, Store
from eventmesh.kube.api import Object
from eventmesh.kube.manifests import read_manifests

SHIPPED: Final = Path(eventmesh.__file__).parent.parent / "knative"
"""The manifests that come with eventmesh: beside the package, in a checkout as in an installation."""

FIRST_MANIFESTS: Final = ("namespaces.yaml", "crds", "mesh", "serving", "eventing")
"""What of them a local cluster starts with."""

RECEIPT: Final = "shipped.json"
"""The file, beside the objects, that says what was installed. It is no state: without it all is looked at again."""

_DEFINITION: Final = "CustomResourceDefinition"
_ANY: Final = 0
"""In a receipt: whatever has become of the object, as long as it is there."""


def install_shipped(registry: Registry, directory: Path = SHIPPED) -> bool:
    """Bring the shipped CRDs up to date, and create what else is shipped and absent; return whether it had to be read.

    What the user may have changed since (a ConfigMap, a namespace) stays as it is.
    """
    paths = [path for name in FIRST_MANIFESTS if (path := directory / name).exists()]
    edition = _edition(paths)
    receipt = registry.store.directory / RECEIPT
    if _holds(receipt, edition, registry.store):
        return False
    objects = [obj for path in paths for obj in read_manifests(path)]
    apply_objects(registry, [obj for obj in objects if obj["kind"] == _DEFINITION])
    apply_absent(registry, objects)
    _write(receipt, edition, registry, objects)
    return True


def _edition(paths: Iterable[Path]) -> str:
    """Return a digest of the files, and of who installs them."""
    digest = hashlib.sha256(eventmesh.__version__.encode())
    for path in paths:
        for file in sorted(path.rglob("*.yaml")) if path.is_dir() else [path]:
            content = file.read_bytes()
            digest.update(f"\0{file.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _holds(receipt: Path, edition: str, store: Store) -> bool:
    """Return whether these files were installed, every object is there still, and each definition as it was left."""
    try:
        said = json.loads(receipt.read_bytes())
        left = [
            (store.get(Key(kind, namespace, name)), revision) for kind, namespace, name, revision in said["objects"]
        ]
        is_this = said["edition"] == edition
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return is_this and all(stored is not None and revision in (_ANY, stored.revision) for stored, revision in left)


def _write(receipt: Path, edition: str, registry: Registry, objects: list[Object]) -> None:
    installed = []
    for obj in objects:
        key = key_of(registry, obj)
        stored = None if key is None else registry.store.get(key)
        if key is None or stored is None:
            return
        installed.append([*key, stored.revision if obj["kind"] == _DEFINITION else _ANY])
    partial = receipt.with_suffix(".new")
    partial.write_text(json.dumps({"edition": edition, "objects": installed}))
    os.replace(partial, receipt)
