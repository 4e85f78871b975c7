"""Reading an ApiServerSource: which objects it watches, and what it says of them. Shared by who admits and who runs."""

from __future__ import annotations

import json
from dataclasses import field
from enum import Enum
from typing import Final
from uuid import UUID, uuid5

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import EventType, Object, Resource
from eventmesh.kube.objects import controller_of
from eventmesh.kube.references import parse_resource
from eventmesh.kube.selectors import LabelSelector

SOURCE: Final = "https://kubernetes.default.svc.cluster.local"
"""The `source` of all these events: the API under the name it has inside any cluster, whatever its port here."""

WATCHED_ANNOTATION: Final = "eventmesh.io/watched-generation"
"""In `status.annotations`: the generation of which the activator watches everything. Ready waits for it."""

MAX_RESOURCES: Final = 64
"""Most kinds of one source: each is a watch, held open for as long as the source is there."""

NO_OBJECT: Final = "metadata.name=none.eventmesh.io"
"""A field selector that asks for the version of a kind, or whether it is served, without any of its objects."""

_VERBS = {EventType.ADDED: "add", EventType.MODIFIED: "update", EventType.DELETED: "delete"}


class Mode(Enum):
    """How much of an object an event carries."""

    REFERENCE = "Reference"
    RESOURCE = "Resource"

    def types(self) -> list[str]:
        """Return the types of the events of this mode."""
        return [self.type_of(verb) for verb in _VERBS.values()]

    def type_of(self, verb: str) -> str:
        """Return the `type` of an event: `dev.knative.apiserver.ref.add`."""
        return f"dev.knative.apiserver.{'ref' if self is Mode.REFERENCE else 'resource'}.{verb}"


@frozen
class Watched:
    """One kind, and which of its objects."""

    resource: Resource
    labels: str = ""
    """A label selector as it stands in a URL."""


@frozen
class ApiServerWatch:
    """An ApiServerSource, compiled. Two are equal when they say the same of the same objects."""

    uid: str
    namespace: str
    name: str
    generation: int = field(compare=False)
    mode: Mode
    watched: tuple[Watched, ...]
    owner: tuple[str, str] | None
    """apiVersion and kind (either may be empty) of the controller that objects must have."""
    namespaces: frozenset[str] | None
    """None: all."""
    extensions: tuple[tuple[str, str], ...]

    def wants(self, obj: Object) -> bool:
        """Return whether the source speaks of this object; objects outside all namespaces are always wanted."""
        namespace = obj["metadata"].get("namespace")
        if namespace and self.namespaces is not None and namespace not in self.namespaces:
            return False
        if self.owner is None:
            return True
        controller = controller_of(obj) or {}
        pairs = zip(self.owner, (controller.get("apiVersion"), controller.get("kind")), strict=True)
        return bool(controller) and all(not wanted or wanted == had for wanted, had in pairs)

    def message(self, what: EventType, watched: Watched, obj: Object) -> tuple[dict[str, str], bytes]:
        """Return attributes and data of the event of one change; the same change has the same `id`, whoever saw it."""
        metadata, verb = obj["metadata"], _VERBS[what]
        api_version, kind = watched.resource.api_version, watched.resource.kind
        namespace = metadata.get("namespace") or ""
        path = f"/apis/{api_version}/namespaces/{namespace}/{watched.resource.plural}/{metadata['name']}"
        change = f"{metadata.get('uid')}/{metadata.get('resourceVersion')}/{verb}"
        attributes = {
            "type": self.mode.type_of(verb),
            "source": SOURCE,
            "subject": path,
            "kind": kind,
            "apiversion": api_version,
            "name": metadata["name"],
            "datacontenttype": "application/json",
        }
        if namespace:
            attributes["namespace"] = namespace
        attributes |= dict(self.extensions)
        attributes |= {"id": str(uuid5(UUID(self.uid), change)), "specversion": "1.0"}
        body = obj if self.mode is Mode.RESOURCE else _reference(api_version, kind, namespace, metadata["name"])
        return attributes, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _reference(api_version: str, kind: str, namespace: str, name: str) -> Object:
    reference = {"kind": kind, "name": name, "apiVersion": api_version}
    return {**reference, "namespace": namespace} if namespace else reference


def parse_api_server_source(obj: Object) -> ApiServerWatch:
    """Return what an ApiServerSource says; raises ConfigError with the path of the field at fault, below `spec`.

    The namespaces are those that its controller has chosen (`status.namespaces`).
    """
    metadata, spec = obj["metadata"], obj["spec"]
    owner, selector = spec.get("owner"), spec.get("namespaceSelector")
    everywhere = selector is not None and not (selector.get("matchLabels") or selector.get("matchExpressions"))
    chosen = (obj.get("status") or {}).get("namespaces")
    extensions = (spec.get("ceOverrides") or {}).get("extensions") or {}
    if owner:
        parse_resource(owner, "owner")
    return ApiServerWatch(
        uid=metadata["uid"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        generation=metadata.get("generation") or 0,
        mode=_mode(spec.get("mode") or Mode.REFERENCE.value),
        watched=_watched(spec.get("resources") or []),
        owner=(owner.get("apiVersion") or "", owner.get("kind") or "") if owner else None,
        namespaces=None if everywhere else frozenset(chosen or ()),
        extensions=tuple(sorted((str(name), str(value)) for name, value in extensions.items())),
    )


def selected_namespaces(spec: Object, own: str, all_namespaces: list[Object]) -> list[str]:
    """Return the namespaces that a source watches: its own, or those that its selector matches, sorted."""
    selector = spec.get("namespaceSelector")
    if selector is None:
        return [own]
    matcher = _selector(selector, "namespaceSelector")
    return sorted(n["metadata"]["name"] for n in all_namespaces if matcher.matches(n["metadata"].get("labels")))


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError as error:
        raise ConfigError("mode", f"{text}: use Reference or Resource") from error


def _watched(resources: list[Object]) -> tuple[Watched, ...]:
    if not resources:
        raise ConfigError("resources", "missing field(s)")
    if len(resources) > MAX_RESOURCES:
        raise ConfigError("resources", f"has {len(resources)} entries, more than {MAX_RESOURCES}")
    found = []
    for number, entry in enumerate(resources):
        path = f"resources[{number}]"
        selector = _selector(entry.get("selector"), f"{path}.selector")
        found.append(Watched(parse_resource(entry, path), str(selector)))
    return tuple(dict.fromkeys(found))


def _selector(selector: Object | None, path: str) -> LabelSelector:
    try:
        return LabelSelector.of(selector)
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(path, f"cannot be read: {error}") from error
