"""Keeps the `View` true while objects change, and tells what a change can affect."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.xds.control.objects import (
    Ingress,
    View,
    is_ours,
    parse_concurrency,
    parse_ingress,
    parse_serverless,
    parse_service,
    parse_slice,
)

V = TypeVar("V")


class Effect(Enum):
    """How much must be built again."""

    NOTHING = 0
    ENDPOINTS = 1
    EVERYTHING = 2


class Watcher:
    """The current view. Each method takes (old, new) as informers tell it."""

    def __init__(self) -> None:
        self.view = View()
        self.invalid: dict[Key, str] = {}
        """KIngresses that cannot be routed, and why."""
        self._touched: set[Key] = set()

    def ingress(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a KIngress; those of other classes do not exist for us."""
        key = _key(old, new)
        self.invalid.pop(key, None)
        value: Ingress | None = None
        if new is not None and is_ours(new) and not is_deleting(new):
            try:
                value = parse_ingress(new)
            except ValueError as error:
                self.invalid[key] = str(error)
        return self._put("ingresses", self.view.ingresses, key, value, Effect.EVERYTHING)

    def take_touched(self) -> frozenset[Key]:
        """Return, and forget, the Services and revisions whose endpoints may have changed since the last call."""
        touched, self._touched = frozenset(self._touched), set()
        return touched

    def service(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Service."""
        value = parse_service(new) if new is not None else None
        return self._put("services", self.view.services, _key(old, new), value, Effect.EVERYTHING)

    def slice(self, old: Object | None, new: Object | None) -> Effect:
        """Take in an EndpointSlice."""
        value = parse_slice(new) if new is not None else None
        for piece in (self.view.slices.get(_key(old, new)), value):
            if piece is not None:
                self._touched.add(piece.revision or piece.service)
        return self._put("slices", self.view.slices, _key(old, new), value, Effect.ENDPOINTS)

    def serverless(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a ServerlessService: a change of mode moves endpoints and nothing else."""
        key = _key(old, new)
        value = parse_serverless(new) if new is not None and not is_deleting(new) else None
        known = self.view.serverless.get(key)
        moved = known is not None and value is not None and known.protocol is value.protocol
        self._touched.add(key)
        effect = Effect.ENDPOINTS if moved else Effect.EVERYTHING
        return self._put("serverless", self.view.serverless, key, value, effect)

    def revision(self, old: Object | None, new: Object | None) -> Effect:
        """Take in a Revision: only its containerConcurrency matters."""
        value = parse_concurrency(new) if new is not None else None
        return self._put("concurrency", self.view.concurrency, _key(old, new), value, Effect.EVERYTHING)

    def _put(self, field: str, known: Mapping[Key, V], key: Key, value: V | None, effect: Effect) -> Effect:
        if known.get(key) == value:
            return Effect.NOTHING
        changed = dict(known)
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
        self.view = dataclasses.replace(self.view, **{field: changed})  # type: ignore[arg-type]
        return effect


def _key(old: Object | None, new: Object | None) -> Key:
    obj = new if new is not None else old
    if obj is None:
        raise ValueError("an informer told of nothing")
    return key_of(obj)
