"""From the reference of a DomainMapping to the Service that its requests go to.

After the resolver of knative.dev/pkg and Serving's rules on what a domain may stand for: an address without a path,
inside the namespace, by the name of a Service.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informers
from eventmesh.kube.knative import CLUSTER_DOMAIN, service_host
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import BROKER, KSERVICE, ROUTE, SERVICE

REFERABLE = (KSERVICE, ROUTE, SERVICE, BROKER)
"""Kinds whose address is known here. A Broker's has a path: it is looked up so that the answer can say so."""
SERVICE_PORT = 80
"""The port of a plain Service that a domain's requests go to."""
_SUFFIX = f".svc.{CLUSTER_DOMAIN}"


class Unresolvable(Exception):
    """Why a reference leads nowhere; the words go into a condition."""


class References:
    """Resolves references from the caches of the kinds that have an address."""

    def __init__(self, informers: Informers) -> None:
        self.informers = {resource: informers.of(resource) for resource in REFERABLE}

    def service_of(self, reference: Object, namespace: str) -> str:
        """Return the name of the Service, in `namespace`, that `reference` stands for; raises Unresolvable."""
        url = self._address(reference)
        parts = urlsplit(url)
        if parts.path.strip("/"):
            raise Unresolvable(f'resolved URI "{url}" contains a path')
        host = parts.hostname or ""
        names = host.removesuffix(_SUFFIX).split(".")
        if not host.endswith(_SUFFIX) or len(names) != 2:
            raise Unresolvable(f'resolved URI "{url}" must be of the form {{name}}.{{namespace}}{_SUFFIX}')
        if names[1] != namespace:
            raise Unresolvable(f'resolved URI "{url}" must be in same namespace as DomainMapping')
        return names[0]

    def _address(self, reference: Object) -> str:
        wanted = (reference.get("apiVersion"), reference.get("kind"))
        resource = next((r for r in REFERABLE if (r.api_version, r.kind) == wanted), None)
        key = Key(reference.get("namespace", ""), reference["name"])
        if resource is None:
            known = ", ".join(f"{r.kind} ({r.api_version})" for r in REFERABLE)
            raise Unresolvable(f"{wanted[1]} ({wanted[0]}) {key} has no address that is known here; known are {known}")
        obj = self.informers[resource].get(key.name, key.namespace)
        if obj is None:
            raise Unresolvable(f'failed to get object {key}: {resource.group_resource} "{key.name}" not found')
        if resource == SERVICE:
            _require_port(obj)
            return f"http://{service_host(key.name, key.namespace)}"
        url: str | None = ((obj.get("status") or {}).get("address") or {}).get("url")
        if not url:
            raise Unresolvable(f"address not set for {resource.kind} {key}")
        return url


def _require_port(service: Object) -> None:
    spec = service.get("spec") or {}
    numbers = [port["port"] for port in spec.get("ports") or [] if port.get("protocol", "TCP") == "TCP"]
    if SERVICE_PORT not in numbers and spec.get("type") != "ExternalName":
        has = ", ".join(map(str, numbers)) or "none"
        name = service["metadata"]["name"]
        raise Unresolvable(f'Service "{name}" needs a port {SERVICE_PORT}, to which a domain leads; its ports: {has}')
