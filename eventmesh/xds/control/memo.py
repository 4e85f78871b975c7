"""Remembering what was built, for as long as it is used."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Values by the input they were made of; `sweep` forgets those not asked for since the last sweep."""

    __slots__ = ("_old", "_used")

    def __init__(self) -> None:
        self._used: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of `key`, made by `make` the first time."""
        if key not in self._used:
            self._used[key] = self._old[key] if key in self._old else make()
        return self._used[key]

    def sweep(self) -> None:
        """Begin a new round: what the ended one did not use is gone."""
        self._old, self._used = self._used, {}
