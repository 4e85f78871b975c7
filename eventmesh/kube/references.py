"""From what a reference says of a kind (`apiVersion`, `kind`) to the resource behind it."""

from __future__ import annotations

from eventmesh.base.errors import ConfigError
from eventmesh.kube.api import Object, Resource


def parse_resource(reference: Object, path: str) -> Resource:
    """Return the resource of a kind; raises ConfigError with the path of the field at fault.

    Its plural is guessed, as Knative does: a reference names no plural.
    """
    api_version, kind = reference.get("apiVersion") or "", (reference.get("kind") or "").strip()
    group, slash, version = api_version.rpartition("/")
    if not version or "/" in group or (slash and not group):
        raise ConfigError(f"{path}.apiVersion", f"{api_version!r} is no group and version")
    if not kind:
        raise ConfigError(f"{path}.kind", "missing field(s)")
    return Resource(group, version, plural_of(kind), kind)


def plural_of(kind: str) -> str:
    """Return the plural of a kind as Kubernetes guesses it (k8s.io/apimachinery: meta.UnsafeGuessKindToResource)."""
    word = kind.lower()
    if word == "endpoints":
        return word
    if word.endswith("s"):
        return f"{word}es"
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
