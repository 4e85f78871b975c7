"""Clusters and their endpoints, from Services, EndpointSlices and ServerlessServices. Pure.

A revision is one cluster `<namespace>/<revision>` for everybody; what differs is where it leads. Gateways and
sidecars go to the pods, or to the activator while the revision is in Proxy mode; the activator always goes to the
pods, and holds requests while there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from eventmesh.base.frozen import frozen
from eventmesh.kube.knative import BROKER_INGRESS, CHANNEL_DISPATCHER, CLUSTER_DOMAIN
from eventmesh.kube.objects import Key
from eventmesh.xds.control import envoy
from eventmesh.xds.control.envoy import Hold, Protocol, Spoken
from eventmesh.xds.control.memo import Memo
from eventmesh.xds.control.objects import ServerlessService, Service, ServicePort, View
from eventmesh.xds.control.policy.values import ClusterPolicy
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.resource_types import ResourceType

Address = tuple[str, int]
Assigned = dict[str, Resource]
"""Endpoint resources by cluster."""

V = TypeVar("V")

BROKER_CLUSTER = "knative-eventing/broker-ingress:80"
"""Where brokers take events in: the activators."""

INGRESS_HOSTS = frozenset(f"{name}.svc.{CLUSTER_DOMAIN}" for name in (BROKER_INGRESS, CHANNEL_DISPATCHER))
"""An ExternalName Service that leads to one of these leads to the activators: each channel has such a Service."""

GATEWAY_CLUSTER = "eventmesh-system/gateway-internal"
"""The gateway's cluster-local listener, to which a sidecar hands what lies beyond its scope."""

HTTP1_PORT, HTTP2_PORT = 8012, 8013
"""Ports of a Knative pod's sidecar, used when an EndpointSlice names none (knative/serving pkg/networking)."""

HTTP_SERVICE_PORT = 80
"""Port of the gateway's Services (knative/networking: a load balancer's `domainInternal` is asked on port 80)."""

_REVISION_PORT_NAMES = ("http", "http2", "h2c")


@frozen
class Settings:
    """Addresses of the data plane, as (host, port), and how control goes about."""

    public: Address = ("127.0.0.1", 8080)
    """Gateway listener for everybody."""
    secure: Address = ("127.0.0.1", 8443)
    """Gateway listener for everybody, under TLS; it is there while some KIngress names a certificate."""
    local: Address = ("127.0.0.1", 8081)
    """Gateway listener for the cluster's own clients."""
    activator: Address = ("127.0.0.2", 8012)
    """What the activator listens on, and where gateways find it."""
    activators: tuple[Address, ...] = ()
    """Where to find activators when there are several; empty: `activator` alone."""
    brokers: tuple[Address, ...] = (("127.0.0.2", 8080),)
    """Where brokers take events in."""
    domain: str = "localhost"
    """Domain of public hosts that control itself publishes (the broker ingress)."""
    cluster_domain: str = "cluster.local"
    public_service: str = "gateway.eventmesh-system.svc.cluster.local"
    """Service of the gateway's public listener, as told in KIngress status."""
    jwks_refresh_s: float = 1200.0
    """Between two fetches of an issuer's key set; Istiod's 20 minutes."""
    local_service: str = "gateway-internal.eventmesh-system.svc.cluster.local"
    """Service of the gateway's cluster-local listener, as told in KIngress status."""

    @property
    def gateway_address(self) -> Address:
        """Return where sidecars find the gateway's local listener; by its Service when it listens on every address."""
        return (self.local_service, HTTP_SERVICE_PORT) if self.is_gateway_named else self.local

    @property
    def is_gateway_named(self) -> bool:
        """True when `gateway_address` is a name to be resolved."""
        return self.local[0] in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

    @property
    def activator_addresses(self) -> tuple[Address, ...]:
        """Return where a revision in Proxy mode is found."""
        return self.activators or (self.activator,)


def service_cluster(service: Key, port: int) -> str:
    """Return the name of the cluster of one Service port."""
    return f"{service}:{port}"


def cluster_of(service: Service, port: ServicePort) -> str:
    """Return the cluster that requests to one port of a Service go to."""
    return BROKER_CLUSTER if service.external_name in INGRESS_HOSTS else service_cluster(service.key, port.number)


def resolve(view: View, service: Key, port: int | str) -> str:
    """Return the cluster that a KIngress means by a Service and its port: the revision's own, else the port's.

    While there is no such Service, the name is that of the cluster it will have; it exists, empty, meanwhile.
    """
    if service in view.serverless:
        return str(service)
    known = view.services.get(service)
    if known is not None:
        for candidate in known.ports:
            if port in (candidate.number, candidate.name):
                return cluster_of(known, candidate)
    return f"{service}:{port}"


class Pods:
    """The ready addresses of a view, by Service and by revision."""

    def __init__(self, view: View, touched: frozenset[Key] | None = None) -> None:
        """Index the slices of `touched`, or of everybody."""
        self._by_service: dict[Key, dict[str, list[Address]]] = {}
        self._by_revision: dict[Key, dict[str, list[Address]]] = {}
        for piece in (piece for pieces in _chosen(view.slices, touched) for piece in pieces.values()):
            index = self._by_revision if piece.revision else self._by_service
            ports = index.setdefault(piece.owner, {})
            for name, number in piece.ports:
                ports.setdefault(name, []).extend((address, number) for address in piece.addresses)
            if not piece.ports:
                ports.setdefault("", []).extend((address, 0) for address in piece.addresses)

    def of_port(self, service: Key, port: ServicePort) -> tuple[Address, ...]:
        """Return the addresses behind one Service port."""
        found = self._by_service.get(service, {}).get(port.name, [])
        return tuple(sorted({(host, number or port.number) for host, number in found}))

    def of_revision(self, sks: ServerlessService) -> tuple[Address, ...]:
        """Return the addresses of the revision's sidecars."""
        ports = self._by_revision.get(sks.key, {})
        default = HTTP2_PORT if sks.protocol is Protocol.HTTP2 else HTTP1_PORT
        for name in (*_REVISION_PORT_NAMES, ""):
            if name in ports:
                return tuple(sorted({(host, number or default) for host, number in ports[name]}))
        return ()


def revision_addresses(sks: ServerlessService, pods: Pods, settings: Settings) -> tuple[Address, ...]:
    """Return where gateways and sidecars send a revision's requests.

    Without a ready pod Serve means Proxy, and without an activator Proxy means Serve (knative/serving
    pkg/reconciler/serverlessservice): somebody must answer.
    """
    ready = pods.of_revision(sks)
    if (sks.proxy or not ready) and settings.activator_addresses:
        return settings.activator_addresses
    return ready


class Clusters:
    """Builds the clusters of one namespace; what has not changed since the last build is the same object again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clusters: Memo[tuple[str, Spoken, Hold | None, ClusterPolicy | None], Resource] = Memo()
        self._dns: Memo[tuple[str, str, int, Spoken, ClusterPolicy | None], Resource] = Memo()
        self._endpoints: Memo[tuple[str, tuple[Address, ...]], Resource] = Memo()
        self._dangling: tuple[str, ...] = ()
        """Clusters that a KIngress names although nobody has made their Service: a data plane that meets a route to a
        cluster it has never heard of holds the whole table back for a while."""

    def clusters(self, view: View) -> tuple[dict[str, Resource], dict[str, Resource]]:
        """Return every cluster by name, twice: as most see it, and as the activator does, which holds requests."""
        plain: dict[str, Resource] = {}
        for service, port in _plain_ports(view):
            name, policy = service_cluster(service.key, port.number), view.limits.get(service.key)
            if service.external_name:
                plain[name] = self._external(name, service.external_name, port, policy)
            else:
                plain[name] = self._cluster(name, port.protocol, None, policy)
        holding = dict(plain)
        for sks in view.serverless.values():
            name, policy = str(sks.key), view.limits.get(sks.key)
            plain[name] = self._cluster(name, sks.protocol, None, policy)
            # What waits at the activator has a queue and limits of its own.
            balancing = ClusterPolicy(balancing=policy.balancing) if policy is not None else None
            holding[name] = self._cluster(name, sks.protocol, Hold(view.concurrency.get(sks.key, 0)), balancing)
        named = {resolve(view, service, port) for service, port in _references(view)}
        self._dangling = tuple(sorted(named - plain.keys() - {BROKER_CLUSTER}))
        for name in self._dangling:
            plain[name] = holding[name] = self._cluster(name, Protocol.HTTP1, None)
        self._clusters.sweep()
        self._dns.sweep()
        return plain, holding

    def endpoints(self, view: View, touched: frozenset[Key] | None = None) -> tuple[Assigned, Assigned]:
        """Return the endpoints of the clusters built last, as most see them, and those the activator sees otherwise:
        pods only.

        `touched` names the Services and revisions of which they are wanted; None: of all.
        """
        plain = {name: self._assigned(name, ()) for name in self._dangling} if touched is None else {}
        pods_only: Assigned = {}
        pods = Pods(view, touched)
        for service, port in _plain_ports(view, touched):
            if not service.external_name:
                name = service_cluster(service.key, port.number)
                plain[name] = self._assigned(name, pods.of_port(service.key, port))
        for sks in _chosen(view.serverless, touched):
            name = str(sks.key)
            plain[name] = self._assigned(name, revision_addresses(sks, pods, self._settings))
            pods_only[name] = self._assigned(name, pods.of_revision(sks))
        if touched is None:
            self._endpoints.sweep()
        return plain, pods_only

    def _cluster(self, name: str, protocol: Spoken, hold: Hold | None, policy: ClusterPolicy | None = None) -> Resource:
        key = (name, protocol, hold, policy)
        return self._clusters.get(key, lambda: envoy.cluster(*key))

    def _external(self, name: str, host: str, port: ServicePort, policy: ClusterPolicy | None) -> Resource:
        key = (name, host, port.number, port.protocol, policy)
        return self._dns.get(key, lambda: envoy.dns_cluster(*key))

    def _assigned(self, name: str, addresses: tuple[Address, ...]) -> Resource:
        return self._endpoints.get((name, addresses), lambda: envoy.endpoints(name, addresses))


def _references(view: View) -> Iterator[tuple[Key, int | str]]:
    for ingress in view.ingresses.values():
        for rule in ingress.rules:
            for path in rule.paths:
                yield from ((split.service, split.port) for split in path.splits)


def _chosen(objects: Mapping[Key, V], touched: frozenset[Key] | None) -> Iterator[V]:
    if touched is None:
        yield from objects.values()
    else:
        yield from (objects[key] for key in touched if key in objects)


def _plain_ports(view: View, touched: frozenset[Key] | None = None) -> Iterator[tuple[Service, ServicePort]]:
    for service in _chosen(view.services, touched):
        if service.of_revision or service.placeholder:
            continue
        for port in service.ports:
            if cluster_of(service, port) != BROKER_CLUSTER:
                yield service, port


def gateway_resources(settings: Settings) -> Mapping[ResourceType, Mapping[str, Resource]]:
    """Return the cluster of the gateway's local listener, as sidecars see it."""
    host, port = settings.gateway_address
    if settings.is_gateway_named:
        cluster = envoy.dns_cluster(GATEWAY_CLUSTER, host, port, Protocol.DOWNSTREAM)
        return {ResourceType.CLUSTER: {GATEWAY_CLUSTER: cluster}, ResourceType.ENDPOINT: {}}
    return {
        ResourceType.CLUSTER: {GATEWAY_CLUSTER: envoy.cluster(GATEWAY_CLUSTER, Protocol.DOWNSTREAM)},
        ResourceType.ENDPOINT: {GATEWAY_CLUSTER: envoy.endpoints(GATEWAY_CLUSTER, [(host, port)])},
    }
