"""Objects in YAML files, as people keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eventmesh.base.errors import ConfigError
from eventmesh.base.yaml_file import parse_documents
from eventmesh.kube.api import Object


def read_manifests(path: Path) -> list[Object]:
    """Return the objects of the YAML file `path`, or of all below the directory `path`.

    Each has an apiVersion, a kind and a name; raises ConfigError, with file and line, for one that has not.
    """
    files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    return [
        _checked(f"{file}:{line}", found) for file in files for line, found in parse_documents(_read(file), str(file))
    ]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(str(file), f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), f"is not UTF-8: {error.reason} at byte {error.start}") from None


def _checked(where: str, document: Any) -> Object:
    if not isinstance(document, dict):
        raise ConfigError(where, "is no object: one has apiVersion, kind and metadata")
    for field in ("apiVersion", "kind"):
        if not isinstance(document.get(field), str):
            raise ConfigError(where, f"has no {field}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise ConfigError(where, f"this {document['kind']} has no metadata.name")
    return document
