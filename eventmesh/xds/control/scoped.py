"""What sidecars of one scope are told of the mesh: made once for all of them, and kept from change to change.

Sidecars of a namespace differ in the labels of their pods, not in what they call. A namespace of a thousand Services
with fifty sidecars has one set of clusters, one of endpoints and one route table (docs/adr/0077-large-namespaces.md).
Pure. Which part of the mesh a scope is says `scope`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from eventmesh.xds.control.hosts import Entry
from eventmesh.xds.control.interfaces.published import PublishedOffers
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Scope
from eventmesh.xds.control.services import BROKER_CLUSTER, GATEWAY_CLUSTER
from eventmesh.xds.control.shards import Sharded
from eventmesh.xds.control.tables import LOCAL, beyond_scope, joined
from eventmesh.xds.control.tracing import TRACING_CLUSTER
from eventmesh.xds.resource_types import ResourceType

Named = Mapping[str, Resource]

_ALWAYS: Final = frozenset((BROKER_CLUSTER, TRACING_CLUSTER))
"""Clusters that every sidecar is told of, as far as there are any."""


@dataclass(slots=True, eq=False)
class _Sight:
    """What one scope sees, as of the last time that somebody asked."""

    clusters: Sharded[Resource]
    endpoints: Sharded[Resource]
    routes: dict[str, Resource] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    """Of clusters, those of the gateway left out."""
    reaches: frozenset[str] = frozenset()
    """Namespaces in which these are."""
    moved: set[str] = field(default_factory=set)
    """Clusters that must be looked at again."""
    is_stale: bool = True
    """Routes must be joined again."""
    touched_at: int = 0
    """The change that has concerned it last."""
    is_asked: bool = True
    """Somebody has asked since then."""


class ScopedSets:
    """The sets of every scope that has sidecars."""

    def __init__(
        self,
        seen: Callable[[Scope], Iterable[Entry]],
        offers: PublishedOffers,
        gateway: Mapping[ResourceType, Named],
        broker: bytes,
    ) -> None:
        """`seen` returns the virtual hosts of the table `local` in a scope; `gateway` is where all other requests go,
        `broker` the encoded virtual host of the brokers' ingress."""
        self._seen = seen
        self._offers = offers
        self._gateway = gateway
        self._fields = broker, beyond_scope()
        self._sights: dict[tuple[Scope, bool], _Sight] = {}
        self._changes = 0

    def touch(self, namespaces: Set[str], clusters: Set[str], *, offers: bool, everything: bool) -> None:
        """Take note of a change: of whole `namespaces`, of `clusters` or their endpoints, of what is offered by
        interface, or of `everything`."""
        self._changes += 1
        for key, sight in list(self._sights.items()):
            scope, is_declared = key
            stale = everything or (offers and not is_declared) or scope.looks_into(namespaces)
            moved = sight.names if everything else sight.names & clusters
            if not (stale or moved or not sight.reaches.isdisjoint(namespaces)):
                continue
            if not sight.is_asked:
                del self._sights[key]  # Nobody has wanted to know of the last change: its sidecars have gone.
                continue
            sight.is_stale |= stale
            sight.moved |= moved
            sight.touched_at, sight.is_asked = self._changes, False

    def is_touched(self, scope: Scope, *, is_declared: bool) -> bool:
        """Tell whether the last change concerns the scope by what its routes lead to, wherever that is."""
        sight = self._sights.get((scope, is_declared))
        return sight is not None and sight.touched_at == self._changes

    def sets(
        self,
        scope: Scope,
        whole: Mapping[ResourceType, Named],
        asked: Iterable[str] = (),
        *,
        is_declared: bool,
    ) -> dict[ResourceType, Named]:
        """Return the part of `whole`, the clusters and endpoints of the mesh, in the scope with those `asked` by
        filters, and the way to the gateway for the rest.

        What is called by interface has no gateway to fall back on, and an interface is a name of the whole mesh: it is
        seen by every namespace that has not declared what it calls.
        """
        key = scope, is_declared
        sight = self._sights.get(key)
        if sight is None:
            first, leads_to = (Sharded(self._gateway[type_]) for type_ in (ResourceType.CLUSTER, ResourceType.ENDPOINT))
            sight = self._sights[key] = _Sight(first, leads_to)
        sight.is_asked = True
        if sight.is_stale:
            self._join(sight, scope, is_declared)
        clusters, endpoints = whole[ResourceType.CLUSTER], whole[ResourceType.ENDPOINT]
        if sight.moved:
            sight.clusters = _followed(sight.clusters, clusters, sight)
            sight.endpoints = _followed(sight.endpoints, endpoints, sight)
            sight.moved = set()
        return {
            ResourceType.CLUSTER: _with(sight.clusters, clusters, asked),
            ResourceType.ENDPOINT: _with(sight.endpoints, endpoints, asked),
            ResourceType.ROUTE: sight.routes,
        }

    def _join(self, sight: _Sight, scope: Scope, is_declared: bool) -> None:
        called = scope if is_declared else None
        local = list(self._seen(scope))
        named = {name for entry in local for name in entry.clusters} | self._offers.clusters(called)
        broker, beyond = self._fields
        table = joined(LOCAL, [broker, *(entry.host.field for entry in local), beyond])
        routes = {LOCAL: table, **self._offers.tables(called)}
        if routes != sight.routes:
            sight.routes = routes
        names = (_ALWAYS | named) - {GATEWAY_CLUSTER}
        sight.moved |= names ^ sight.names
        sight.names = names
        sight.reaches = frozenset(name.partition("/")[0] for name in named)
        sight.is_stale = False


def _with(own: Sharded[Resource], whole: Named, asked: Iterable[str]) -> Sharded[Resource]:
    found = {name: whole[name] for name in asked if name in whole}
    return own.replaced(found) if found else own


def _followed(own: Sharded[Resource], whole: Named, sight: _Sight) -> Sharded[Resource]:
    """Return `own` with what has moved as it is in `whole`."""
    found = {name: whole.get(name) if name in sight.names else None for name in sight.moved}
    put = {name: one for name, one in found.items() if one is not None and own.get(name) is not one}
    gone = [name for name, one in found.items() if one is None and name in own]
    return own.replaced(put, gone) if put or gone else own
