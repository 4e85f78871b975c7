"""The newest configuration of each role, and who is told when one changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Configuration, Resource, index
from eventmesh.xds.control.streams import Changes
from eventmesh.xds.resource_types import ResourceType

Listener = Callable[[Configuration, Changes], None]
"""Called with the new configuration and the names that differ from the one before."""


class SnapshotCache:
    """One `Configuration` a role. The generation is common to all roles and rises with every publication."""

    def __init__(self) -> None:
        self._generation = 0
        self._current = {role: Configuration() for role in Role}
        self._listeners: dict[Role, list[Listener]] = {role: [] for role in Role}

    @property
    def generation(self) -> int:
        """Return the number of the newest publication."""
        return self._generation

    def current(self, role: Role) -> Configuration:
        """Return what clients of `role` shall have now."""
        return self._current[role]

    def publish(self, sets: Mapping[Role, Iterable[Resource]]) -> int:
        """Replace the whole configuration of each role in `sets`; return the new generation.

        Raises ValueError, and publishes nothing, when a name appears twice in a type.
        """
        return self.update({role: index(resources) for role, resources in sets.items()})

    def update(self, sets: Mapping[Role, Mapping[ResourceType, Mapping[str, Resource]]]) -> int:
        """Replace the given types of the given roles; types that are not given stay. Return the new generation."""
        self._generation += 1
        # Roles share most of their sets, so each pair is compared once.
        compared: dict[tuple[int, int], frozenset[str]] = {}
        for role, current in list(self._current.items()):
            given = sets.get(role, {})
            resources = {**current.resources, **given}
            changes: dict[ResourceType, frozenset[str]] = {}
            for type_, after in given.items():
                before = current.of(type_)
                if after is not before:
                    pair = (id(before), id(after))
                    if pair not in compared:
                        compared[pair] = differences(before, after)
                    changes[type_] = compared[pair]
            self._current[role] = Configuration(self._generation, resources)
            for listener in list(self._listeners[role]):
                listener(self._current[role], changes)
        return self._generation

    def subscribe(self, role: Role, listener: Listener) -> Callable[[], None]:
        """Call `listener` at every publication from now on; return what ends it."""
        self._listeners[role].append(listener)
        return lambda: self._listeners[role].remove(listener)


def differences(before: Mapping[str, Resource], after: Mapping[str, Resource]) -> frozenset[str]:
    """Return the names that are new, changed or gone."""
    # Most are the very same object: comparing them by identity first makes this cheap for large meshes.
    changed = {n for n, new in after.items() if (old := before.get(n)) is not new and old != new}
    return frozenset(changed.union(before.keys() - after.keys()))
