"""From views of objects to what each audience is told. Pure but for its memory of what has not changed.

Namespaces are built one by one, and only those in which something has changed: the cost of a change does not grow
with the number of namespaces. Endpoints are built apart from everything else: a pod that becomes ready is on the
path of a cold start, and changes nothing but endpoints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from eventmesh.kube.objects import Key
from eventmesh.kube.observability import TracingSettings
from eventmesh.xds.control import on_demand
from eventmesh.xds.control.access.published import InboundAccess
from eventmesh.xds.control.certificates import Certificates
from eventmesh.xds.control.changes import CLUSTER_SCOPED, Changed
from eventmesh.xds.control.claims import MESH, Claims, Rank
from eventmesh.xds.control.cluster_sets import ClusterSets, Kind, Named, unresolved
from eventmesh.xds.control.forwarding import forwarded
from eventmesh.xds.control.gateway_api.hosts import NAMESPACE as GATEWAY_API
from eventmesh.xds.control.gateway_api.hosts import GatewayApiHosts
from eventmesh.xds.control.gateway_api.values import World
from eventmesh.xds.control.grpc_servers import GrpcListeners
from eventmesh.xds.control.hosts import Entry, HostBuilder, Hosts
from eventmesh.xds.control.interfaces.offers import BOLT, DUBBO
from eventmesh.xds.control.interfaces.published import PublishedOffers
from eventmesh.xds.control.listeners import Listeners
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.mtls import MeshMtls
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.on_demand import HostIndex
from eventmesh.xds.control.proxyless import Proxyless
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience, Scope, scope_of
from eventmesh.xds.control.scoped import ScopedSets
from eventmesh.xds.control.services import BROKER_CLUSTER, Clusters, Settings, gateway_resources
from eventmesh.xds.control.tables import (
    ACTIVATOR,
    LOCAL,
    LOCAL_PROXIED,
    PUBLIC,
    SECURE,
    MeshTables,
    broker_hosts,
)
from eventmesh.xds.control.tracing import TRACING_CLUSTER
from eventmesh.xds.resource_types import ResourceType

ResourceSets = dict[ResourceType, Named]
"""Resources by name, by type."""


@dataclass(slots=True)
class _Namespace:
    """What one namespace adds to the mesh."""

    builder: HostBuilder
    clusters: Clusters
    hosts: Hosts = field(default_factory=Hosts)
    egress: tuple[Key, ...] = ()


class ResourceBuilder:
    """Builds resource sets from views: namespaces first (`update`), then what an audience is told of them (`sets`)."""

    def __init__(self, settings: Settings, world: Callable[[], World] = World, mtls: MeshMtls | None = None) -> None:
        """`world` returns the Gateway API objects there are now; `mtls` secures what clients are told that have shown
        an identity, and without it nobody is told of any."""
        self._settings = settings
        self._world = world
        self._mtls = mtls
        self.gateway_api = GatewayApiHosts(settings)
        self._namespaces: dict[str, _Namespace] = {}
        self._claims: defaultdict[str, Claims] = defaultdict(Claims)
        for table, hosts in broker_hosts(settings).items():
            self._claims[table].renew("", {host: [Rank(MESH, "", Key("", BROKER_CLUSTER))] for host in hosts})
        self._tables = MeshTables(settings)
        self._clusters = ClusterSets(settings)
        self._listeners = Listeners(settings)
        self.certificates = Certificates()
        self.access = InboundAccess()
        self._proxyless = Proxyless(settings.cluster_domain)
        self._on_demand: HostIndex | None = None
        """From when the first client comes that asks on demand: most meshes have none."""
        self._changed = Changed()
        self._concerned: dict[str, bool] = {}
        """Whether the last update concerns the sidecars of a namespace, as far as that has been asked."""
        self.offers = PublishedOffers()
        gateway = gateway_resources(settings)
        self._scoped = ScopedSets(self._seen, self.offers, gateway, self._tables.broker(LOCAL))
        self._tracing: TracingSettings | None = None
        self._concerns_all, self._will_concern_all = False, False
        self.conflicts: dict[Key, Mapping[str, Key]] = {}
        """Hosts of a KIngress that somebody has claimed before it, and who."""

    def trace(self, tracing: TracingSettings | None) -> None:
        """Have every data plane trace as `tracing` says from the next update on; None: not at all."""
        if tracing == self._tracing:
            return
        self._tracing, self._will_concern_all = tracing, True
        self._clusters.trace(tracing)
        self._listeners.trace(tracing)

    def update(self, view: Callable[[str], View], changed: Changed) -> None:
        """Build again what has changed; `view` returns what there is in a namespace now."""
        if CLUSTER_SCOPED in changed.namespaces:
            self.offers.declare(view(CLUSTER_SCOPED).declarations.values())
            self._will_concern_all = True
        namespaces = changed.namespaces - {CLUSTER_SCOPED}
        dirty = set(namespaces)
        for namespace in namespaces:
            wanted = self._of(namespace).builder.wanted(view(namespace))
            # A table that the namespace asks nothing of any more is one that it may have asked of.
            for table in wanted.keys() | self._claims.keys():
                dirty |= self._claims[table].renew(namespace, wanted.get(table, {}))
        if changed.routes:
            dirty |= self._attach_routes(view, namespaces)
        for key in chain.from_iterable(claims.take_moved() for claims in self._claims.values()):
            if key.namespace in self._namespaces:
                self._namespaces[key.namespace].builder.moved.add(key)
        rebuilds_routes = GATEWAY_API in dirty
        dirty.discard(GATEWAY_API)
        before = self.offers.all()
        tables = {table for namespace in sorted(dirty) for table in self._build(namespace, view(namespace))}
        if rebuilds_routes:
            built = self.gateway_api.build(view, self._claims)
            tables |= {table for table in built if self._contribute(table, GATEWAY_API, self.gateway_api.of(table))}
            self._clusters.put(GATEWAY_API, unresolved() if self.gateway_api.leads_nowhere else {})
            self._index(GATEWAY_API)
            dirty |= self.gateway_api.renewed
        self._will_concern_all |= self.access.resolve(view)
        self._tables.join(tables)
        if dirty:
            self._proxyless.forget()
        by_namespace: dict[str, set[Key]] = {}
        for key in changed.endpoints:
            if key.namespace not in dirty:
                by_namespace.setdefault(key.namespace, set()).add(key)
        for namespace, keys in by_namespace.items():
            self._assign(namespace, view(namespace), frozenset(keys))
        self._changed, self._concerned = Changed(frozenset(dirty), changed.endpoints), {}
        self._concerns_all, self._will_concern_all = self._will_concern_all, False
        moved, offered = self._clusters.take_moved(), before != self.offers.all()
        self._scoped.touch(dirty, moved, offers=offered, everything=self._concerns_all)

    def _attach_routes(self, view: Callable[[str], View], changed: frozenset[str]) -> set[str]:
        """Attach the routes of Gateway API anew where `changed` may matter to them; return what must be built by it:
        namespaces, and GATEWAY_API for the routes themselves."""
        world = self._world()
        if not self.gateway_api.is_touched(world, changed):
            return set()
        before = self.gateway_api.secrets
        dirty = {GATEWAY_API}
        for table, wanted in self.gateway_api.wanted(world, view).items():
            dirty |= self._claims[table].renew(GATEWAY_API, wanted)
        after = self.gateway_api.secrets
        return dirty | {key.namespace for key in before.keys() | after.keys() if before.get(key) != after.get(key)}

    def affects(self, audience: Audience) -> bool:
        """Tell whether the last update may have changed what `audience` is told."""
        if audience.role is not Role.SIDECAR or audience.on_demand or self._concerns_all:
            return True
        verdict = self._concerned.get(audience.namespace)
        if verdict is None:
            # Once for all sidecars of a namespace: there may be thousands of audiences, and most are not concerned.
            verdict = self._concerned[audience.namespace] = self._concerns(audience.namespace)
        return verdict

    def _concerns(self, namespace: str) -> bool:
        touched = {*self._changed.namespaces, *(key.namespace for key in self._changed.endpoints)}
        egress = self._egress(namespace)
        scope = scope_of(namespace, egress)
        seen = scope.looks_into(touched) or self._scoped.is_touched(scope, is_declared=bool(egress))
        return seen or self.access.is_asked_in(touched)

    def sets(self, audience: Audience) -> ResourceSets:
        """Return everything that `audience` is to be told."""
        plain = self._plain(audience)
        return plain if self._mtls is None else self._mtls.told(audience, plain)

    def _plain(self, audience: Audience) -> ResourceSets:
        if audience.on_demand:
            return self._asked_for(audience)
        match audience.role:
            case Role.GATEWAY | Role.ENVOY:
                return self._edge(audience.role)
            case Role.ACTIVATOR:
                whole = self._whole(Role.ACTIVATOR, ACTIVATOR, LOCAL_PROXIED)
                # Events call what is called by interface, too; of declared protocols the broker knows nothing.
                called = {table: self.table(table) for table in (BOLT, DUBBO)}
                return whole | {ResourceType.ROUTE: {**whole[ResourceType.ROUTE], **called}}
            case Role.SIDECAR:
                egress = self._egress(audience.namespace)
                scope = scope_of(audience.namespace, egress)
                offered = self.offers.listeners(audience.extensions)
                inbound = self._inbound(audience)
                inbound[ResourceType.LISTENER] = {**offered, **inbound[ResourceType.LISTENER]}
                if not scope.everything:
                    asked = self.access.clusters(audience.namespace, dict(audience.labels))
                    whole = self._clusters.of(Role.SIDECAR)
                    return self._scoped.sets(scope, whole, asked, is_declared=bool(egress)) | inbound
                tables = {LOCAL: self._tables.of(LOCAL), **self.offers.tables()}
                return self._whole(Role.SIDECAR) | {ResourceType.ROUTE: tables} | inbound
            case Role.GRPC:
                hosts = (*(one.hosts.of(LOCAL) for one in self._namespaces.values()), self.gateway_api.of(LOCAL))
                channels = self._proxyless.sets(chain.from_iterable(hosts))
                is_placed, labels = bool(audience.namespace), dict(audience.labels)
                filters = self.access.filters(audience.namespace, labels) if is_placed else None
                both = GrpcListeners(channels[ResourceType.LISTENER], filters)
                return {**self._whole(Role.GRPC), **channels, ResourceType.LISTENER: both}

    def referrers(self, cluster: str) -> list[Key]:
        """Return the objects whose virtual hosts lead to `cluster`: KIngresses, and the Service itself."""
        known = self._namespaces.get(cluster.partition("/")[0])
        hosts = known.hosts if known is not None else Hosts()
        entries = {entry.owner for table in hosts.entries.values() for entry in table if cluster in entry.clusters}
        offers = {offer.owner for offer in self.offers.all() if offer.cluster == cluster}
        return sorted(entries | offers)

    def versions(self, cluster: str) -> set[str]:
        """Return the versions of a cluster and of its endpoints that are published now, as any role sees them."""
        plain = self._clusters.versions(cluster)
        return plain if self._mtls is None else plain | self._mtls.versions(cluster)

    def _of(self, namespace: str) -> _Namespace:
        known = self._namespaces.get(namespace)
        if known is None:
            known = self._namespaces[namespace] = _Namespace(HostBuilder(self._settings), Clusters(self._settings))
        return known

    def _egress(self, namespace: str) -> tuple[Key, ...]:
        known = self._namespaces.get(namespace)
        return known.egress if known is not None else ()

    def _build(self, namespace: str, view: View) -> set[str]:
        """Build everything of a namespace; return the route tables that differ by it."""
        known = self._of(namespace)
        view = forwarded(view, self._settings.cluster_domain)
        for key in known.hosts.conflicts:
            self.conflicts.pop(key, None)
        known.hosts = known.builder.build(view, self._claims)
        self.conflicts.update(known.hosts.conflicts)
        self.offers.put(namespace, known.hosts.offers, known.hosts.offers_lost)
        changed = {table for table, found in known.hosts.entries.items() if self._contribute(table, namespace, found)}
        self._index(namespace)
        if self._tables.put(ACTIVATOR, namespace, known.hosts.activator):
            changed.add(ACTIVATOR)
        known.egress = view.egress
        named = {ingress.key: ingress.secrets for ingress in view.ingresses.values() if ingress.secrets}
        named |= self.gateway_api.secrets_in(namespace)
        if self.certificates.renew(namespace, named, view.certificates):
            self._listeners.show(self.certificates.secrets)
        plain, holding = known.clusters.clusters(view)
        self._will_concern_all |= self.access.renew(namespace, view)
        if self._mtls is not None:
            self._will_concern_all |= self._mtls.renew(namespace, view, plain)
        endpoints, pods_only = known.clusters.endpoints(view)
        clusters = {Kind.CLUSTERS: plain, Kind.HOLDING: holding}
        self._clusters.put(namespace, {**clusters, Kind.ENDPOINTS: endpoints, Kind.PODS_ONLY: endpoints | pods_only})
        if view == View():
            del self._namespaces[namespace]
        return changed

    def _contribute(self, table: str, contributor: str, entries: Iterable[Entry]) -> bool:
        return self._tables.put(table, contributor, b"".join(entry.host.field for entry in entries))

    def _index(self, contributor: str) -> None:
        """Have what is asked for on demand follow the virtual hosts of a namespace, or of Gateway API."""
        if self._on_demand is None:
            return
        if contributor == GATEWAY_API:
            found = {table: tuple(self.gateway_api.of(table)) for table in (PUBLIC, SECURE, LOCAL)}
            self._on_demand.put(contributor, found)
        else:
            self._on_demand.put(contributor, self._of(contributor).hosts.entries)

    def _assign(self, namespace: str, view: View, touched: frozenset[Key]) -> None:
        self._clusters.move(namespace, *self._of(namespace).clusters.endpoints(view, touched))

    def table(self, name: str) -> Resource:
        """Return a route table of the whole mesh, such as `public`, `local`, `activator`, `bolt` and `dubbo`."""
        return self._tables.find(name) or self.offers.tables()[name]

    def _edge(self, role: Role) -> ResourceSets:
        """Return what a gateway is told: everything public, under TLS too as far as there are certificates."""
        secrets = self.certificates.secrets
        tables = (PUBLIC, SECURE, LOCAL) if secrets else (PUBLIC, LOCAL)
        return {**self._whole(role, *tables), ResourceType.SECRET: secrets}

    def _asked_for(self, audience: Audience) -> ResourceSets:
        """Return what a client is told that asks for virtual hosts one by one: of clusters its stream picks those to
        which they lead, and those that its filters ask."""
        if self._on_demand is None:
            self._on_demand = HostIndex()
            for contributor in (*self._namespaces, GATEWAY_API):
                self._index(contributor)
        is_sidecar = audience.role is Role.SIDECAR
        asked = self.access.clusters(audience.namespace, dict(audience.labels)) if is_sidecar else ()
        secrets = {} if is_sidecar else self.certificates.secrets
        tables = (LOCAL,) if is_sidecar else (PUBLIC, SECURE, LOCAL) if secrets else (PUBLIC, LOCAL)
        own = {name: on_demand.table(name, self._tables.broker(name)) for name in tables}
        return {
            **self._whole(audience.role),
            ResourceType.ROUTE: own,
            ResourceType.VIRTUAL_HOST: self._on_demand.hosts(frozenset((BROKER_CLUSTER, TRACING_CLUSTER, *asked))),
            ResourceType.SECRET: secrets,
            **(self._inbound(audience) if is_sidecar else {ResourceType.LISTENER: self._listeners.on_demand()}),
        }

    def _inbound(self, audience: Audience) -> dict[ResourceType, Named]:
        return {
            ResourceType.LISTENER: self.access.listeners(audience.namespace, audience.labels),
            ResourceType.EXTENSION: self.access.by_name(audience.namespace, dict(audience.labels)),
        }

    def _whole(self, role: Role, *tables: str) -> ResourceSets:
        return {
            **self._clusters.of(role),
            ResourceType.ROUTE: {table.name: table for table in map(self._tables.of, tables)},
            ResourceType.LISTENER: self._listeners.of(role),
        }

    def _seen(self, scope: Scope) -> Iterable[Entry]:
        """Yield the virtual hosts of the table `local` in a scope."""
        for namespace in sorted({*scope.namespaces, *(key.namespace for key in scope.names)}):
            if namespace in self._namespaces:
                entries = self._namespaces[namespace].hosts.of(LOCAL)
                yield from (entry for entry in entries if scope.sees(entry.owner))
        yield from (entry for entry in self.gateway_api.of(LOCAL) if scope.sees(entry.owner))
