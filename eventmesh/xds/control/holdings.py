"""What one client holds of one type: pure bookkeeping, kept small, since there is one for each type of each stream.

Most clients hold exactly what they are configured to hold, and so do thousands beside them. They share the mapping of
the configuration, and each keeps only where it differs: a mesh of a thousand services costs a stream nothing once it
has acknowledged them all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from eventmesh.xds.control.resources import Resource

_sets: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()
"""Sets of names that some stream has asked for, by hash."""


def shared_names(names: Iterable[str]) -> frozenset[str]:
    """Return `names` as a set that all who ask for the same have in common."""
    wanted = frozenset(map(sys.intern, names))
    known = _sets.get(hash(wanted))
    if known == wanted:
        return known
    _sets[hash(wanted)] = wanted
    return wanted


class Accepted(Mapping[str, Resource]):
    """What a client has acknowledged, by name: a configuration's own mapping, and where the client differs from it."""

    __slots__ = ("_own", "_shared")

    def __init__(self) -> None:
        self._shared: Mapping[str, Resource] = {}
        self._own: dict[str, Resource | None] = {}
        """In place of the shared one's; None: the client does not hold it."""

    def __getitem__(self, name: str) -> Resource:
        found = self._own[name] if name in self._own else self._shared.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._shared if name not in self._own)
        yield from (name for name, held in self._own.items() if held is not None)

    def __len__(self) -> int:
        added = sum((held is not None) - (name in self._shared) for name, held in self._own.items())
        return len(self._shared) + added

    @property
    def own(self) -> int:
        """Return for how many names the client differs from what it shares with others."""
        return len(self._own)

    def take(self, resource: Resource) -> None:
        """Take note that the client holds `resource`."""
        self._put(resource.name, resource)

    def drop(self, name: str) -> None:
        """Take note that the client does not hold `name` any more."""
        self._put(name, None)

    def follow(self, configured: Mapping[str, Resource], changed: Iterable[str]) -> None:
        """Compare with `configured` from now on, which differs in `changed` from what was compared with before.

        What the client holds stays what it is.
        """
        if not self._shared:
            return
        held = {name: self.get(name) for name in {*changed, *self._own}}
        self._shared, self._own = configured, {}
        for name, resource in held.items():
            self._put(name, resource)

    def adopt(self, configured: Mapping[str, Resource]) -> None:
        """Share `configured` as soon as the client holds as much as that."""
        if self._shared or len(self._own) < len(configured) or not configured:
            return
        held = dict(self._own)
        self._shared, self._own = configured, {name: None for name in configured if name not in held}
        for name, resource in held.items():
            self._put(name, resource)

    def _put(self, name: str, resource: Resource | None) -> None:
        if self._shared.get(name) is resource:
            self._own.pop(name, None)
            if not self._own:
                self._own = {}  # A dictionary that has been large stays large.
        else:
            self._own[name] = resource


@dataclass(slots=True)
class Holdings:
    """What a client has acknowledged, and what it is being sent on top of that."""

    accepted: Accepted = field(default_factory=Accepted)
    _sent: dict[str, str | None] = field(default_factory=dict)
    """Versions by name that are under way, or that the client has brought along; None: a removal."""

    def version(self, name: str) -> str | None:
        """Return which version of `name` the client holds or is being sent; None when it has none."""
        if name in self._sent:
            return self._sent[name]
        held = self.accepted.get(name)
        return held.version if held is not None else None

    def holds(self, name: str) -> bool:
        """True when the client holds `name`, or is being sent it."""
        return self.version(name) is not None

    def names(self) -> set[str]:
        """Return everything that the client holds or is being sent."""
        return {name for name in {*self.accepted, *self._sent} if self.holds(name)}

    def brought(self, versions: Mapping[str, str], configured: Mapping[str, Resource]) -> None:
        """Take note of what a client says it has from a stream before: what is still configured is as good as
        acknowledged."""
        for name, version in versions.items():
            resource = configured.get(name)
            if resource is not None and resource.version == version:
                self.accepted.take(resource)
            else:
                self._sent[name] = version
        self.accepted.adopt(configured)

    def sending(self, resources: Iterable[Resource], removed: Iterable[str]) -> None:
        """Take note of what the client is being sent."""
        self._sent.update((resource.name, resource.version) for resource in resources)
        self._sent.update((name, None) for name in removed)

    def acknowledge(
        self, resources: Iterable[Resource], removed: Iterable[str], configured: Mapping[str, Resource]
    ) -> None:
        """Take note that the client has taken what it was sent."""
        for resource in resources:
            self.accepted.take(resource)
            self._sent.pop(resource.name, None)
        for name in removed:
            self.accepted.drop(name)
            self._sent.pop(name, None)
        if not self._sent:
            self._sent = {}
        self.accepted.adopt(configured)

    def refuse(self, names: Iterable[str]) -> None:
        """Take note that the client has not taken `names`: it holds what it had."""
        for name in names:
            self._sent.pop(name, None)

    def forget(self, name: str) -> None:
        """Take note that the client has dropped `name` by itself."""
        self.accepted.drop(name)
        self._sent.pop(name, None)
