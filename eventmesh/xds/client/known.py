"""Every resource this client was told, and which of them are live: make before break, in virtual time.

A cluster waits for its endpoints, a route table for every cluster it names, a listener for its table and for the
configurations of its filters, and whoever names a secret for that; each goes live when these are there, or after its
time is up. Until then its former version, if any, stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.route import RouteTable
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.client.extensions import Extensions
from eventmesh.xds.client.held import Held, deadlines, settle, wait
from eventmesh.xds.translate.resources import (
    ClusterResource,
    ListenerResource,
    StaticResources,
    clusters_asked,
    clusters_named,
    common_tracing,
    with_inline_tables,
)
from eventmesh.xds.translate.sources import DEFAULT_FETCH_TIMEOUT_S

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters
    from eventmesh.xds.translate.discovered_filters import DiscoveredFilter, Extension
    from eventmesh.xds.translate.tls import Secret, Secrets


@frozen
class Update:
    """What one response changes, already translated."""

    listeners: Mapping[str, ListenerResource] | None = None
    tables: Mapping[str, RouteTable] | None = None
    clusters: Mapping[str, ClusterResource] | None = None
    assignments: Mapping[str, tuple[Endpoint, ...]] | None = None
    secrets: Secrets | None = None
    extensions: Mapping[str, Extension] | None = None
    removed_listeners: Iterable[str] = ()
    removed_clusters: Iterable[str] = ()
    absent_assignments: Iterable[str] = ()
    """Names the server says do not exist: their clusters have no endpoints, and need not wait to learn it."""


class Known:
    """The resources of one client. `copy` before a change that may have to be taken back."""

    def __init__(
        self, static: StaticResources, tables: Iterable[str], now: float, own_secrets: frozenset[str] = frozenset()
    ) -> None:
        """Hold the bootstrap's own resources; `tables` are wanted beside those that listeners name, `own_secrets` are
        brought by this process itself (`bring`)."""
        self.collector = static.collector
        self._tables_wanted = frozenset(tables)
        self._static_listeners = frozenset(item.listener.name for item in static.listeners)
        self._static_clusters = frozenset(item.cluster.name for item in static.clusters)
        # What needs no server is live from the first moment on, as `StaticResources.snapshot` has it.
        self._listeners = {
            item.listener.name: Held(live=item) if item.is_self_contained else Held(waiting=item, since=now)
            for item in static.listeners
        }
        self._clusters = {item.cluster.name: Held(live=item) for item in static.clusters}
        self._tables: dict[str, Held[RouteTable]] = {}
        self._assignments: dict[str, tuple[Endpoint, ...]] = {}
        self._extensions = Extensions()
        speaking = [*(item.tls for item in static.listeners), *(item.tls for item in static.clusters)]
        served = {name for tls in speaking if tls for name in tls.terms.served}
        self._static_secrets = (frozenset(static.secrets) - served) | own_secrets
        self._first_secrets = frozenset(static.secrets) & served - own_secrets
        """Secrets that the bootstrap holds until the server sends newer ones."""
        self._secrets: dict[str, Secret] = dict(static.secrets)
        self._live_clusters: dict[str, Cluster] = {}
        for name, held in self._clusters.items():
            if held.live is not None:
                self._set_live_cluster(name, held.live)
        self._changed = True

    def copy(self) -> Known:
        """Return an independent copy; the resources themselves are immutable and shared."""
        twin = Known.__new__(Known)
        twin.collector = self.collector
        twin._tables_wanted = self._tables_wanted
        twin._static_listeners = self._static_listeners
        twin._static_clusters = self._static_clusters
        twin._listeners = dict(self._listeners)
        twin._clusters = dict(self._clusters)
        twin._tables = dict(self._tables)
        twin._assignments = dict(self._assignments)
        twin._extensions = self._extensions.copy()
        twin._static_secrets = self._static_secrets
        twin._first_secrets = self._first_secrets
        twin._secrets = dict(self._secrets)
        twin._live_clusters = dict(self._live_clusters)
        twin._changed = self._changed
        return twin

    def is_static_listener(self, name: str) -> bool:
        """Tell whether the bootstrap itself holds this listener, so that no server may change it."""
        return name in self._static_listeners

    def is_static_cluster(self, name: str) -> bool:
        """Tell whether the bootstrap itself holds this cluster, so that no server may change it."""
        return name in self._static_clusters

    def listeners_held(self) -> frozenset[str]:
        """Return the listeners that came from a server."""
        return frozenset(self._listeners) - self._static_listeners

    def listeners_waiting(self) -> frozenset[str]:
        """Return the listeners that are not live in their newest version."""
        return frozenset(name for name, held in self._listeners.items() if held.waiting is not None)

    def clusters_held(self) -> frozenset[str]:
        """Return the clusters that came from a server."""
        return frozenset(self._clusters) - self._static_clusters

    def wanted_tables(self) -> frozenset[str]:
        """Return the route tables to subscribe to."""
        named = {
            version.listener.route_table
            for held in self._listeners.values()
            for version in held.versions()
            if version.inline is None
        }
        return self._tables_wanted | named

    def wanted_assignments(self) -> frozenset[str]:
        """Return the endpoint sets to subscribe to."""
        names = {version.eds_name for held in self._clusters.values() for version in held.versions()}
        return frozenset(names - {""})

    def wanted_secrets(self) -> frozenset[str]:
        """Return the secrets to subscribe to: those that are named and that the bootstrap does not hold."""
        speaking = [
            *(version.tls for held in self._listeners.values() for version in held.versions()),
            *(version.tls for held in self._clusters.values() for version in held.versions()),
        ]
        return frozenset(name for tls in speaking if tls for name in tls.terms.secrets) - self._static_secrets

    def wanted_extensions(self) -> frozenset[str]:
        """Return the filters whose configurations to subscribe to."""
        return frozenset(one.name for one in self._discovered())

    def kinds_accepted(self, extension: str) -> frozenset[str]:
        """Return the types of configuration that a filter may be sent: what all listeners accept that name it."""
        kinds = []
        for held in self._listeners.values():
            # By the newest version that names it: a listener that is to come without it has it until then.
            named = [one.kinds for item in held.versions() for one in item.discovered if one.name == extension]
            kinds += named[-1:]
        return frozenset.intersection(*kinds) if kinds else frozenset()

    def _discovered(self) -> Iterator[DiscoveredFilter]:
        for held in self._listeners.values():
            for version in held.versions():
                yield from version.discovered

    def update(self, change: Update, now: float) -> None:
        """Take in one response; `advance` then decides what of it goes live."""
        for name in change.removed_listeners:
            self._changed |= self._listeners.pop(name, None) is not None
        for name in change.removed_clusters:
            self._changed |= self._clusters.pop(name, None) is not None
            self._live_clusters.pop(name, None)
        wait(self._listeners, change.listeners or {}, now)
        wait(self._tables, change.tables or {}, now)
        wait(self._clusters, change.clusters or {}, now)
        self._extensions.take(change.extensions or {}, now)
        if change.secrets:
            self.bring({name: one for name, one in change.secrets.items() if name not in self._static_secrets})
        assignments = dict(change.assignments or {})
        for name in change.absent_assignments:
            if name not in self._assignments:
                assignments[name] = ()
        if assignments:
            self._assign(assignments)

    @property
    def secrets(self) -> Secrets:
        """Return what is known of secrets."""
        return self._secrets

    def bring(self, secrets: Secrets) -> None:
        """Take in secrets, whether a server has sent them or this process has got them by itself."""
        news = {name: one for name, one in secrets.items() if self._secrets.get(name) != one}
        if not news:
            # A server tells once more what the bootstrap began with, while a function's start is still being paid for.
            return
        self._secrets.update(news)
        self._changed = True
        for name, held in self._clusters.items():
            if held.live is not None and held.live.tls is not None:
                self._set_live_cluster(name, held.live)

    def _assign(self, assignments: Mapping[str, tuple[Endpoint, ...]]) -> None:
        self._assignments.update(assignments)
        for name, held in self._clusters.items():
            if held.live is not None and held.live.eds_name in assignments:
                self._set_live_cluster(name, held.live)

    def _set_live_cluster(self, name: str, resource: ClusterResource) -> None:
        cluster = resource.resolve(self._assignments, self._secrets)
        if cluster is None:
            self._changed |= self._live_clusters.pop(name, None) is not None
        elif self._live_clusters.get(name) != cluster:
            self._live_clusters[name] = cluster
            self._changed = True

    def advance(self, now: float) -> bool:
        """Let everything go live that is ready at `now`; return whether anything is new since the last call.

        What nobody names any more is forgotten, as the protocol assumes once it is unsubscribed.
        """
        settle(self._clusters, now, self._cluster_ready, _cluster_timeout, self._cluster_went_live)
        settle(self._tables, now, self._table_ready, lambda _: DEFAULT_FETCH_TIMEOUT_S, self._went_live)
        self._changed |= self._extensions.advance(now, self._extension_ready)
        settle(self._listeners, now, self._listener_ready, self._listener_timeout, self._went_live)
        self._extensions.name(self._discovered(), now)
        tables, assignments = self.wanted_tables(), self.wanted_assignments()
        for name in [name for name in self._tables if name not in tables]:
            del self._tables[name]
            self._changed = True
        for name in [name for name in self._assignments if name not in assignments]:
            del self._assignments[name]
        secrets = self.wanted_secrets() | self._static_secrets | self._first_secrets
        for name in [name for name in self._secrets if name not in secrets]:
            del self._secrets[name]
        changed, self._changed = self._changed, False
        return changed

    def _cluster_ready(self, _: str, resource: ClusterResource) -> bool:
        assigned = not resource.eds_name or resource.eds_name in self._assignments
        return assigned and (resource.tls is None or resource.tls.terms.secrets <= self._secrets.keys())

    def _table_ready(self, name: str, table: RouteTable) -> bool:
        held = self._tables.get(name)
        return self._clusters_ready(table, held.live if held is not None else None)

    def _listener_ready(self, name: str, resource: ListenerResource) -> bool:
        if resource.tls is not None and not resource.tls.terms.secrets <= self._secrets.keys():
            return False
        if not all(map(self._extensions.is_settled, resource.discovered)):
            return False
        former = self._listeners[name].live
        if not self._can_ask(self._filters(resource), self._filters(former) if former is not None else None):
            return False
        if resource.inline is not None:
            return self._clusters_ready(resource.inline, former.inline if former is not None else None)
        held = self._tables.get(resource.listener.route_table)
        return held is not None and held.live is not None

    def _listener_timeout(self, resource: ListenerResource) -> float:
        # Configurations of filters have times of their own; once these are over it is the rest that is waited for.
        is_settled = all(map(self._extensions.is_settled, resource.discovered))
        return resource.fetch_timeout_s if is_settled else 0.0

    def _filters(self, resource: ListenerResource) -> Filters | None:
        return self._configured(resource).listener.filters

    def _configured(self, resource: ListenerResource) -> ListenerResource:
        return resource.with_extensions(self._extensions.for_all(resource.discovered))

    def _extension_ready(self, name: str, extension: Extension) -> bool:
        former = self._extensions.live(name)
        return self._can_ask(extension.filters(), former.filters() if former is not None else None)

    def _can_ask(self, filters: Filters | None, former: Filters | None) -> bool:
        """Tell whether whom the filters ask can be asked, unless the former ones have asked it in vain: requests would
        be refused that may be let through."""
        asked = clusters_asked(filters) - self._live_clusters.keys()
        return not asked or asked <= clusters_asked(former)

    def _clusters_ready(self, table: RouteTable, former: RouteTable | None) -> bool:
        """Tell whether the clusters are live that are new in `table`: a cluster that the former version names and that
        is not there is missing already, and waiting for it would only hold up the rest."""
        missing = {name for name, _ in clusters_named(table) if name not in self._live_clusters}
        return not missing or (former is not None and missing <= {name for name, _ in clusters_named(former)})

    def _cluster_went_live(self, name: str, resource: ClusterResource) -> None:
        self._set_live_cluster(name, resource)

    def _went_live(self, name: str, resource: object) -> None:
        self._changed = True

    def is_table_waiting(self, name: str) -> bool:
        """Tell whether a newer version of the table is not live yet."""
        held = self._tables.get(name)
        return held is not None and held.waiting is not None

    def is_extension_waiting(self, name: str) -> bool:
        """Tell whether the newest configuration of a filter is not live yet."""
        return self._extensions.is_waiting(name)

    def has_tables_wanted(self) -> bool:
        """Tell whether the tables wanted beside those that listeners name are live, in whatever version."""
        held = (self._tables.get(name) for name in self._tables_wanted)
        return all(table is not None and table.live is not None for table in held)

    def is_waiting(self) -> bool:
        """Tell whether anything is not live yet in its newest version."""
        kinds: tuple[Iterable[Held[object]], ...] = (
            self._listeners.values(),
            self._tables.values(),
            self._clusters.values(),
        )
        return any(held.waiting is not None for kind in kinds for held in kind) or self._extensions.is_waiting()

    def deadline(self) -> float | None:
        """Return the monotonic time at which the next waiting resource goes live whatever is missing; None: never."""
        waiting = (held.waiting for held in self._listeners.values() if held.waiting is not None)
        awaited = (one for listener in waiting for one in listener.discovered)
        times = [
            *deadlines(self._clusters, _cluster_timeout),
            *deadlines(self._tables, lambda _: DEFAULT_FETCH_TIMEOUT_S),
            *deadlines(self._listeners, self._listener_timeout),
            *self._extensions.deadlines(awaited),
        ]
        return min(times, default=None)

    def snapshot(self, version: str) -> Snapshot:
        """Return what is live. A listener that went live without its table gets an empty one: it answers 404. One that
        lacks a secret is left out: it could not serve anybody."""
        found = [held.live for held in self._listeners.values() if held.live is not None]
        configured = map(self._configured, found)
        live = [resolved for resource in configured if (resolved := resource.with_secrets(self._secrets))]
        tables = {name: held.live for name, held in self._tables.items() if held.live is not None}
        for resource in live:
            name = resource.listener.route_table
            if resource.inline is None and name not in tables:
                tables[name] = RouteTable(name)
        listeners, all_tables = with_inline_tables(live, tables.values())
        tracing = common_tracing(held.live for held in self._clusters.values() if held.live is not None)
        return Snapshot(version, listeners, all_tables, tuple(self._live_clusters.values()), tracing)


def _cluster_timeout(resource: ClusterResource) -> float:
    return resource.fetch_timeout_s
