"""The route tables: `public`, `local`, `activator`, `bolt` (ARCHITECTURE, "Names on the wire"). Pure.

A table is joined from encoded virtual hosts; one changed KIngress encodes its own hosts again and no others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher, RouteConfiguration, VirtualHost
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from eventmesh.kube.knative import BROKER_INGRESS, CHANNEL_DISPATCHER
from eventmesh.kube.objects import Key
from eventmesh.xds.control import resources
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import Protocol, set_headers
from eventmesh.xds.control.ingress import (
    Fragment,
    fragment,
    header_is,
    local_names,
    plain_route,
    redirect_host,
    rule_hosts,
    virtual_host,
)
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.objects import Ingress, Rule, Service, ServicePort, View
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import BROKER_CLUSTER, Settings, cluster_of, resolve, service_cluster
from eventmesh.xds.resource_types import ResourceType

PUBLIC, LOCAL, ACTIVATOR, BOLT = "public", "local", "activator", "bolt"

_NAMESPACE_HEADER, _REVISION_HEADER = "knative-serving-namespace", "knative-serving-revision"
_PROXY_HEADER = {"k-proxy-request": "activator"}
"""Marks what the activator has counted already, so that the sidecar's statistics do not count it twice."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Every route table, and what could not be put into them."""

    public: Resource
    local: Resource
    activator: Resource
    activator_local: Resource
    """The table `local` as the activator sees it: what it sends itself is marked as proxied."""
    bolt: Resource
    local_hosts: tuple[str, ...]
    """Full names in `local`, by which proxyless gRPC asks."""
    conflicts: dict[Key, tuple[str, ...]] = field(default_factory=dict)
    """Hosts of a KIngress that an older one has already claimed."""


class _Table:
    """A table in the making: the first to claim a host has it."""

    def __init__(self) -> None:
        self.fields: list[bytes] = []
        self.owners: dict[str, object] = {}

    def free(self, hosts: Iterable[str], owner: object) -> tuple[str, ...]:
        """Return those of `hosts` nobody else has claimed."""
        return tuple(host for host in hosts if self.owners.get(host, owner) == owner)

    def claim(self, hosts: Iterable[str], owner: object) -> tuple[str, ...]:
        """Claim and return those of `hosts` that were free."""
        free = tuple(host for host in hosts if host not in self.owners)
        self.owners.update(dict.fromkeys(free, owner))
        return free

    def add(self, part: Fragment) -> None:
        self.fields.append(part.field)


class TableBuilder:
    """Builds the tables of a view; keeps the encoded hosts of what has not changed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules: Memo[tuple[Rule, str, tuple[str, ...], tuple[str, ...], bool], Fragment] = Memo()
        self._services: Memo[tuple[Service, tuple[str, ...]], Fragment] = Memo()
        self._activator: Memo[tuple[Key, ...], Fragment] = Memo()
        self._bolt: Memo[tuple[str, tuple[str, ...]], Fragment] = Memo()

    def build(self, view: View) -> Tables:
        """Return the tables of `view`. KIngresses claim hosts in order of age, plain Services take what is left."""
        public, local, bolt = _Table(), _Table(), _Table()
        conflicts: dict[Key, tuple[str, ...]] = {}
        self._add_broker(public, local)
        for ingress in sorted(view.ingresses.values(), key=lambda i: (i.created, i.key)):
            lost = self._add_ingress(ingress, view, public, local)
            if lost:
                conflicts[ingress.key] = lost
        for service in sorted(view.services.values(), key=lambda s: s.key):
            self._add_service(service, view, local, bolt)
        marked = encode(made(RouteConfiguration, request_headers_to_add=set_headers(_PROXY_HEADER)))
        tables = Tables(
            public=joined(PUBLIC, public.fields),
            local=joined(LOCAL, local.fields),
            activator=joined(ACTIVATOR, [self._activator_host(view).field], marked),
            activator_local=joined(LOCAL, local.fields, marked),
            bolt=joined(BOLT, bolt.fields),
            local_hosts=tuple(h for h in local.owners if h.endswith(f".svc.{self._settings.cluster_domain}")),
            conflicts=conflicts,
        )
        for memo in (self._rules, self._services, self._activator, self._bolt):
            memo.sweep()
        return tables

    def _add_broker(self, public: _Table, local: _Table) -> None:
        domain = self._settings.cluster_domain
        names = (BROKER_INGRESS, CHANNEL_DISPATCHER)
        inside = [host for name in names for host in local_names(f"{name}.svc.{domain}", domain)]
        outside = [f"{name}.{self._settings.domain}" for name in names]
        for table, hosts in ((local, [*inside, *outside]), (public, outside)):
            claimed = table.claim(hosts, BROKER_CLUSTER)
            host = made(VirtualHost, name=BROKER_CLUSTER, domains=list(claimed), routes=[plain_route(BROKER_CLUSTER)])
            table.add(fragment(host))

    def _add_ingress(self, ingress: Ingress, view: View, public: _Table, local: _Table) -> tuple[str, ...]:
        lost: list[str] = []
        for number, rule in enumerate(ingress.rules):
            hosts = rule_hosts(rule, self._settings.cluster_domain)
            clusters = tuple(resolve(view, s.service, s.port) for path in rule.paths for s in path.splits)
            for table in (local, public) if rule.external else (local,):
                claimed = table.claim(hosts, ingress.key)
                lost += set(hosts) - set(table.free(hosts, ingress.key))
                if claimed:
                    redirect = ingress.redirect and table is public
                    key = (rule, ingress.hash, clusters, claimed, redirect)
                    name = f"{ingress.key}/{number}"
                    table.add(self._rules.get(key, partial(_rule_fragment, name, key, view)))
        return tuple(sorted(set(lost)))

    def _add_service(self, service: Service, view: View, local: _Table, bolt: _Table) -> None:
        if service.placeholder:
            return
        full = f"{service.key.name}.{service.key.namespace}.svc.{self._settings.cluster_domain}"
        http = [port for port in service.ports if port.protocol is not Protocol.BOLT]
        if service.of_revision:
            # The public Service of a revision has the revision's name; the private one names pods that may be away.
            if service.key not in view.serverless:
                return
            http = http[:1]
        if http:
            claimed = local.claim(local_names(full, self._settings.cluster_domain), service.key)
            if claimed:
                local.add(self._services.get((service, claimed), partial(_service_fragment, service, claimed, http)))
        for port in service.ports:
            if port.protocol is Protocol.BOLT and service.interfaces:
                cluster = service_cluster(service.key, port.number)
                names = bolt.claim(service.interfaces, service.key)
                if names:
                    bolt.add(self._bolt.get((cluster, names), partial(_bolt_fragment, cluster, names)))

    def _activator_host(self, view: View) -> Fragment:
        revisions = tuple(sorted(view.serverless))
        return self._activator.get(revisions, lambda: _activator_fragment(revisions))


def _rule_fragment(name: str, key: tuple[Rule, str, tuple[str, ...], tuple[str, ...], bool], view: View) -> Fragment:
    rule, hash_, _, hosts, redirect = key
    if redirect:
        return fragment(redirect_host(name, hosts))
    return fragment(virtual_host(name, hosts, rule, hash_, lambda service, port: resolve(view, service, port)))


def _service_fragment(service: Service, hosts: tuple[str, ...], ports: list[ServicePort]) -> Fragment:
    """Return the host of a plain Service: the port the client named, else 80, else the first one."""
    if service.of_revision:
        routes = [plain_route(str(service.key))]
    else:
        by_port = [
            plain_route(
                cluster_of(service, port),
                made(HeaderMatcher, name=":authority", string_match=made(StringMatcher, suffix=f":{port.number}")),
            )
            for port in ports
        ]
        main = next((port for port in ports if port.number == 80), ports[0])
        routes = [*(by_port if len(ports) > 1 else []), plain_route(cluster_of(service, main))]
    return fragment(made(VirtualHost, name=str(service.key), domains=list(hosts), routes=routes))


def _activator_fragment(revisions: tuple[Key, ...]) -> Fragment:
    routes = [
        plain_route(str(key), header_is(_NAMESPACE_HEADER, key.namespace), header_is(_REVISION_HEADER, key.name))
        for key in revisions
    ]
    return fragment(made(VirtualHost, name=ACTIVATOR, domains=["*"], routes=routes))


def _bolt_fragment(cluster: str, names: tuple[str, ...]) -> Fragment:
    return fragment(made(VirtualHost, name=cluster, domains=list(names), routes=[plain_route(cluster)]))


def joined(name: str, hosts: list[bytes], rest: bytes = b"") -> Resource:
    """Return the route table `name` of encoded virtual hosts and whatever other encoded fields stand in `rest`."""
    head = encode(made(RouteConfiguration, name=name))
    # Clients come with and without a port in Host; it never tells hosts apart (knative/networking, conformance).
    tail = encode(made(RouteConfiguration, ignore_port_in_host_matching=True))
    return resources.from_bytes(ResourceType.ROUTE, name, b"".join([head, *hosts, rest, tail]))
