"""The newest configuration of each audience that somebody belongs to, and who is told when it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.resources import Configuration, Resource, index
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.shards import Sharded
from eventmesh.xds.control.streams import Changes
from eventmesh.xds.resource_types import ResourceType

Listener = Callable[[Configuration, Changes], None]
"""Called with the new configuration and the names that differ from the one before."""


Derive = Callable[[Audience], Mapping[ResourceType, Mapping[str, Resource]]]
"""Returns what an audience is to be told, from what has been built last."""


class SnapshotCache:
    """One `Configuration` an audience. Generations count the publications of all; a configuration bears the number of
    the one that changed it last, and whoever has acknowledged that one has all that came since."""

    def __init__(self, derive: Derive | None = None) -> None:
        """`derive` is asked when the first client of an audience appears; without it, what is published is kept."""
        self._derive = derive
        self._generation = 0
        self._current: dict[Audience, Configuration] = {}
        self._listeners: dict[Audience, list[Listener]] = {}

    @property
    def generation(self) -> int:
        """Return the number of the newest publication."""
        return self._generation

    def current(self, audience: Audience) -> Configuration:
        """Return what clients of `audience` shall have now."""
        known = self._current.get(audience)
        if known is not None:
            return known
        return Configuration(self._generation, dict(self._derive(audience)) if self._derive else {})

    def audiences(self) -> list[Audience]:
        """Return the audiences that have clients."""
        return list(self._listeners)

    def publish(self, sets: Mapping[Audience, Iterable[Resource]]) -> int:
        """Replace the whole configuration of each audience in `sets`; return the new generation.

        Raises ValueError, and publishes nothing, when a name appears twice in a type.
        """
        return self.update({audience: index(resources) for audience, resources in sets.items()})

    def update(self, sets: Mapping[Audience, Mapping[ResourceType, Mapping[str, Resource]]]) -> int:
        """Replace the given types of the given audiences; types that are not given stay. Return the new generation.

        An audience for which nothing differs is not told, so that a change costs those alone whom it concerns.
        """
        self._generation += 1
        # Audiences share most of their sets, so each pair is compared once.
        compared: dict[tuple[int, int], frozenset[str]] = {}
        for audience, given in sets.items():
            current = self.current(audience)
            changes: dict[ResourceType, frozenset[str]] = {}
            for type_, after in given.items():
                before = current.of(type_)
                if after is not before:
                    pair = (id(before), id(after))
                    if pair not in compared:
                        compared[pair] = differences(before, after)
                    if compared[pair]:
                        changes[type_] = compared[pair]
            generation = self._generation if changes else current.generation
            self._current[audience] = Configuration(generation, {**current.resources, **given})
            if changes:
                for listener in list(self._listeners.get(audience, ())):
                    listener(self._current[audience], changes)
        return self._generation

    def subscribe(self, audience: Audience, listener: Listener) -> Callable[[], None]:
        """Call `listener` at every change from now on; return what ends it. Whom nobody listens to is forgotten."""
        self._current[audience] = self.current(audience)
        self._listeners.setdefault(audience, []).append(listener)

        def end() -> None:
            left = self._listeners[audience]
            left.remove(listener)
            if not left:
                del self._listeners[audience]
                if self._derive is not None:
                    del self._current[audience]

        return end


def differences(before: Mapping[str, Resource], after: Mapping[str, Resource]) -> frozenset[str]:
    """Return the names that are new, changed or gone; of what cannot be listed, keys (`answering`)."""
    if isinstance(before, Sharded) and isinstance(after, Sharded):
        return after.differing(before)
    if isinstance(after, Answering) and type(before) is type(after):
        return after.differing(before)
    # Most are the very same object: comparing them by identity first makes this cheap for large meshes.
    changed = {n for n, new in after.items() if (old := before.get(n)) is not new and old != new}
    return frozenset(changed.union(before.keys() - after.keys()))
