"""Small worlds to route in."""

from __future__ import annotations

import json
from typing import Any

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.route.v3 import Route, RouteConfiguration, VirtualHost

from eventmesh.kube.api import Object
from eventmesh.model.route import RouteTable
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.objects import INGRESS_CLASS
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.types import type_of_url
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.route import read_route_table


def ingress(name: str, *rules: Object, created: str = "2026-01-01T00:00:00Z", **spec: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "generation": 1,
            "creationTimestamp": created,
            "annotations": {"networking.knative.dev/ingress-class": INGRESS_CLASS},
        },
        "spec": {"rules": list(rules), **spec},
    }


def rule(*hosts: str, paths: list[Object] | None = None, external: bool = True) -> Object:
    visibility = "ExternalIP" if external else "ClusterLocal"
    return {"hosts": list(hosts), "visibility": visibility, "http": {"paths": paths or [path(split("svc"))]}}


def path(*splits: Object, **more: Any) -> Object:
    return {"splits": list(splits), **more}


def split(service: str, percent: int = 100, port: int | str = 80, **headers: str) -> Object:
    appended = {name.replace("_", "-"): value for name, value in headers.items()}
    out: Object = {"serviceNamespace": "ns", "serviceName": service, "servicePort": port, "percent": percent}
    return {**out, "appendHeaders": appended} if appended else out


def service(name: str, *ports: Object, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "ns", "labels": labels or {}, "annotations": spec.pop("annotations", {})}
    return {"metadata": metadata, "spec": {"ports": list(ports) or [{"name": "http", "port": 80}], **spec}}


def slice_(service: str, *addresses: str, port: int = 8080, name: str = "http", ready: bool = True) -> Object:
    labels = {"kubernetes.io/service-name": service}
    if service.endswith("-private"):
        labels["networking.internal.knative.dev/serverlessservice"] = service.removesuffix("-private")
        labels["networking.internal.knative.dev/serviceType"] = "Private"
    return {
        "metadata": {"name": f"{service}-0", "namespace": "ns", "labels": labels},
        "ports": [{"name": name, "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


def within(namespace: str, obj: Object) -> Object:
    """Return the object in another namespace than `ns`, and what its paths lead to with it."""
    text = json.dumps(obj).replace('"serviceNamespace": "ns"', f'"serviceNamespace": "{namespace}"')
    out: Object = json.loads(text)
    out["metadata"]["namespace"] = namespace
    return out


def namespace(name: str, egress: str) -> Object:
    return {"metadata": {"name": name, "annotations": {"eventmesh.io/egress": egress}}}


def policy(name: str, created: str = "2026-01-01T00:00:00Z", **spec: Any) -> Object:
    """Return a TrafficPolicy; without targetRefs it is for the Service `svc`."""
    metadata = {"name": name, "namespace": "ns", "generation": 1, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"targetRefs": [{"kind": "Service", "name": "svc"}], **spec}}


def interface(name: str, *offered: Object, service: str = "orders", created: str = "", **target: str) -> Object:
    """Return a ServiceInterface of the Service `orders`."""
    metadata = {"name": name, "namespace": "ns", "generation": 1, "creationTimestamp": created}
    reference = {"kind": "Service", "name": service, **target}
    return {"metadata": metadata, "spec": {"targetRef": reference, "interfaces": list(offered)}}


def declaration(called: str = "lamp", port: int = 7100, created: str = "", **more: Any) -> Object:
    """Return a ProtocolDeclaration: a magic, an id, a room, a payload."""
    said = {
        "frame": [
            {"magic": "4c414d50"},
            {"number": {"name": "kind", "size": 1}},
            {"id": {"size": 4}},
            {"text": {"name": "room", "prefix": 1}},
            {"section": {"prefix": 2}},
        ],
        "kinds": [{"is": "request", "when": {"kind": 0}}, {"is": "response", "when": {"kind": 1}}],
        "route": {"service": {"text": "room"}},
        "error": {
            "codes": {"default": 1},
            "frame": [{"bytes": "4c414d5001"}, "id", {"bytes": "00"}, {"text": {"prefix": 2}}],
        },
        **more,
    }
    metadata = {"name": called, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"clientPort": port, "declaration": said}}


def serverless(name: str, mode: str = "Serve", protocol: str = "http1") -> Object:
    return {
        "metadata": {"name": name, "namespace": "ns", "generation": 1},
        "spec": {"mode": mode, "protocolType": protocol},
    }


def revision(name: str, concurrency: int) -> Object:
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"containerConcurrency": concurrency}}


def pod(name: str, account: str = "", *, sidecar: bool = True, **labels: str) -> Object:
    marks = {} if sidecar else {"eventmesh.io/inject": "false"}
    spec = {"serviceAccountName": account} if account else {}
    return {"metadata": {"name": name, "namespace": "ns", "labels": labels, "annotations": marks}, "spec": spec}


def peer_authentication(mode: str, namespace: str = "ns", name: str = "default") -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"mtls": {"mode": mode}}}


def world(**objects: list[Object]) -> Watcher:
    """Return a watcher that has seen `ingress=[...]`, `service=[...]`, `slice=[...]` and so on."""
    watcher = Watcher()
    for kind, items in objects.items():
        for obj in items:
            getattr(watcher, kind)(None, obj)
    return watcher


def built(watcher: Watcher, settings: Settings | None = None) -> ResourceBuilder:
    """Return a builder that has built all that the watcher has seen."""
    builder = ResourceBuilder(settings or Settings())
    builder.update(watcher.of, watcher.take_changed())
    return builder


def table(resource: Resource) -> dict[str, VirtualHost]:
    """Return the virtual hosts of a route table by domain."""
    parsed = RouteConfiguration.parse(resource.body)
    return {domain: host for host in parsed.virtual_hosts for domain in host.domains}


def read_table(resource: Resource) -> RouteTable:
    """Return a route table as a data plane of ours reads it."""
    message = read_wire(type_of_url(ResourceType.ROUTE.value), resource.body, "", [])
    return read_route_table(message, [])


def plain(host: VirtualHost) -> list[Route]:
    """Return the routes that are not for probes."""
    return [
        route
        for route in host.routes
        if not any(header.name == "k-network-hash" for header in (route.match.headers if route.match else []))
    ]


def edits(items: list[Any]) -> dict[str, str]:
    return {item.header.key: item.header.value for item in items}


def hosts_of(resource: Resource) -> set[str]:
    """Return the addresses of an endpoint resource."""
    parsed = ClusterLoadAssignment.parse(resource.body)
    return {
        f"{a.address}:{a.port_value}"
        for group in parsed.endpoints
        for e in group.lb_endpoints
        if e.endpoint and e.endpoint.address and (a := e.endpoint.address.socket_address)
    }


def cluster_of(resource: Resource) -> Cluster:
    return Cluster.parse(resource.body)
