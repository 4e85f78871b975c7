"""Many values by name, immutable, of which the next version shares nearly all with the last.

A change of one endpoint must cost the same in a mesh of a hundred services and of five thousand: neither a copy of all
names nor a comparison of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")
V = TypeVar("V")

_SHARDS: Final = 256
"""A change copies a reference to each and one of them: with 5,000 names some 280 references, in a microsecond."""

_EMPTY: Final[dict[str, Any]] = {}
"""Never changed. What one namespace sees is a dozen names: most of its shards are empty."""


class Sharded(Mapping[str, V]):
    """Values by name. `replaced` makes the next version, `differing` tells two versions apart."""

    __slots__ = ("_shards", "_size")

    def __init__(self, resources: Mapping[str, V] | None = None) -> None:
        shards: list[dict[str, V]] = [_EMPTY] * _SHARDS
        for name, resource in (resources or {}).items():
            number = hash(name) % _SHARDS
            if shards[number] is _EMPTY:
                shards[number] = {}
            shards[number][name] = resource
        self._shards = shards
        self._size = len(resources or {})

    def __getitem__(self, name: str) -> V:
        return self._shards[hash(name) % _SHARDS][name]

    @overload
    def get(self, name: str, /) -> V | None: ...
    @overload
    def get(self, name: str, default: V, /) -> V: ...
    @overload
    def get(self, name: str, default: T, /) -> V | T: ...
    def get(self, name: str, default: T | None = None, /) -> V | T | None:
        """Return the value of `name`, or `default`."""
        # The mixin's own raises and catches where there is none, and most questions are asked by streams.
        return self._shards[hash(name) % _SHARDS].get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._shards[hash(name) % _SHARDS]

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self._shards)

    def __len__(self) -> int:
        return self._size

    def replaced(self, put: Mapping[str, V], dropped: Iterable[str] = ()) -> Sharded[V]:
        """Return a version with those of `put` in place of what had their names, and without `dropped`."""
        after: Sharded[V] = Sharded.__new__(Sharded)
        shards = after._shards = list(self._shards)
        own: set[int] = set()
        for name, resource in chain(put.items(), ((name, None) for name in dropped)):
            number = hash(name) % _SHARDS
            if number not in own:
                shards[number] = dict(shards[number])
                own.add(number)
            if resource is None:
                shards[number].pop(name, None)
            else:
                shards[number][name] = resource
        after._size = self._size + sum(len(shards[number]) - len(self._shards[number]) for number in own)
        return after

    def differing(self, before: Sharded[V]) -> frozenset[str]:
        """Return the names that are new, changed or gone since `before`."""
        pairs = ((old, new) for old, new in zip(before._shards, self._shards, strict=True) if old is not new)
        return frozenset(
            name for old, new in pairs for name in old.keys() | new.keys() if old.get(name) != new.get(name)
        )
