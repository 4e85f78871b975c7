"""Labels, annotations and names of Knative Serving (pkg/apis/serving/register.go, knative.dev/pkg/kmeta)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

GROUP = "serving.knative.dev"
SERVICE = f"{GROUP}/service"
SERVICE_UID = f"{GROUP}/serviceUID"
CONFIGURATION = f"{GROUP}/configuration"
CONFIGURATION_UID = f"{GROUP}/configurationUID"
CONFIGURATION_GENERATION = f"{GROUP}/configurationGeneration"
REVISION = f"{GROUP}/revision"
REVISION_UID = f"{GROUP}/revisionUID"
ROUTE = f"{GROUP}/route"
ROUTE_NAMESPACE = f"{GROUP}/routeNamespace"
ROUTING_STATE = f"{GROUP}/routingState"
ROUTING_STATE_MODIFIED = f"{GROUP}/routingStateModified"
ROUTES = f"{GROUP}/routes"
CREATOR = f"{GROUP}/creator"
LAST_MODIFIER = f"{GROUP}/lastModifier"
NO_GC = f"{GROUP}/no-gc"
PROGRESS_DEADLINE = f"{GROUP}/progress-deadline"
ROLLOUT_DURATION = f"{GROUP}/rollout-duration"
DOMAIN_MAPPING_UID = f"{GROUP}/domainMappingUID"
DOMAIN_MAPPING_NAMESPACE = f"{GROUP}/domainMappingNamespace"

QUEUE_SIDECAR = f"queue.sidecar.{GROUP}"
"""Domain of the annotations about a revision's sidecar."""
NETWORKING = "networking.knative.dev"
VISIBILITY = f"{NETWORKING}/visibility"
CLUSTER_LOCAL = "cluster-local"
INGRESS_CLASS = f"{NETWORKING}/ingress-class"
INGRESS_CLASS_OLD = f"{NETWORKING}/ingress.class"
NETWORKING_INTERNAL = "networking.internal.knative.dev"
SERVICE_TYPE = f"{NETWORKING_INTERNAL}/serviceType"
ROLLOUT = f"{NETWORKING_INTERNAL}/rollout"
TAG_TO_HOST = f"{NETWORKING_INTERNAL}/tag-to-host"

INGRESS_CLASS_EVENTMESH = "eventmesh.ingress.networking.knative.dev"

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""kubectl's own note to itself about one object; it never reaches the objects made from it."""

MAX_NAME = 63
"""A name that becomes a DNS label or a label value (RFC 1123)."""
_MD5_CHARS = 32
_HEAD = MAX_NAME - _MD5_CHARS
_TRAILING = re.compile(r"[^a-z0-9]+$")


def child_name(parent: str, suffix: str) -> str:
    """Return `parent + suffix`, or when that is too long for a label a stable name that fits (kmeta.ChildName)."""
    if len(parent) + len(suffix) <= MAX_NAME:
        return parent + suffix
    if len(suffix) >= _HEAD:
        name = parent[:_HEAD] + _md5(parent + suffix)
        return _TRAILING.sub("", name + suffix[: MAX_NAME - len(name)])
    return parent[: _HEAD - len(suffix)] + _md5(parent) + suffix


def revision_name(configuration: str, generation: int) -> str:
    """Return the name of the revision that generation `generation` of a configuration stamps out."""
    return child_name(configuration, f"-{generation:05d}")


def deployment_name(revision: str) -> str:
    """Return the name of a revision's Deployment."""
    return child_name(revision, "-deployment")


def tagged_name(tag: str, route: str) -> str:
    """Return the name under which a tag of a route is reached; the route's own for the empty tag."""
    return child_name(f"{tag}-", route) if tag else route


def is_of_service(metadata: Mapping[str, Any]) -> bool:
    """Return whether an object belongs to a Knative Service, which speaks for its author then."""
    owners = metadata.get("ownerReferences") or ()
    return any(o.get("kind") == "Service" and str(o.get("apiVersion", "")).startswith(f"{GROUP}/") for o in owners)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
