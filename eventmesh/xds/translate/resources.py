"""What was translated, with its open references, and how closed sets of it become a Snapshot."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from eventmesh.base.frozen import frozen
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener
from eventmesh.model.route import Forward, RouteTable
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.translate.sources import DEFAULT_FETCH_TIMEOUT_S

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters
    from eventmesh.model.tracing import Collector, Tracing
    from eventmesh.xds.translate.discovered_filters import DiscoveredFilter, Extension, FilterChain
    from eventmesh.xds.translate.tls import ClientTlsResource, Secrets, ServerTlsResource


@frozen
class ListenerResource:
    """A listener; without `inline` routes its `listener.route_table` is the name of an RDS resource."""

    listener: Listener
    inline: RouteTable | None = None
    fetch_timeout_s: float = DEFAULT_FETCH_TIMEOUT_S
    tls: ServerTlsResource | None = None
    chain: FilterChain | None = None
    """Its filters when the configuration of some is sent by name; `listener.filters` is what they are without it."""

    @property
    def discovered(self) -> tuple[DiscoveredFilter, ...]:
        """Return the filters whose configuration is sent by name."""
        return () if self.chain is None else self.chain.discovered

    @property
    def is_self_contained(self) -> bool:
        """True of a listener that needs nothing but its secrets to be served."""
        return self.inline is not None and not any(one.is_awaited for one in self.discovered)

    def with_extensions(self, extensions: Mapping[str, Extension]) -> ListenerResource:
        """Return the listener as it stands with these configurations of filters."""
        if self.chain is None:
            return self
        listener = dataclasses.replace(self.listener, filters=self.chain.filters(extensions))
        return dataclasses.replace(self, listener=listener)

    def with_secrets(self, secrets: Secrets) -> ListenerResource | None:
        """Return the listener as it stands with these secrets; None while one that it needs is missing."""
        if self.tls is None:
            return self
        tls = self.tls.resolve(secrets)
        return None if tls is None else dataclasses.replace(self, listener=dataclasses.replace(self.listener, tls=tls))


@frozen
class ClusterResource:
    """A cluster; with an `eds_name` its endpoints are in the EDS resource of that name."""

    cluster: Cluster
    eds_name: str = ""
    fetch_timeout_s: float = DEFAULT_FETCH_TIMEOUT_S
    tls: ClientTlsResource | None = None
    tracing: Tracing | None = None
    """It takes the spans of every process that knows it (its metadata says how)."""

    def resolve(self, assignments: Mapping[str, tuple[Endpoint, ...]], secrets: Secrets) -> Cluster | None:
        """Return the cluster as it stands with these assignments, unknown ones leaving it empty, and these secrets;
        None while a secret that it needs is missing."""
        cluster = self.cluster
        endpoints = assignments.get(self.eds_name, ()) if self.eds_name else ()
        if endpoints:
            cluster = dataclasses.replace(cluster, endpoints=endpoints)
        if self.tls is None:
            return cluster
        tls = self.tls.resolve(secrets)
        return None if tls is None else dataclasses.replace(cluster, tls=tls)


@frozen
class StaticResources:
    """What a bootstrap holds in itself."""

    listeners: tuple[ListenerResource, ...] = ()
    clusters: tuple[ClusterResource, ...] = ()
    secrets: Secrets = field(default_factory=dict)
    collector: Collector | None = None
    """Takes the spans of listeners that trace and do not say where to (the bootstrap's `tracing`)."""

    def snapshot(self, version: str) -> Snapshot:
        """Return what can be served before any control plane has answered: listeners with routes of their own."""
        own = [resource for resource in self.listeners if resource.is_self_contained]
        complete = [resolved for resource in own if (resolved := resource.with_secrets(self.secrets))]
        listeners, tables = with_inline_tables(complete, ())
        clusters = tuple(cluster for resource in self.clusters if (cluster := resource.resolve({}, self.secrets)))
        return Snapshot(version, listeners, tables, clusters, common_tracing(self.clusters))


def with_inline_tables(
    resources: Iterable[ListenerResource], named: Iterable[RouteTable]
) -> tuple[tuple[Listener, ...], tuple[RouteTable, ...]]:
    """Return the listeners and every table they consult: the `named` ones and those written into the listeners.

    A table keeps its name where it can; where two different ones share it, the later is called
    `<listener>/<table>`.
    """
    tables = {table.name: table for table in named}
    listeners = []
    for resource in resources:
        listener, inline = resource.listener, resource.inline
        if inline is not None and tables.setdefault(inline.name, inline) != inline:
            name = f"{listener.name}/{inline.name}"
            tables[name] = dataclasses.replace(inline, name=name)
            listener = dataclasses.replace(listener, route_table=name)
        listeners.append(listener)
    return tuple(listeners), tuple(tables.values())


def common_tracing(clusters: Iterable[ClusterResource]) -> Tracing | None:
    """Return how everything traces that does not say it itself: as the first cluster that takes spans says."""
    return next((resource.tracing for resource in clusters if resource.tracing is not None), None)


def clusters_named(table: RouteTable) -> Iterator[tuple[str, str]]:
    """Yield every cluster the table may send to, each with the route that names it (`virtual host/route`)."""
    for host in table.virtual_hosts:
        for at, route in enumerate(host.routes):
            if isinstance(route.action, Forward):
                for share in route.action.clusters:
                    yield share.name, f"{host.name}/{route.name or at}"


def clusters_asked(filters: Filters | None) -> frozenset[str]:
    """Return the clusters of the authorization services that these filters of a listener ask."""
    steps = filters.access if filters is not None else ()
    if not steps:
        return frozenset()
    # Read only where there are filters of access, which have brought the module along.
    from eventmesh.model.authz import ExtAuthz

    return frozenset(step.step.service.cluster for step in steps if isinstance(step.step, ExtAuthz))


def mirrors_named(table: RouteTable) -> Iterator[tuple[str, str]]:
    """Yield the same of clusters that get copies: nobody waits for them, and no request fails for want of one."""
    for host in table.virtual_hosts:
        for at, route in enumerate(host.routes):
            if isinstance(route.action, Forward):
                for mirror in route.action.mirrors:
                    yield mirror.cluster, f"{host.name}/{route.name or at}"
