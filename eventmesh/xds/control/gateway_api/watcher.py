"""Keeps the world of Gateway API objects true while they change, and says why an object is not understood."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key, is_deleting, key_of, labels_of
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.gateway_api.reading import is_own_class, parse_gateway, parse_grant
from eventmesh.xds.control.gateway_api.rules import parse_route
from eventmesh.xds.control.gateway_api.values import RouteId, RouteKind, World

K = TypeVar("K")
V = TypeVar("V")


class GatewayApiWatcher:
    """The current world. Each method takes (old, new) as informers tell it."""

    def __init__(self) -> None:
        self.world = World()
        self.invalid: dict[RouteId, str] = {}
        """Routes that cannot be obeyed, and why."""

    def copy(self) -> GatewayApiWatcher:
        """Return an independent watcher of the same world."""
        twin = GatewayApiWatcher()
        twin.world, twin.invalid = self.world, dict(self.invalid)
        return twin

    def current(self) -> World:
        """Return what there is now."""
        return self.world

    def gateway_class(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a GatewayClass."""
        value = is_own_class(new) if new is not None else None
        return self._replace(classes=_with(self.world.classes, _key(old, new).name, value))

    def gateway(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Gateway, of our classes or not: which they are may be told later."""
        value = parse_gateway(new) if new is not None and not is_deleting(new) else None
        return self._replace(gateways=_with(self.world.gateways, _key(old, new), value))

    def http_route(self, old: Object | None, new: Object | None) -> Effect:
        """Take in an HTTPRoute."""
        return self._route(RouteKind.HTTP, old, new)

    def grpc_route(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a GRPCRoute."""
        return self._route(RouteKind.GRPC, old, new)

    def grant(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ReferenceGrant."""
        value = parse_grant(new) if new is not None else None
        return self._replace(grants=_with(self.world.grants, _key(old, new), value))

    def namespace(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Namespace: its labels, by which listeners choose."""
        value = tuple(sorted(labels_of(new).items())) if new is not None else None
        effect = self._replace(labels=_with(self.world.labels, _key(old, new).name, value))
        return effect if self.world.gateways else Effect.NOTHING

    def _route(self, kind: RouteKind, old: Object | None, new: Object | None) -> Effect:
        id_ = (kind.value, _key(old, new))
        self.invalid.pop(id_, None)
        value = None
        if new is not None and not is_deleting(new):
            try:
                value = parse_route(new, kind)
            except ValueError as error:
                self.invalid[id_] = str(error)
        return self._replace(routes=_with(self.world.routes, id_, value))

    def _replace(self, **changed: Any) -> Effect:
        world = dataclasses.replace(self.world, **changed)
        if world == self.world:
            return Effect.NOTHING
        self.world = world
        return Effect.EVERYTHING


def _with(known: Mapping[K, V], key: K, value: V | None) -> Mapping[K, V]:
    changed = dict(known)
    if value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
    return changed


def _key(old: Object | None, new: Object | None) -> Key:
    obj = new if new is not None else old
    if obj is None:
        raise ValueError("an informer told of nothing")
    return key_of(obj)
