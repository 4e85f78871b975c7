"""Whose host is it: many objects may ask for one host, the first in rank has it. Pure.

Ranks are those of the mesh as a whole, so the answer does not depend on the order in which objects became known; but
a namespace whose objects change is all that must be looked at again, beside the few that win or lose a host by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from eventmesh.kube.objects import Key


class Rank(NamedTuple):
    """A claimant, in order of precedence: the mesh itself, KIngresses by age, Gateway API routes, Services by name,
    ServiceInterfaces by age."""

    kind: int
    created: str
    key: Key
    number: int = 0
    """Rule or port of the claimant: within one object the first one counts."""


MESH, INGRESS, ROUTE, SERVICE, INTERFACE = range(5)
"""`Rank.kind`."""

Wanted = Mapping[str, list[Rank]]
"""Who in a namespace asks for which hosts."""


@dataclass(slots=True)
class Claims:
    """The claimants of every host of one route table."""

    _ranks: dict[str, list[Rank]] = field(default_factory=dict)
    _wanted: dict[str, Wanted] = field(default_factory=dict)
    _moved: set[Key] = field(default_factory=set)

    def renew(self, namespace: str, wanted: Wanted) -> set[str]:
        """Put `wanted` in place of all that `namespace` asked for; return the other namespaces that ask for hosts which
        have changed hands."""
        before = self._wanted.pop(namespace, {})
        if wanted:
            self._wanted[namespace] = wanted
        others: set[str] = set()
        for host in before.keys() | wanted.keys():
            if before.get(host) == wanted.get(host):
                continue
            old = self.winner(host)
            former = self._ranks.get(host, [])
            ranks = [rank for rank in former if rank.key.namespace != namespace]
            ranks = sorted([*ranks, *wanted.get(host, ())])
            if ranks:
                self._ranks[host] = ranks
            else:
                del self._ranks[host]
            new = self.winner(host)
            if old != new:
                concerned = {rank.key for rank in (*former, *ranks)}
                self._moved |= concerned
                others.update(key.namespace for key in concerned)
        return others - {namespace}

    def take_moved(self) -> set[Key]:
        """Return, and forget, all who ask for a host that has changed hands since the last call."""
        moved, self._moved = self._moved, set()
        return moved

    def winner(self, host: str) -> Rank | None:
        """Return who has `host`; None while nobody asks for it."""
        ranks = self._ranks.get(host)
        return ranks[0] if ranks else None

    def won(self, hosts: Iterable[str], rank: Rank) -> tuple[str, ...]:
        """Return those of `hosts` that `rank` has."""
        return tuple(host for host in hosts if self.winner(host) == rank)

    def lost(self, hosts: Iterable[str], key: Key) -> dict[str, Key]:
        """Return those of `hosts` that another object than `key` has, and which."""
        return {host: rank.key for host in hosts if (rank := self.winner(host)) is not None and rank.key != key}
