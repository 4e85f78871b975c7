"""What a change of objects would push, before anybody makes it: the difference between two builds of the same view.

Whatever is not an object that control reads (a Knative Service, say) changes nothing by itself: its controllers derive
such objects from it, and it is named, so that nobody takes silence for an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration

from eventmesh.base.errors import UsageError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.objects import key_of
from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.builder import ResourceBuilder, ResourceSets
from eventmesh.xds.control.policy.attaching import attached
from eventmesh.xds.control.readers import reader_of
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import PUSH_ORDER, ResourceType

MAX_OBJECTS = 1_000
"""Objects of one preview: more are a deployment, and it is told as one line."""


@frozen
class Change:
    """One resource that clients of an audience would be sent."""

    audience: Audience
    type: ResourceType
    name: str
    what: str
    """`added`, `changed` or `removed`."""
    bytes: int
    details: tuple[str, ...] = ()
    """Of a route table: its virtual hosts that differ, each with + - or ~ before it."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it is told over HTTP."""
        return {
            "role": self.audience.role.value,
            "namespace": self.audience.namespace,
            "type": self.type.short,
            "name": self.name,
            "change": self.what,
            "bytes": self.bytes,
            "details": list(self.details),
        }


@frozen
class Preview:
    """The outcome of a preview."""

    changes: tuple[Change, ...]
    unread: tuple[str, ...]
    """Objects that control does not read, as KIND/NAME."""
    invalid: tuple[str, ...]
    """Objects that could not be routed, with the reason."""


def preview(
    present: Watcher,
    settings: Settings,
    objects: Sequence[Object],
    audiences: Iterable[Audience],
) -> Preview:
    """Return what `audiences` would be sent if `objects` were as given.

    Raises UsageError when there are too many.
    """
    if len(objects) > MAX_OBJECTS:
        raise UsageError(f"{len(objects)} objects are more than {MAX_OBJECTS}; look at them in parts")
    future = present.copy()
    unread = []
    for obj in objects:
        take = reader_of(obj)
        if take is None:
            unread.append(f"{obj['kind']}/{obj['metadata']['name']}")
        else:
            take(future, None, obj)
    before, after = _built(present, settings), _built(future, settings)
    changes = [
        change
        for audience in sorted(set(audiences), key=lambda a: (a.role.value, a.namespace))
        for change in _differences(audience, before.sets(audience), after.sets(audience))
    ]
    problems = {key_of(obj): _problem(future, obj) for obj in objects}
    invalid = [f"{key}: {problem}" for key, problem in problems.items() if problem]
    return Preview(tuple(changes), tuple(unread), tuple(invalid))


def _problem(watcher: Watcher, obj: Object) -> str | None:
    key = key_of(obj)
    of_route = watcher.gateway_api.invalid.get((obj["kind"], key))
    of_interface = watcher.invalid_interfaces.get(key) or watcher.invalid_declarations.get(key)
    invalid_access = (watcher.invalid_access, watcher.invalid_tokens, watcher.invalid_filters)
    of_access = next((found[key] for found in invalid_access if key in found), None)
    of_policy = watcher.invalid_policies.get(key) or watcher.invalid_settings.get(key)
    return of_route or watcher.invalid.get(key) or of_policy or of_interface or of_access


def _built(watcher: Watcher, settings: Settings) -> ResourceBuilder:
    builder = ResourceBuilder(settings, watcher.gateway_api.current)
    builder.trace(watcher.tracing)
    builder.update(lambda namespace: attached(watcher.of(namespace)), watcher.everything())
    return builder


def _differences(audience: Audience, before: ResourceSets, after: ResourceSets) -> Iterable[Change]:
    for type_ in PUSH_ORDER:
        if type_ is ResourceType.EXTENSION:
            continue  # The filters of the listener `inbound`, once more.
        old, new = before.get(type_, {}), after.get(type_, {})
        for name in sorted(_named(old, new)):
            was, is_ = old.get(name), new.get(name)
            if was == is_:
                continue
            what = "added" if was is None else "removed" if is_ is None else "changed"
            details = _hosts(was, is_) if type_ is ResourceType.ROUTE else ()
            yield Change(audience, type_, name, what, len(is_.body) if is_ is not None else 0, details)


def _named(old: Mapping[str, Resource], new: Mapping[str, Resource]) -> Iterable[str]:
    if isinstance(new, Answering) and type(old) is type(new):
        return new.differing(old)
    return old.keys() | new.keys()


def _hosts(was: Resource | None, is_: Resource | None) -> tuple[str, ...]:
    old, new = _by_name(was), _by_name(is_)
    marks = ((name, "+" if name not in old else "-" if name not in new else "~") for name in sorted(old | new))
    return tuple(f"{mark} {name}" for name, mark in marks if old.get(name) != new.get(name))


def _by_name(table: Resource | None) -> dict[str, bytes]:
    if table is None:
        return {}
    return {host.name: bytes(host) for host in RouteConfiguration.parse(table.body).virtual_hosts}
