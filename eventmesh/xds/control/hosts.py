"""The virtual hosts of one namespace, encoded, and which clusters each leads to; `tables` joins route tables of them.

Hosts are claimed first (`wanted`), since a KIngress elsewhere may have an older claim; what was won is built (`build`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import partial
from itertools import chain
from typing import TypeVar

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher, VirtualHost
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.claims import INGRESS, SERVICE, Claims, Rank
from eventmesh.xds.control.encoding import encode, made
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
from eventmesh.xds.control.interfaces.offers import Offer, OfferBuilder, lost, table_of
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.objects import Ingress, Rule, Service, ServicePort, View
from eventmesh.xds.control.policy.values import RoutePolicy
from eventmesh.xds.control.protobuf import delimited
from eventmesh.xds.control.services import Settings, cluster_of, resolve
from eventmesh.xds.control.tables import LOCAL, PUBLIC, SECURE

NAMESPACE_HEADER, REVISION_HEADER = "knative-serving-namespace", "knative-serving-revision"

Wanted = dict[str, dict[str, list[Rank]]]
"""Claimants by host, by route table."""

T = TypeVar("T")

_RuleKey = tuple[Rule, str, tuple[str, ...], tuple[str, ...], bool]


@frozen
class Entry:
    """One virtual host, the object it stands for, and the clusters it leads to."""

    owner: Key
    host: Fragment
    clusters: tuple[str, ...]
    bare: Fragment | None = None
    """The same without what proxyless gRPC clients would refuse, where that is something else."""


@frozen
class Hosts:
    """What one namespace puts into the route tables."""

    entries: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    """Virtual hosts by route table."""
    activator: bytes = b""
    """The encoded routes of its revisions at the activator."""
    conflicts: Mapping[Key, Mapping[str, Key]] = field(default_factory=dict)
    """Hosts of a KIngress that somebody has claimed before it, and who."""
    offers: Mapping[str, tuple[Offer, ...]] = field(default_factory=dict)
    """What is called by interface, by route table."""
    offers_lost: Mapping[Key, Mapping[str, Key]] = field(default_factory=dict)
    """Names of a ServiceInterface that somebody has claimed before it, and who."""

    def of(self, table: str) -> tuple[Entry, ...]:
        """Return the virtual hosts in one table."""
        return self.entries.get(table, ())


_Ask = tuple[str, tuple[str, ...], Rank]
"""A route table, hosts in it, and who asks for them."""


@frozen
class _Built:
    """What one object has put into the route tables."""

    of: Ingress | Service
    entries: tuple[tuple[str, Entry], ...]
    """With the name of the table of each."""
    leads_to: frozenset[Key] = frozenset()
    """Services that it names: which clusters they are depends on what there is of them."""
    missed: Mapping[str, Key] = field(default_factory=dict)
    """Hosts that somebody has claimed before it, and who."""


class HostBuilder:
    """Builds the hosts of one namespace, object by object; what has not changed is not looked at again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._asks: dict[Key, tuple[Ingress, list[_Ask]]] = {}
        self._ingresses: dict[Key, _Built] = {}
        self._services: dict[Key, _Built] = {}
        self._revisions: Memo[Key, bytes] = Memo()
        self._offers = OfferBuilder()
        self._view = View()
        """What was built last."""
        self.moved: set[Key] = set()
        """Objects that ask for a host which has changed hands since then."""

    def wanted(self, view: View) -> Wanted:
        """Return which hosts the namespace asks for, and with what right."""
        out: Wanted = {PUBLIC: {}, LOCAL: {}, **self._offers.wanted(view)}
        before, self._asks = self._asks, {}
        for key, ingress in view.ingresses.items():
            known = before.get(key)
            if known is None or known[0] is not ingress:
                known = ingress, self._asks_of(ingress)
            self._asks[key] = known
            for table, hosts, rank in known[1]:
                _ask(out[table], hosts, rank)
        for service in view.services.values():
            if _http_ports(service, view):
                _ask(out[LOCAL], self._names_of(service), Rank(SERVICE, "", service.key))
        return out

    def build(self, view: View, claims: Mapping[str, Claims]) -> Hosts:
        """Return the hosts that the namespace has won."""
        entries: dict[str, list[Entry]] = {PUBLIC: [], SECURE: [], LOCAL: []}
        conflicts: dict[Key, Mapping[str, Key]] = {}
        serverless = _differing(self._view.serverless, view.serverless)
        changed = serverless | _differing(self._view.services, view.services)
        before, self._ingresses = self._ingresses, {}
        for ingress in sorted(view.ingresses.values(), key=lambda i: (i.created, i.key)):
            known = before.get(ingress.key)
            if known is None or self._is_stale(known, ingress) or not known.leads_to.isdisjoint(changed):
                known = self._of_ingress(ingress, view, claims)
            self._ingresses[ingress.key] = known
            if known.missed:
                conflicts[ingress.key] = known.missed
        before, self._services = self._services, {}
        for key in sorted(view.services):
            service, known = view.services[key], before.get(key)
            if known is None or self._is_stale(known, service) or key in serverless:
                known = self._of_service(service, view, claims)
            self._services[key] = known
        for built in chain(self._ingresses.values(), self._services.values()):
            for table, entry in built.entries:
                entries[table].append(entry)
        activator = b"".join(
            self._revisions.get(key, partial(_activator_route, key)) for key in sorted(view.serverless)
        )
        self._revisions.sweep()
        offers = self._offers.build(view, claims)
        self._view, self.moved = view, set()
        return Hosts(
            {table: tuple(found) for table, found in entries.items()}, activator, conflicts, offers, lost(view, claims)
        )

    def _is_stale(self, known: _Built, now: Ingress | Service) -> bool:
        return known.of is not now or now.key in self.moved

    def _asks_of(self, ingress: Ingress) -> list[_Ask]:
        return [
            (table, self._hosts_of(rule), _rank(ingress, number))
            for number, rule in enumerate(ingress.rules)
            for table in _tables_of(rule)
        ]

    def _of_ingress(self, ingress: Ingress, view: View, claims: Mapping[str, Claims]) -> _Built:
        entries: list[tuple[str, Entry]] = []
        missed: dict[str, Key] = {}
        fragments: Memo[_RuleKey, Fragment] = Memo()
        for table, hosts, rank in self._asks_of(ingress):
            won = claims[table].won(hosts, rank)
            missed |= claims[table].lost(hosts, ingress.key)
            if not won:
                continue
            for name in (PUBLIC, SECURE) if table == PUBLIC and ingress.secrets else (table,):
                entries.append((name, _rule_entry(ingress, rank.number, won, view, name, fragments)))
        leads_to = frozenset(split.service for rule in ingress.rules for path in rule.paths for split in path.splits)
        return _Built(ingress, tuple(entries), leads_to, missed)

    def _hosts_of(self, rule: Rule) -> tuple[str, ...]:
        return rule_hosts(rule, self._settings.cluster_domain)

    def _names_of(self, service: Service) -> Sequence[str]:
        full = f"{service.key.name}.{service.key.namespace}.svc.{self._settings.cluster_domain}"
        return local_names(full, self._settings.cluster_domain)

    def _of_service(self, service: Service, view: View, claims: Mapping[str, Claims]) -> _Built:
        http = _http_ports(service, view)
        won = claims[LOCAL].won(self._names_of(service), Rank(SERVICE, "", service.key)) if http else ()
        if not won:
            return _Built(service, ())
        bare = None
        if service.policy is not None and service.policy.beyond_channels:
            plain = dataclasses.replace(service, policy=service.policy.for_channels())
            bare = _service_fragment(plain, won, http)
        clusters = (*_service_clusters(service, http), *_copied_to(service.policy))
        entry = Entry(service.key, _service_fragment(service, won, http), clusters, bare)
        return _Built(service, ((LOCAL, entry),))


def _rule_entry(
    ingress: Ingress,
    number: int,
    hosts: tuple[str, ...],
    view: View,
    table: str,
    fragments: Memo[_RuleKey, Fragment],
) -> Entry:
    """Return the virtual host of one rule in one table; `fragments` are those of the ingress, alike in most tables."""
    rule = ingress.rules[number]
    clusters = tuple(resolve(view, s.service, s.port) for path in rule.paths for s in path.splits)
    key = (rule, ingress.hash, clusters, hosts, ingress.redirect and table == PUBLIC)
    name = f"{ingress.key}/{number}"
    made_ = fragments.get(key, partial(_rule_fragment, name, key, view))
    clusters += tuple(cluster for path in rule.paths for cluster in _copied_to(path.policy))
    if table != LOCAL or not any(path.policy is not None and path.policy.beyond_channels for path in rule.paths):
        return Entry(ingress.key, made_, clusters)
    bare = (_for_channels(rule), *key[1:])
    return Entry(ingress.key, made_, clusters, fragments.get(bare, partial(_rule_fragment, name, bare, view)))


def _differing(before: Mapping[Key, T], after: Mapping[Key, T]) -> set[Key]:
    """Return the keys whose values are not the very same objects."""
    if before is after:
        return set()
    return {key for key in before.keys() | after.keys() if before.get(key) is not after.get(key)}


def _ask(table: dict[str, list[Rank]], hosts: Sequence[str], rank: Rank) -> None:
    for host in hosts:
        table.setdefault(host, []).append(rank)


def _rank(ingress: Ingress, number: int) -> Rank:
    return Rank(INGRESS, ingress.created, ingress.key, number)


def _tables_of(rule: Rule) -> tuple[str, ...]:
    return (LOCAL, PUBLIC) if rule.external else (LOCAL,)


def _http_ports(service: Service, view: View) -> list[ServicePort]:
    """Return the ports under which the Service's own name leads to it over HTTP."""
    if service.placeholder:
        return []
    http = [port for port in service.ports if table_of(port.protocol) is None]
    if service.of_revision:
        # The public Service of a revision has the revision's name; the private one names pods that may be away.
        return http[:1] if service.key in view.serverless else []
    return http


def _rule_fragment(name: str, key: _RuleKey, view: View) -> Fragment:
    rule, hash_, _, hosts, redirect = key
    if redirect:
        return fragment(redirect_host(name, hosts))
    return fragment(virtual_host(name, hosts, rule, hash_, lambda service, port: resolve(view, service, port)))


def _for_channels(rule: Rule) -> Rule:
    paths = (
        dataclasses.replace(path, policy=path.policy.for_channels()) if path.policy is not None else path
        for path in rule.paths
    )
    return dataclasses.replace(rule, paths=tuple(paths))


def _copied_to(policy: RoutePolicy | None) -> tuple[str, ...]:
    """Return the clusters that get copies of requests: whoever is told of a route must know them too."""
    return tuple(mirror.cluster for mirror in policy.mirrors) if policy is not None else ()


def _service_clusters(service: Service, ports: Sequence[ServicePort]) -> tuple[str, ...]:
    if service.of_revision:
        return (str(service.key),)
    return tuple(cluster_of(service, port) for port in ports)


def _service_fragment(service: Service, hosts: tuple[str, ...], ports: list[ServicePort]) -> Fragment:
    """Return the host of a plain Service: the port the client named, else 80, else the first one."""
    if service.of_revision:
        routes = [plain_route(str(service.key), policy=service.policy)]
    else:
        by_port = [
            plain_route(
                cluster_of(service, port),
                made(HeaderMatcher, name=":authority", string_match=made(StringMatcher, suffix=f":{port.number}")),
                policy=service.policy,
            )
            for port in ports
        ]
        main = next((port for port in ports if port.number == 80), ports[0])
        otherwise = plain_route(cluster_of(service, main), policy=service.policy)
        routes = [*(by_port if len(ports) > 1 else []), otherwise]
    return fragment(made(VirtualHost, name=str(service.key), domains=list(hosts), routes=routes))


def _activator_route(key: Key) -> bytes:
    route = plain_route(str(key), header_is(NAMESPACE_HEADER, key.namespace), header_is(REVISION_HEADER, key.name))
    return delimited(3, encode(route))
