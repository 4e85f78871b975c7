"""Kubernetes objects as control sees them: the few fields that routes, clusters and endpoints are made of.

Each parser returns a frozen value, so that an update that changes none of these fields changes nothing downstream;
what control cannot route is a ValueError that names the field, and becomes a condition on the object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import field
from enum import Enum
from typing import Any

from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.injection import account_of, has_identity
from eventmesh.kube.objects import Key, annotations_of, key_of, labels_of
from eventmesh.xds.control.access.values import (
    AuthorizationPolicy,
    ExtensionProvider,
    PythonFilter,
    RequestAuthentication,
)
from eventmesh.xds.control.certificates import Certificate
from eventmesh.xds.control.envoy import Declared, Protocol, Spoken
from eventmesh.xds.control.ingress_hash import ingress_hash
from eventmesh.xds.control.interfaces.reading import parse_interfaces
from eventmesh.xds.control.interfaces.values import Interface, ProtocolDeclaration, ServiceInterface
from eventmesh.xds.control.policy.values import ClusterPolicy, RoutePolicy, TrafficPolicy

INGRESS_CLASS = "eventmesh.ingress.networking.knative.dev"
"""The class whose KIngresses are ours; all others are never touched."""

_CLASS_ANNOTATIONS = ("networking.knative.dev/ingress-class", "networking.knative.dev/ingress.class")
_SKS_LABEL = "networking.internal.knative.dev/serverlessservice"
_TYPE_LABEL = "networking.internal.knative.dev/serviceType"
_ROUTE_LABEL = "serving.knative.dev/route"
_FUNCTION_LABEL = "serving.knative.dev/service"
_REVISION_LABEL = "serving.knative.dev/revision"
_SLICE_SERVICE_LABEL = "kubernetes.io/service-name"
INTERFACES_ANNOTATION = "eventmesh.io/service-interfaces"
"""On a Service that is called by interface: which it offers, as `interface[:version[:uniqueId]]`, by commas."""
_PROTOCOL_PREFIX = "eventmesh.io/"
"""Kubernetes keeps names without a prefix for IANA; with this one an appProtocol is ours."""


@frozen
class Split:
    """A share of a path's requests."""

    service: Key
    port: int | str
    percent: int
    headers: Mapping[str, str] = field(hash=False)


@frozen
class Path:
    """Requests below a prefix, perhaps only those with certain headers."""

    prefix: str
    splits: tuple[Split, ...]
    matches: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    rewrite_host: str = ""
    policy: RoutePolicy | None = None
    """Of the TrafficPolicy of what the path leads to (`policy.attaching`)."""


@frozen
class Rule:
    """Paths of some hosts."""

    hosts: tuple[str, ...]
    paths: tuple[Path, ...]
    external: bool


@frozen
class Ingress:
    """A KIngress of our class."""

    key: Key
    generation: int
    created: str
    hash: str
    rules: tuple[Rule, ...]
    redirect: bool = False
    """External hosts answer 301 to https."""
    secrets: tuple[Key, ...] = ()
    """Whose certificates the gateway shows for its hosts; none: they are not served under TLS."""


@frozen
class ServicePort:
    """One port of a Service."""

    name: str
    number: int
    protocol: Spoken
    app_protocol: str = ""
    """The appProtocol when it is no protocol that control knows: perhaps one that is declared (`in_protocols`)."""


@frozen
class Service:
    """A Kubernetes Service."""

    key: Key
    ports: tuple[ServicePort, ...]
    external_name: str = ""
    interfaces: tuple[Interface, ...] = ()
    """What its annotation says that it offers."""
    of_revision: bool = False
    """It belongs to a ServerlessService, which is routed under the revision's name."""
    policy: RoutePolicy | None = None
    """Of the Service's TrafficPolicy (`policy.attaching`)."""
    selector: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Labels of its pods; none: somebody else says where it leads."""
    placeholder: bool = False
    """It only stands for the name of a Knative Route, whose KIngress says where requests go."""


@frozen
class Slice:
    """The ready addresses of one EndpointSlice."""

    service: Key
    ports: tuple[tuple[str, int], ...]
    addresses: tuple[str, ...]
    revision: Key | None = None
    """The revision whose pods these are."""

    @property
    def owner(self) -> Key:
        """Return whose addresses these are."""
        return self.revision or self.service


@frozen
class Workload:
    """What of a pod says who it is."""

    labels: Mapping[str, str]
    account: str
    """Its service account; empty: it has no sidecar and speaks no mTLS by itself, and so has no identity."""


class MtlsMode(Enum):
    """What the inbound side of workloads takes, in the words of Istio's PeerAuthentication."""

    PERMISSIVE = "PERMISSIVE"
    """mTLS and clear text on one port."""
    STRICT = "STRICT"
    """mTLS alone."""


@frozen
class ServerlessService:
    """Where a revision's requests go: to its pods, or to the activator."""

    key: Key
    protocol: Protocol
    proxy: bool
    generation: int


@frozen
class View:
    """All that routing depends on in one namespace, at one moment. Replaced, never changed."""

    ingresses: Mapping[Key, Ingress] = field(default_factory=dict)
    services: Mapping[Key, Service] = field(default_factory=dict)
    slices: Mapping[Key, Mapping[Key, Slice]] = field(default_factory=dict)
    """By the Service or revision whose addresses they have, for one of them to be looked up among thousands."""
    serverless: Mapping[Key, ServerlessService] = field(default_factory=dict)
    concurrency: Mapping[Key, int] = field(default_factory=dict)
    """containerConcurrency by revision."""
    certificates: Mapping[Key, Certificate] = field(default_factory=dict)
    """What the namespace's Secrets of type kubernetes.io/tls hold."""
    functions: Mapping[Key, str] = field(default_factory=dict)
    """Name of the Knative Service by revision."""
    policies: Mapping[Key, TrafficPolicy] = field(default_factory=dict)
    limits: Mapping[Key, ClusterPolicy] = field(default_factory=dict)
    """Policies of clusters, by the revision or Service they lead to (`policy.attaching`)."""
    interfaces: Mapping[Key, ServiceInterface] = field(default_factory=dict)
    declarations: Mapping[Key, ProtocolDeclaration] = field(default_factory=dict)
    """Of the mesh as a whole: in the view of no namespace (`watcher.CLUSTER_SCOPED`)."""
    accounts: Mapping[Key, str] = field(default_factory=dict)
    """Service account by revision; a revision whose pods have no sidecar has none."""
    workloads: Mapping[Key, Workload] = field(default_factory=dict)
    """Pods that are no revision's."""
    mtls: Mapping[Key, MtlsMode] = field(default_factory=dict)
    """What PeerAuthentications demand."""
    authorizations: Mapping[Key, AuthorizationPolicy] = field(default_factory=dict)
    authentications: Mapping[Key, RequestAuthentication] = field(default_factory=dict)
    filters: Mapping[Key, PythonFilter] = field(default_factory=dict)
    providers: Mapping[str, ExtensionProvider | str] = field(default_factory=dict)
    """Of the mesh as a whole, in the view of its own namespace; a text says what is wrong with one."""
    key_sets: Mapping[str, str] = field(default_factory=dict)
    """The same: of issuers, by their addresses; empty when there was none to be had."""
    egress: tuple[Key, ...] = ()
    """What the namespace's functions call elsewhere, as far as it declares that (`scope`)."""


def is_ours(obj: Object) -> bool:
    """True when the KIngress `obj` names our class."""
    annotations = annotations_of(obj)
    return any(annotations.get(name) == INGRESS_CLASS for name in _CLASS_ANNOTATIONS)


def parse_ingress(obj: Object) -> Ingress:
    """Return the KIngress; raises ValueError naming the field that cannot be routed."""
    metadata, spec, key = obj["metadata"], obj.get("spec") or {}, key_of(obj)
    return Ingress(
        key=key,
        generation=metadata.get("generation", 0),
        created=metadata.get("creationTimestamp", ""),
        hash=ingress_hash(spec, key.namespace, key.name),
        rules=tuple(_rule(rule, f"spec.rules[{i}]", key) for i, rule in enumerate(spec.get("rules") or [])),
        redirect=spec.get("httpOption") == "Redirected",
        secrets=tuple(_secret(item, f"spec.tls[{i}]", key) for i, item in enumerate(spec.get("tls") or [])),
    )


def _secret(item: Mapping[str, Any], at: str, key: Key) -> Key:
    name = item.get("secretName", "")
    if not name:
        raise ValueError(f"{at}.secretName: missing")
    namespace = item.get("secretNamespace") or key.namespace
    if namespace != key.namespace:
        raise ValueError(f"{at}.secretNamespace: {namespace!r} is not the ingress's own namespace {key.namespace!r}")
    return Key(namespace, name)


def _rule(rule: Mapping[str, Any], at: str, key: Key) -> Rule:
    hosts = tuple(rule.get("hosts") or ())
    if not hosts:
        raise ValueError(f"{at}.hosts: at least one host is needed")
    paths = (rule.get("http") or {}).get("paths") or []
    if not paths:
        raise ValueError(f"{at}.http.paths: at least one path is needed")
    return Rule(
        hosts=hosts,
        paths=tuple(_path(path, f"{at}.http.paths[{i}]", key) for i, path in enumerate(paths)),
        external=rule.get("visibility", "ExternalIP") in ("", "ExternalIP"),
    )


def _path(path: Mapping[str, Any], at: str, key: Key) -> Path:
    splits = path.get("splits") or []
    shares = [_split(split, f"{at}.splits[{i}]", key, alone=len(splits) == 1) for i, split in enumerate(splits)]
    if sum(share.percent for share in shares) != 100:
        raise ValueError(f"{at}.splits: percents add up to {sum(share.percent for share in shares)}, not to 100")
    prefix = path.get("path") or "/"
    if not prefix.startswith("/"):
        raise ValueError(f"{at}.path: {prefix!r} does not start with '/'")
    return Path(
        prefix=prefix,
        splits=tuple(shares),
        matches=tuple(sorted((n.lower(), m.get("exact", "")) for n, m in (path.get("headers") or {}).items())),
        headers=_lowered(path.get("appendHeaders")),
        rewrite_host=path.get("rewriteHost", ""),
    )


def _split(split: Mapping[str, Any], at: str, key: Key, *, alone: bool) -> Split:
    namespace = split.get("serviceNamespace") or key.namespace
    if namespace != key.namespace:
        raise ValueError(f"{at}.serviceNamespace: {namespace!r} is not the ingress's own namespace {key.namespace!r}")
    percent = split.get("percent") or (100 if alone else 0)
    port = split.get("servicePort", 80)
    return Split(Key(namespace, split.get("serviceName", "")), port, percent, _lowered(split.get("appendHeaders")))


def _lowered(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def parse_service(obj: Object) -> Service:
    """Return the Service; ports that do not carry TCP are left out."""
    spec, labels, annotations = obj.get("spec") or {}, labels_of(obj), annotations_of(obj)
    return Service(
        key=key_of(obj),
        ports=tuple(_service_port(port) for port in spec.get("ports") or [] if port.get("protocol", "TCP") == "TCP"),
        external_name=spec.get("externalName", "") if spec.get("type") == "ExternalName" else "",
        interfaces=parse_interfaces(annotations.get(INTERFACES_ANNOTATION, "")),
        of_revision=_SKS_LABEL in labels,
        selector=spec.get("selector") or {},
        placeholder=_ROUTE_LABEL in labels and not labels.get(_SKS_LABEL),
    )


_PROTOCOLS: Mapping[str, Protocol] = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "h2c": Protocol.HTTP2,
    "grpc": Protocol.HTTP2,
    "http2": Protocol.HTTP2,
    "tri": Protocol.HTTP2,  # Dubbo 3's Triple is gRPC with names of its own
    "bolt": Protocol.BOLT,
    "dubbo": Protocol.DUBBO,
}
"""By appProtocol; by the first word of the port's name too, as Istio reads it."""


def _service_port(port: Mapping[str, Any]) -> ServicePort:
    name, app = port.get("name", ""), (port.get("appProtocol") or "").removeprefix(_PROTOCOL_PREFIX)
    if app in _PROTOCOLS:
        return ServicePort(name, port["port"], _PROTOCOLS[app])
    return ServicePort(name, port["port"], _named(name), app)


def _named(port_name: str) -> Protocol:
    return _PROTOCOLS.get(port_name.partition("-")[0], Protocol.HTTP1)


def in_protocols(service: Service, declared: Collection[str]) -> Service:
    """Return the Service with each port that names a protocol of `declared` speaking that."""
    ports = tuple(
        dataclasses.replace(port, protocol=Declared(app) if app in declared else _named(port.name))
        if (app := port.app_protocol)
        else port
        for port in service.ports
    )
    return dataclasses.replace(service, ports=ports) if ports != service.ports else service


def private_service_of(obj: Object) -> Key | None:
    """Return the revision whose pods the Service (or its EndpointSlice) `obj` selects; None for any other."""
    labels = labels_of(obj)
    if labels.get(_TYPE_LABEL) != "Private" or not labels.get(_SKS_LABEL):
        return None
    return Key(obj["metadata"].get("namespace", ""), labels[_SKS_LABEL])


def parse_slice(obj: Object) -> Slice:
    """Return the EndpointSlice with the addresses that take requests now."""
    labels = labels_of(obj)
    addresses: list[str] = []
    for endpoint in obj.get("endpoints") or []:
        # An unknown readiness counts as ready (discovery.k8s.io/v1, EndpointConditions.ready).
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            addresses += endpoint.get("addresses") or []
    return Slice(
        service=Key(obj["metadata"].get("namespace", ""), labels.get(_SLICE_SERVICE_LABEL, "")),
        ports=tuple((port.get("name") or "", port["port"]) for port in obj.get("ports") or [] if port.get("port")),
        addresses=tuple(sorted(addresses)),
        # A slice carries the labels of its Service (endpointslice controller).
        revision=private_service_of(obj),
    )


def parse_serverless(obj: Object) -> ServerlessService:
    """Return the ServerlessService."""
    spec = obj.get("spec") or {}
    return ServerlessService(
        key=key_of(obj),
        protocol=Protocol.HTTP2 if spec.get("protocolType") == "h2c" else Protocol.HTTP1,
        proxy=spec.get("mode", "Serve") == "Proxy",
        generation=obj["metadata"].get("generation", 0),
    )


def function_of(obj: Object) -> str:
    """Return the name of the Knative Service that a Revision belongs to; empty when it belongs to none."""
    return labels_of(obj).get(_FUNCTION_LABEL, "")


def parse_account(obj: Object) -> str | None:
    """Return the service account of a Revision's pods; None when they have no identity."""
    return account_of(obj) if has_identity(obj) else None


def parse_workload(obj: Object) -> Workload | None:
    """Return what identifies a pod; None for a revision's: those are known by their Revision, before any pod is."""
    labels = labels_of(obj)
    if _REVISION_LABEL in labels:
        return None
    return Workload(labels, account_of(obj) if has_identity(obj) else "")


def parse_mtls(obj: Object) -> MtlsMode | None:
    """Return what a PeerAuthentication demands; None when it leaves that to others (`UNSET`)."""
    word = ((obj.get("spec") or {}).get("mtls") or {}).get("mode")
    return next((mode for mode in MtlsMode if mode.value == word), None)


def parse_concurrency(obj: Object) -> int:
    """Return the containerConcurrency of a Revision; 0 = no limit."""
    limit: int = (obj.get("spec") or {}).get("containerConcurrency") or 0
    return limit
