"""Which routes are served where: routes and the listeners they name, hosts they have in common, and why not. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.gateway_api.values import (
    Admits,
    Gateway,
    Labels,
    Listener,
    ParentRef,
    Route,
    RouteId,
    World,
)

ANY_HOST = "*"

Problem = tuple[str, str]
"""Reason and message of a condition."""


class Side(Enum):
    """Where hosts are served."""

    PUBLIC = "public"
    SECURE = "secure"
    LOCAL = "local"
    """Inside the mesh, under the names of a Service (GEP-1324, "Gateway API for mesh")."""


@frozen
class Ports:
    """Ports that Gateways may name: those of the gateway's own listeners, and those its Service is known by."""

    plain: frozenset[int]
    secure: frozenset[int]


@dataclass(slots=True)
class Attached:
    """What has become of all routes."""

    hosts: dict[tuple[Side, str], list[Route]] = field(default_factory=dict)
    """The routes of each host, in order of precedence."""
    services: dict[str, Key] = field(default_factory=dict)
    """Which Service a host of Side.LOCAL is the name of."""
    rejected: dict[tuple[RouteId, ParentRef], Problem] = field(default_factory=dict)
    """Why a route is not attached to a parent."""
    counts: dict[tuple[Key, str], int] = field(default_factory=dict)
    """How many routes each listener has."""
    hosts_of: dict[tuple[RouteId, ParentRef], set[tuple[Side, str]]] = field(default_factory=dict)


def attach(world: World, ports: Ports, services: Iterable[Key], cluster_domain: str) -> Attached:
    """Return where each route is served; `services` are the Kubernetes Services there are."""
    out, gateways, known = Attached(), world.own_gateways(), frozenset(services)
    for route in sorted(world.routes.values(), key=lambda one: (*one.age, one.kind.value)):
        for parent in dict.fromkeys(route.parents):
            at = (route.id, parent)
            if parent.kind == "Service":
                found = _to_service(route, parent, known, cluster_domain)
            elif parent.kind == "Gateway" and parent.key in gateways:
                found = _to_gateway(route, parent, gateways[parent.key], world, ports, out.counts)
            else:
                continue  # Another implementation's.
            if isinstance(found, tuple):
                out.rejected[at] = found
                continue
            out.hosts_of[at] = found
            for place in found:
                routes = out.hosts.setdefault(place, [])
                if route not in routes:
                    routes.append(route)
                if place[0] is Side.LOCAL:
                    out.services[place[1]] = parent.key
    return out


def _to_service(
    route: Route, parent: ParentRef, known: frozenset[Key], cluster_domain: str
) -> set[tuple[Side, str]] | Problem:
    if parent.key.namespace != route.key.namespace:
        return "NotAllowedByListeners", "routes of a Service's own namespace alone decide about its requests"
    if parent.key not in known:
        return "NoMatchingParent", f"there is no Service {parent.key}"
    if parent.port or parent.section:
        return (
            "UnsupportedValue",
            "one port of a Service cannot have a route of its own; leave out port and sectionName",
        )
    return {(Side.LOCAL, f"{parent.key.name}.{parent.key.namespace}.svc.{cluster_domain}")}


def _to_gateway(
    route: Route, parent: ParentRef, gateway: Gateway, world: World, ports: Ports, counts: dict[tuple[Key, str], int]
) -> set[tuple[Side, str]] | Problem:
    named = [
        listener
        for listener in gateway.listeners
        if parent.section in ("", listener.name) and parent.port in (0, listener.port)
    ]
    if not named:
        return "NoMatchingParent", f"Gateway {gateway.key} has no listener {_wanted(parent)}"
    allowed = [
        one for one in named if route.kind in one.kinds and _admits(one, gateway, route.key.namespace, world.labels)
    ]
    if not allowed:
        return "NotAllowedByListeners", f"no listener takes a {route.kind.value} of namespace {route.key.namespace}"
    places: set[tuple[Side, str]] = set()
    conflicted = conflicts(gateway)
    for listener in allowed:
        hosts = common_hosts(listener.hostname, route.hostnames)
        if hosts:
            counts[(gateway.key, listener.name)] = counts.get((gateway.key, listener.name), 0) + 1
        if listener.name not in conflicted and port_problem(listener, ports) is None:
            side = Side.SECURE if listener.is_tls else Side.PUBLIC
            places.update((side, host) for host in hosts)
    if not places:
        wanted = ", ".join(route.hostnames) or ANY_HOST
        return "NoMatchingListenerHostname", f"no listener that is served has a host in common with {wanted}"
    return places


def _wanted(parent: ParentRef) -> str:
    name = parent.section or "of any name"
    return f"{name} on port {parent.port}" if parent.port else name


def port_problem(listener: Listener, ports: Ports) -> Problem | None:
    """Return why a listener cannot be served by itself; None when it can."""
    if listener.problem is not None:
        return listener.problem
    known = ports.secure if listener.is_tls else ports.plain
    if listener.port not in known:
        accepted = ", ".join(map(str, sorted(known)))
        kind = "HTTPS" if listener.is_tls else "HTTP"
        return "PortUnavailable", f"port: {listener.port} is not open for {kind}; accepted are {accepted}"
    return None


def conflicts(gateway: Gateway) -> Mapping[str, Problem]:
    """Return the listeners of a Gateway that are told apart by nothing from one before them."""
    seen: dict[tuple[int, str], Listener] = {}
    found: dict[str, Problem] = {}
    for listener in gateway.listeners:
        first = seen.setdefault((listener.port, listener.hostname), listener)
        if first is not listener:
            reason = "HostnameConflict" if first.is_tls == listener.is_tls else "ProtocolConflict"
            found[listener.name] = reason, f"listener {first.name} has this port and hostname"
    return found


def _admits(listener: Listener, gateway: Gateway, namespace: str, labels: Mapping[str, Labels]) -> bool:
    match listener.admits:
        case Admits.ALL:
            return True
        case Admits.SAME:
            return namespace == gateway.key.namespace
        case Admits.SELECTOR:
            return listener.selector.matches(dict(labels.get(namespace, ())))
        case Admits.NONE:
            return False


def common_hosts(listener: str, route: Iterable[str]) -> tuple[str, ...]:
    """Return the hosts that a listener and a route have in common, the narrower of the two each time."""
    wanted = tuple(route)
    if not wanted:
        return (listener or ANY_HOST,)
    return tuple(dict.fromkeys(_common(listener, wanted)))


def _common(listener: str, wanted: Iterable[str]) -> Iterator[str]:
    for host in wanted:
        if not listener or host == listener or _covers(listener, host):
            yield host
        elif _covers(host, listener):
            yield listener


def _covers(wildcard: str, host: str) -> bool:
    """Tell whether `*.a.b` stands for `host`, which may be a wildcard itself."""
    if not wildcard.startswith("*."):
        return False
    rest = host[1:] if host.startswith("*.") else host
    return rest.endswith(wildcard[1:]) and len(rest) > len(wildcard) - 1
