"""Which versions of objects each publication contains. Pure.

Generations are a process's own count, so replicas compare `resourceVersion`s instead, within one kind, where the API
orders them (KEP-5504). What a promise *needs* are the versions of changes that were worth a publication; what a
publication *contains* is everything that was read before it, also changes that are worth none. So whoever waits for a
version hears of it from everybody who has read as far, whatever it was worth to him.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.xds.control.changes import Effect

MAX_GENERATIONS = 64
"""Publications remembered. An older one is taken for the oldest of these, which contains at least as much."""

Versions = Mapping[str, int]
"""By kind (`plural.group`), the newest version."""


def version_of(obj: Object) -> int:
    """Return the object's version as a number, 0 when it has none; an API whose versions are no numbers orders none."""
    return number_of(obj["metadata"].get("resourceVersion") or "")


def number_of(version: str) -> int:
    """Return `version` as a number, 0 for none."""
    return int(version) if version.isascii() and version.isdigit() else 0


@frozen
class Contents:
    """What one publication is made of."""

    needs: Versions
    contains: Versions


@dataclass(slots=True)
class ObjectVersions:
    """The objects that were read, and in which publication they went out."""

    kinds: Callable[[], Iterable[str]]
    read: Callable[[str], int]
    """Returns up to which version a kind has been read."""
    _pending: dict[str, Effect] = field(default_factory=dict)
    """What a kind's unpublished changes are worth."""
    _wanted: dict[str, int] = field(default_factory=dict)
    _needs: dict[str, int] = field(default_factory=dict)
    _contains: dict[str, int] = field(default_factory=dict)
    _published: dict[int, Contents] = field(default_factory=dict)

    def changed(self, kind: str, version: int, effect: Effect) -> None:
        """Take note of a change that a publication of `effect` will contain."""
        if effect is Effect.NOTHING:
            return
        self._pending[kind] = max(self._pending.get(kind, effect), effect, key=lambda e: e.value)
        self._wanted[kind] = max(self._wanted.get(kind, 0), version)

    def published(self, generation: int, effect: Effect) -> None:
        """Take note of a publication of everything that is worth `effect` or less."""
        for kind, pending in list(self._pending.items()):
            if pending.value <= effect.value:
                del self._pending[kind]
                self._needs[kind] = max(self._needs.get(kind, 0), self._wanted.pop(kind))
        self._published[generation] = Contents(dict(self._needs), self._read_so_far())
        while len(self._published) > MAX_GENERATIONS:
            del self._published[min(self._published)]

    def needs(self, generation: int) -> Versions:
        """Return what must be acknowledged elsewhere for a promise about `generation`."""
        at = min((number for number in self._published if number >= generation), default=None)
        return self._published[at].needs if at is not None else {}

    @property
    def newest(self) -> int:
        """Return the newest generation, -1 before the first."""
        return max(self._published, default=-1)

    def acknowledged(self, proves: Callable[[int], bool]) -> tuple[int, Versions]:
        """Return the newest generation that all have, as `proves` says, and what it contains; (-1, {}) for none."""
        for generation in sorted(self._published, reverse=True):
            if proves(generation):
                # What was read since, and is worth no publication, is contained in what is out already.
                return generation, self._read_so_far() if generation == self.newest else self._published[
                    generation
                ].contains
        return -1, {}

    def _read_so_far(self) -> dict[str, int]:
        for kind in self.kinds():
            if kind not in self._pending:
                self._contains[kind] = self.read(kind)
        return dict(self._contains)
