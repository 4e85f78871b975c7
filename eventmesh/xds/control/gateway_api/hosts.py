"""The virtual hosts of all routes together, encoded: rules of one host may come from routes of many namespaces.

They are built anew when a Gateway API object changes, or a namespace that a route leads to; what has not changed is the
same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from eventmesh.kube.objects import Key
from eventmesh.xds.control.claims import ROUTE, Claims, Rank
from eventmesh.xds.control.gateway_api.attaching import Attached, Ports, Side, attach, conflicts, port_problem
from eventmesh.xds.control.gateway_api.backends import UNRESOLVED_CLUSTER, Backends, Problem
from eventmesh.xds.control.gateway_api.emitting import Placed, virtual_host
from eventmesh.xds.control.gateway_api.values import Gateway, ParentRef, Route, RouteId, World
from eventmesh.xds.control.hosts import Entry
from eventmesh.xds.control.ingress import Fragment, fragment, local_names
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.tables import LOCAL, PUBLIC, SECURE

NAMESPACE = "(gateway api)"
"""Stands for all routes where hosts are claimed by namespace; no namespace can have this name."""

_TABLES = {Side.PUBLIC: PUBLIC, Side.SECURE: SECURE, Side.LOCAL: LOCAL}

Place = tuple[Side, str]


@dataclass(slots=True)
class Report:
    """What has become of the objects, for those who write statuses."""

    attached: Attached = field(default_factory=Attached)
    backends: dict[RouteId, Problem] = field(default_factory=dict)
    """The first backend of a route that leads nowhere, and why."""
    lost: dict[Place, str] = field(default_factory=dict)
    """Hosts that a KIngress has."""

    def rejection(self, route: RouteId, parent: ParentRef) -> Problem | None:
        """Return why a route is served by none of a parent's listeners."""
        problem = self.attached.rejected.get((route, parent))
        if problem is not None:
            return problem
        places = self.attached.hosts_of.get((route, parent), set())
        taken = sorted(place[1] for place in places if place in self.lost)
        if places and len(taken) == len(places):
            return "HostnameConflict", f"{', '.join(taken)}: taken by a Knative Ingress"
        return None


class GatewayApiHosts:
    """Builds the hosts of all routes; keeps the encoded form of what has not changed."""

    def __init__(self, settings: Settings) -> None:
        self.report = Report()
        self.entries: Mapping[str, tuple[Entry, ...]] = {}
        """Virtual hosts by route table."""
        self.secrets: Mapping[Key, tuple[Key, ...]] = {}
        """Secrets that Gateways show, by Gateway."""
        self.renewed: frozenset[str] = frozenset()
        """Namespaces whose Services have other routes by the last build."""
        self._settings = settings
        self._world = World()
        self._leads_to: frozenset[str] = frozenset()
        self._fragments: Memo[tuple[str, tuple[str, ...], tuple[Placed, ...]], Fragment] = Memo()
        self.builds = 0
        """How often the report has been made anew."""
        self.ports = _ports(settings)
        """What listeners may name."""

    def is_touched(self, world: World, namespaces: frozenset[str]) -> bool:
        """Tell whether what the routes become may differ by `world`, or by what has changed in `namespaces`."""
        return world is not self._world or not self._leads_to.isdisjoint(namespaces)

    def wanted(self, world: World, view: Callable[[str], View]) -> Mapping[str, dict[str, list[Rank]]]:
        """Attach all routes anew; return which hosts they ask for, by route table."""
        self._world = world
        services = (key for name in _parent_namespaces(world) for key in view(name).services)
        attached = attach(world, self.ports, services, self._settings.cluster_domain)
        self._leads_to = frozenset(_namespaces(world))
        self.report = Report(attached)
        self.secrets = {
            key: tuple(secret for one in gateway.listeners if one.is_tls for secret in self.shown(gateway, one.name))
            for key, gateway in world.own_gateways().items()
        }
        out: dict[str, dict[str, list[Rank]]] = {PUBLIC: {}, LOCAL: {}}
        for side, host in attached.hosts:
            # A host that is served under TLS too is claimed once.
            table = LOCAL if side is Side.LOCAL else PUBLIC
            for name in self._names(side, host):
                out[table].setdefault(name, [_rank(host)])
        return out

    def build(self, view: Callable[[str], View], claims: Mapping[str, Claims]) -> set[str]:
        """Build the hosts that were won; return the route tables that differ by it."""
        self.builds += 1
        before = self.entries
        entries: dict[str, list[Entry]] = {PUBLIC: [], SECURE: [], LOCAL: []}
        backends = Backends(self._world, view, self._settings.cluster_domain)
        attached = self.report.attached
        for side, host in sorted(attached.hosts, key=lambda place: (place[0].value, place[1])):
            routes = attached.hosts[(side, host)]
            claim = claims[LOCAL if side is Side.LOCAL else PUBLIC]
            won = claim.won(self._names(side, host), _rank(host))
            if not won:
                self.report.lost[(side, host)] = host
                continue
            key = (f"gateway-api/{host}", won, tuple(_placed(routes, backends)))
            made_ = self._fragments.get(key, partial(_fragment, *key))
            clusters = tuple(dict.fromkeys(cluster for placed in key[2] for cluster in placed.clusters))
            owner = attached.services.get(host, routes[0].key)
            entries[_TABLES[side]].append(Entry(owner, made_, clusters))
        self._fragments.sweep()
        self._find_problems(backends)
        self.entries = {table: tuple(found) for table, found in entries.items()}
        served = (self.of(LOCAL), before.get(LOCAL, ()))
        self.renewed = frozenset(entry.owner.namespace for entry in set(served[0]) ^ set(served[1]))
        return {table for table, found in self.entries.items() if before.get(table, ()) != found}

    def of(self, table: str) -> tuple[Entry, ...]:
        """Return the virtual hosts in one table."""
        return self.entries.get(table, ())

    @property
    def leads_nowhere(self) -> bool:
        """True when a share of some rule is meant for what is not there."""
        return any(UNRESOLVED_CLUSTER in entry.clusters for found in self.entries.values() for entry in found)

    def secrets_in(self, namespace: str) -> Mapping[Key, tuple[Key, ...]]:
        """Return the Secrets that the Gateways of a namespace show, by `secret_claimant`."""
        return {secret_claimant(key): found for key, found in self.secrets.items() if key.namespace == namespace}

    def shown(self, gateway: Gateway, listener: str) -> tuple[Key, ...]:
        """Return the Secrets that a listener shows: those of its Gateway's own namespace."""
        if listener in conflicts(gateway):
            return ()
        found = (one for one in gateway.listeners if one.name == listener and port_problem(one, self.ports) is None)
        return tuple(secret for one in found for secret in one.secrets if secret.namespace == gateway.key.namespace)

    def _names(self, side: Side, host: str) -> tuple[str, ...]:
        return tuple(local_names(host, self._settings.cluster_domain)) if side is Side.LOCAL else (host,)

    def _find_problems(self, backends: Backends) -> None:
        for id_, route in self._world.routes.items():
            found = (backends.problem(route, backend) for rule in route.rules for backend in rule.references)
            problem = next((one for one in found if one is not None), None)
            if problem is not None:
                self.report.backends[id_] = problem


def secret_claimant(gateway: Key) -> Key:
    """Return what a Gateway is called among those who claim certificates; no KIngress can have this name."""
    return Key(gateway.namespace, f"gateway/{gateway.name}")


def _rank(host: str) -> Rank:
    return Rank(ROUTE, "", Key(NAMESPACE, host))


def _placed(routes: list[Route], backends: Backends) -> Iterator[Placed]:
    for route in routes:
        for number, rule in enumerate(route.rules):
            yield Placed(route.key, number, rule, backends.shares(route, rule), backends.policy(route, rule))


def _fragment(name: str, domains: tuple[str, ...], rules: tuple[Placed, ...]) -> Fragment:
    return fragment(virtual_host(name, domains, rules))


def _namespaces(world: World) -> Iterator[str]:
    yield from (key.namespace for key in world.own_gateways())
    for route in world.routes.values():
        yield from (backend.service.namespace for rule in route.rules for backend in rule.references)
    yield from _parent_namespaces(world)


def _parent_namespaces(world: World) -> set[str]:
    parents = (parent for route in world.routes.values() for parent in route.parents)
    return {parent.key.namespace for parent in parents if parent.kind == "Service"}


def _ports(settings: Settings) -> Ports:
    # Beside the ports of the process, those that people write: a Service in front of it has them.
    return Ports(frozenset((80, settings.public[1])), frozenset((443, settings.secure[1])))
