"""Objects in YAML files, as people keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from eventmesh.base.errors import ConfigError
from eventmesh.kube.api import Object


def read_manifests(path: Path) -> list[Object]:
    """Return the objects of the YAML file `path`, or of all below the directory `path`; raises ConfigError."""
    files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    objects: list[Object] = []
    for file in files:
        try:
            documents = list(yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader))  # noqa: S506  # is a safe loader
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(str(file), f"cannot be read: {error}") from error
        for document in documents:
            if document is not None:
                objects.append(_checked(file, document))
    return objects


def _checked(file: Path, document: Any) -> Object:
    if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
        raise ConfigError(str(file), "holds a document without apiVersion and kind")
    return document
