"""From "published" to "acknowledged": what may be promised about an object, and when to look again. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from eventmesh.kube.objects import Key
from eventmesh.kube.reconciler import Controller
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.publisher import Publication


class Promising(Protocol):
    """A controller that writes the status of one kind, and what it has promised about its objects."""

    promises: Promises
    controller: Controller


@dataclass(slots=True)
class Promises:
    """The publication that contains the current form of each object of one kind."""

    _unpublished: dict[Key, Effect] = field(default_factory=dict)
    _published: dict[Key, Publication] = field(default_factory=dict)
    _open: set[Key] = field(default_factory=set)

    def changed(self, key: Key, effect: Effect) -> None:
        """Take note that the object has a new form, which a publication of `effect` will contain."""
        if effect is Effect.NOTHING:
            return
        known = self._unpublished.get(key, Effect.NOTHING)
        self._unpublished[key] = max(known, effect, key=lambda e: e.value)
        self._published.pop(key, None)

    def gone(self, key: Key) -> None:
        """Forget the object."""
        self._unpublished.pop(key, None)
        self._published.pop(key, None)
        self._open.discard(key)

    def published(self, publication: Publication, effect: Effect) -> Iterator[Key]:
        """Take note of a publication; yield the objects whose current form it is the first to contain."""
        for key, needed in list(self._unpublished.items()):
            if needed.value <= effect.value:
                del self._unpublished[key]
                self._published[key] = publication
                self._open.add(key)
                yield key

    def of(self, key: Key) -> Publication | None:
        """Return the publication that contains the object as it is now; None while there is none."""
        return self._published.get(key)

    def reopened(self, key: Key) -> None:
        """Take note that a promise kept before is in doubt again."""
        self._open.add(key)

    def kept(self, key: Key) -> None:
        """Take note that there is nothing more to wait for."""
        self._open.discard(key)

    def still_open(self) -> list[Key]:
        """Return the objects that wait for acknowledgements."""
        return list(self._open)
