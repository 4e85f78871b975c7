"""What one client holds of one type: pure bookkeeping, kept small, since there is one for each type of each stream.

Most clients hold exactly what they are configured to hold, and so do thousands beside them. They share the mapping of
the configuration, and each keeps only where it differs: a mesh of a thousand services costs a stream nothing once it
has acknowledged them all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from eventmesh.xds.control.answering import Answering
from eventmesh.xds.control.bundles import NOTHING, Bundle
from eventmesh.xds.control.resources import Resource


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
        # What cannot be listed answers for names of which the client knows nothing.
        if self._shared or len(self._own) < len(configured) or not configured or isinstance(configured, Answering):
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
    _under_way: Mapping[str, str | None] = field(default_factory=lambda: NOTHING.versions)
    """Versions by name that the client is being sent; None: a removal. Most often those of a bundle, which others are
    being sent as well."""
    _brought: dict[str, str] = field(default_factory=dict)
    """Versions by name that the client has brought along and that are not configured now."""

    def version(self, name: str) -> str | None:
        """Return which version of `name` the client holds or is being sent; None when it has none."""
        if name in self._under_way:
            return self._under_way[name]
        held = self.accepted.get(name)
        return held.version if held is not None else self._brought.get(name)

    def holds(self, name: str) -> bool:
        """True when the client holds `name`, or is being sent it; what it is told to be absent it does not hold."""
        return bool(self.version(name))

    def names(self) -> set[str]:
        """Return everything that the client holds or is being sent."""
        return {name for name in {*self.accepted, *self._brought, *self._under_way} if self.holds(name)}

    def brought(self, versions: Mapping[str, str], configured: Mapping[str, Resource]) -> None:
        """Take note of what a client says it has from a stream before: what is still configured is as good as
        acknowledged."""
        for name, version in versions.items():
            resource = configured.get(name)
            if resource is not None and resource.version == version:
                self.accepted.take(resource)
            else:
                self._brought[name] = version
        self.accepted.adopt(configured)

    def sending(self, bundle: Bundle) -> None:
        """Take note of what the client is being sent; it has answered all that it was sent before."""
        self._under_way = bundle.versions

    def acknowledge(self, bundle: Bundle, configured: Mapping[str, Resource]) -> None:
        """Take note that the client has taken what it was sent."""
        self._under_way = NOTHING.versions
        for resource in bundle.resources:
            # That something is absent is no possession: there may be no end to what a client asks for in vain.
            if resource.is_absent:
                self.accepted.drop(resource.name)
            else:
                self.accepted.take(resource)
        for name in bundle.removed:
            self.accepted.drop(name)
        if self._brought:
            self._brought = {name: version for name, version in self._brought.items() if name not in bundle.versions}
        self.accepted.adopt(configured)

    def refuse(self) -> None:
        """Take note that the client has not taken what it was sent: it holds what it had."""
        self._under_way = NOTHING.versions

    def forget(self, names: Collection[str]) -> None:
        """Take note that the client has dropped `names` by itself."""
        for name in names:
            self.accepted.drop(name)
            self._brought.pop(name, None)
        if not self._under_way.keys().isdisjoint(names):
            dropped = frozenset(names)
            self._under_way = {name: sent for name, sent in self._under_way.items() if name not in dropped}
