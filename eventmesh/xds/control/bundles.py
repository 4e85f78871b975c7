"""What goes out together in one response, and is one object for all streams that are sent the same.

A fleet that connects at once, or hears of one change, has thousands of equal responses under way. Their resources,
names, versions and encoded bodies are kept once; a stream adds its nonce.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final
from weakref import WeakValueDictionary

from eventmesh.xds.control.protobuf import delimited
from eventmesh.xds.control.resources import Resource

_sets: WeakValueDictionary[int, frozenset[str]] = WeakValueDictionary()
"""Sets of names that some stream is concerned with, by hash."""

_bundles: WeakValueDictionary[tuple[tuple[int, ...], tuple[str, ...]], Bundle] = WeakValueDictionary()
"""Bundles under way, by the identities of their resources (which live as long as the bundle) and what they remove."""


def shared_names(names: Iterable[str]) -> frozenset[str]:
    """Return `names` as a set that all who mean the same have in common."""
    wanted = frozenset(map(sys.intern, names))
    known = _sets.get(hash(wanted))
    if known == wanted:
        return known
    _sets[hash(wanted)] = wanted
    return wanted


class Bundle:
    """Resources and removals; never changed. Made by `bundled`."""

    def __init__(self, resources: tuple[Resource, ...], removed: tuple[str, ...]) -> None:
        self.resources: Final = resources
        self.removed: Final = removed

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the names of its resources."""
        return shared_names(resource.name for resource in self.resources)

    @cached_property
    def versions(self) -> Mapping[str, str | None]:
        """Return versions by name; None: a removal."""
        sent: dict[str, str | None] = {resource.name: resource.version for resource in self.resources}
        return sent | dict.fromkeys(self.removed)

    @cached_property
    def sotw_fields(self) -> bytes:
        """Return its part of a DiscoveryResponse."""
        return b"".join(resource.sotw_field for resource in self.resources)

    @cached_property
    def delta_fields(self) -> bytes:
        """Return its part of a DeltaDiscoveryResponse: `resources`, and `removed_resources` (field 6)."""
        removed = (delimited(6, name.encode()) for name in self.removed)
        return b"".join([*(resource.delta_field for resource in self.resources), *removed])


NOTHING: Final = Bundle((), ())


def bundled(resources: Iterable[Resource], removed: Iterable[str] = ()) -> Bundle:
    """Return the bundle of these; the one that is under way already, if there is any."""
    made = Bundle(tuple(resources), tuple(removed))
    key = (tuple(map(id, made.resources)), made.removed)
    return _bundles.setdefault(key, made)
