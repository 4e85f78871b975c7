"""The hosts and URLs of a Route and of its tags (Serving, pkg/reconciler/route/domains)."""

from __future__ import annotations

from eventmesh.controllers.serving.names import CLUSTER_LOCAL, VISIBILITY, tagged_name
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.controllers.serving.templates import expand
from eventmesh.kube.api import Object
from eventmesh.kube.knative import CLUSTER_DOMAIN
from eventmesh.kube.objects import annotations_of, labels_of

_DEFAULT_PORTS = {"http": 80, "https": 443}


def cluster_host(route: Object, tag: str = "") -> str:
    """Return the host under which the cluster's own clients reach a route or its tag."""
    metadata = route["metadata"]
    return f"{tagged_name(tag, metadata['name'])}.{metadata['namespace']}.svc.{CLUSTER_DOMAIN}"


def cluster_hosts(route: Object, tag: str = "") -> list[str]:
    """Return every spelling of `cluster_host`, the shortest first."""
    full = cluster_host(route, tag)
    short = full.removesuffix(f".svc.{CLUSTER_DOMAIN}")
    return [short, f"{short}.svc", full]


def is_cluster_local(route: Object, settings: ServingSettings) -> bool:
    """Return whether a route is hidden from outside: by its label, or because its domain is the cluster's."""
    labels = labels_of(route)
    return labels.get(VISIBILITY) == CLUSTER_LOCAL or settings.domain_of(labels) == f"svc.{CLUSTER_DOMAIN}"


def public_host(route: Object, tag: str, settings: ServingSettings) -> str:
    """Return the host under which the world reaches a route or its tag."""
    metadata, labels, annotations = route["metadata"], labels_of(route), annotations_of(route)
    network = settings.network
    name: str = metadata["name"]
    if tag:
        name = expand(network.tag_template, {"Name": name, "Tag": tag}, annotations, labels)
    names = {"Name": name, "Namespace": metadata["namespace"], "Domain": settings.domain_of(labels)}
    return expand(network.domain_template, names, annotations, labels)


def url(route: Object, tag: str, settings: ServingSettings, *, hidden: bool) -> str:
    """Return the URL of a route or its tag, with the gateway's port when it is not the scheme's own.

    A `hidden` one has only the cluster's own.
    """
    if hidden:
        return f"http://{cluster_host(route, tag)}"
    return public_url(public_host(route, tag, settings), settings)


def public_url(host: str, settings: ServingSettings, scheme: str = "") -> str:
    """Return the URL under which the world reaches `host` by the settings' scheme, or by the one given."""
    scheme = scheme or settings.network.default_scheme
    port = settings.local.external_tls_port if scheme == "https" else settings.local.external_port
    return f"{scheme}://{host}" if port == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"
