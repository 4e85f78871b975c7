"""Who offers which interface, and the route tables that callers by interface are routed by. Pure.

An interface is one virtual host; Services that offer it in other groups or versions are routes of that host, the one
that says more first. SOFARPC's names hold version and uniqueId themselves, so there each name is a host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from envoy_data_plane.envoy.config.route.v3 import Route, VirtualHost

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.claims import INTERFACE, SERVICE, Claims, Rank
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import Declared, Protocol, Spoken
from eventmesh.xds.control.ingress import header_is, plain_route
from eventmesh.xds.control.interfaces.values import Interface
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.objects import Service, ServicePort, View
from eventmesh.xds.control.policy.values import RoutePolicy
from eventmesh.xds.control.protobuf import delimited
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import service_cluster
from eventmesh.xds.control.tables import joined

BOLT, DUBBO = "bolt", "dubbo"
"""Route tables of a sidecar's outbound side."""

_DECLARED = "declared/"


def declared_table(name: str) -> str:
    """Return the route table of a declared protocol."""
    return f"{_DECLARED}{name}"


def table_of(protocol: Spoken) -> str | None:
    """Return the table that calls of `protocol` are routed by; None when they name a host and no interface."""
    match protocol:
        case Protocol.BOLT:
            return BOLT
        case Protocol.DUBBO:
            return DUBBO
        case Declared(name):
            return declared_table(name)
        case _:
            return None


@frozen
class Offer:
    """One route of an interface's virtual host."""

    owner: Key
    """The Service."""
    domain: str
    interface: Interface
    cluster: str
    route: bytes
    """Field 3 of a VirtualHost."""


@frozen
class _Claim:
    """A Service's wish to be called by an interface."""

    table: str
    called: str
    interface: Interface
    rank: Rank
    service: Service
    port: ServicePort

    @property
    def shown(self) -> str:
        """What callers of the table name, with all by which it is told apart."""
        return self.called if self.table == BOLT else str(self.interface)

    @property
    def name(self) -> str:
        """What one alone can have: data planes compare hosts without regard to case."""
        return self.shown.lower()


def _claims(view: View) -> Iterator[_Claim]:
    for service in view.services.values():
        if not service.placeholder:
            for number, interface in enumerate(service.interfaces):
                yield from _of_service(service, "", interface, Rank(SERVICE, "", service.key, number))
    for key, offered in view.interfaces.items():
        found = view.services.get(Key(key.namespace, offered.service))
        if found is not None and not found.placeholder:
            for number, interface in enumerate(offered.interfaces):
                yield from _of_service(found, offered.port, interface, Rank(INTERFACE, offered.created, key, number))


def _of_service(service: Service, port_name: str, interface: Interface, rank: Rank) -> Iterator[_Claim]:
    seen = set()
    for port in service.ports:
        table = table_of(port.protocol)
        if table is None or table in seen or (port_name and port.name != port_name):
            continue
        seen.add(table)
        for called in interface.unique_names() if table == BOLT else (interface.name,):
            yield _Claim(table, called, interface, rank, service, port)


def ports_offered(service: Service, port_name: str) -> list[ServicePort]:
    """Return the ports of a Service, or the one of that name, which are called by interface."""
    named = (port for port in service.ports if not port_name or port.name == port_name)
    return [port for port in named if table_of(port.protocol) is not None]


class OfferBuilder:
    """Builds the offers of one namespace; keeps the encoded form of what has not changed."""

    def __init__(self) -> None:
        self._offers: Memo[tuple[str, str, Interface, str, Key, RoutePolicy | None], Offer] = Memo()

    def wanted(self, view: View) -> dict[str, dict[str, list[Rank]]]:
        """Return which names the namespace asks for, by table, and with what right."""
        out: dict[str, dict[str, list[Rank]]] = {}
        for claim in _claims(view):
            out.setdefault(claim.table, {}).setdefault(claim.name, []).append(claim.rank)
        return out

    def build(self, view: View, claims: Mapping[str, Claims]) -> dict[str, tuple[Offer, ...]]:
        """Return what the namespace has won, by table."""
        out: dict[str, list[Offer]] = {}
        for claim in _claims(view):
            if claims[claim.table].won((claim.name,), claim.rank):
                cluster = service_cluster(claim.service.key, claim.port.number)
                key = (claim.table, claim.called, claim.interface, cluster, claim.service.key, claim.service.policy)
                out.setdefault(claim.table, []).append(self._offers.get(key, partial(_offer, *key)))
        self._offers.sweep()
        return {table: tuple(sorted(offers, key=_order)) for table, offers in out.items()}


def lost(view: View, claims: Mapping[str, Claims]) -> dict[Key, dict[str, Key]]:
    """Return the names that a ServiceInterface asks for and does not have, and who has them."""
    out: dict[Key, dict[str, Key]] = {}
    for claim in _claims(view):
        winner = claims[claim.table].winner(claim.name)
        if claim.rank.kind == INTERFACE and winner is not None and winner != claim.rank:
            out.setdefault(claim.rank.key, {})[claim.shown] = winner.key
    return out


def _offer(
    table: str, called: str, interface: Interface, cluster: str, owner: Key, policy: RoutePolicy | None
) -> Offer:
    if table == BOLT:
        # As with hosts, digits alone behind the last colon are a port and take no part; the path has all of the name.
        domain, _, last = called.rpartition(":")
        is_port = bool(domain) and last.isdigit()
        route = plain_route(cluster, policy=policy, prefix=f"/{called}/" if is_port else "/")
        return Offer(owner, domain if is_port else called, interface, cluster, _field(route))
    said = (("group", interface.group), ("version", interface.version))
    route = plain_route(cluster, *(header_is(word, value) for word, value in said if value), policy=policy)
    return Offer(owner, called, interface, cluster, _field(route))


def _field(route: Route) -> bytes:
    return delimited(3, encode(route))


def _order(offer: Offer) -> tuple[str, int, Interface]:
    """The more an offer says of a call, the earlier its route is tried."""
    return offer.domain.lower(), -bool(offer.interface.group) - bool(offer.interface.version), offer.interface


def interface_table(name: str, offers: Iterable[Offer]) -> Resource:
    """Return the route table `name` of offers from anywhere in the mesh."""
    by_domain = groupby(sorted(offers, key=_order), key=lambda offer: offer.domain.lower())
    return joined(name, (_host(list(found)) for _, found in by_domain))


def _host(offers: Sequence[Offer]) -> bytes:
    domain = offers[0].domain
    head = encode(made(VirtualHost, name=domain, domains=[domain]))
    return delimited(2, b"".join([head, *(offer.route for offer in offers)]))
