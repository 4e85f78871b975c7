"""Resources of which the names cannot be listed: a client asks for one by a name that it has made. Pure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Set
from typing import Self

from eventmesh.xds.control.resources import Resource


class Answering(Mapping[str, Resource]):
    """Resources by name, more than iterating yields. Two of them are told apart by keys of their own, not by names."""

    __slots__ = ()

    @abstractmethod
    def differing(self, before: Self) -> frozenset[str]:
        """Return the keys of what is new, changed or gone since `before`."""

    @abstractmethod
    def touched(self, names: Set[str], keys: Set[str]) -> frozenset[str]:
        """Return those of `names` that may be answered otherwise when what has these `keys` has changed."""
