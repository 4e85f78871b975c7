"""Route → KIngress (Serving, pkg/reconciler/route/resources/ingress.go)."""

from __future__ import annotations

from collections.abc import Mapping

from eventmesh.controllers.serving.domains import cluster_hosts, is_cluster_local, public_host
from eventmesh.controllers.serving.names import (
    INGRESS_CLASS,
    INGRESS_CLASS_OLD,
    LAST_APPLIED,
    NETWORKING,
    ROLLOUT,
    ROUTE_NAMESPACE,
    SERVICE,
)
from eventmesh.controllers.serving.names import ROUTE as ROUTE_LABEL
from eventmesh.controllers.serving.resources.deployment import is_h2c
from eventmesh.controllers.serving.rollout import Rollout, written
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.controllers.serving.traffic import Traffic
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import KINGRESS, ROUTE

HTTP1_PORT = 80
HTTP2_PORT = 81
"""Ports of a revision's Service, by what its function speaks."""


def ingress_class(obj: Object, settings: ServingSettings) -> str:
    """Return which networking layer a Route or DomainMapping is for."""
    annotations = annotations_of(obj)
    return annotations.get(INGRESS_CLASS) or annotations.get(INGRESS_CLASS_OLD) or settings.network.ingress_class


def kingress(
    route: Object, traffic: Traffic, rollout: Rollout, revisions: Mapping[str, Object], settings: ServingSettings
) -> Object:
    """Return the KIngress that sends a route's traffic to its revisions; `revisions` are those with a share."""
    metadata = route["metadata"]
    annotations = {key: value for key, value in annotations_of(route).items() if key != LAST_APPLIED}
    annotations.pop(INGRESS_CLASS_OLD, None)
    annotations[INGRESS_CLASS] = ingress_class(route, settings)
    annotations[ROLLOUT] = written(rollout)
    labels = {
        **labels_of(route),
        ROUTE_LABEL: metadata["name"],
        ROUTE_NAMESPACE: metadata["namespace"],
        SERVICE: labels_of(route).get(SERVICE, ""),
    }
    return {
        "apiVersion": KINGRESS.api_version,
        "kind": KINGRESS.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(ROUTE, route)],
        },
        "spec": {
            "httpOption": http_option(annotations, settings),
            "rules": _rules(route, traffic, rollout, revisions, settings),
        },
    }


def _rules(
    route: Object, traffic: Traffic, rollout: Rollout, revisions: Mapping[str, Object], settings: ServingSettings
) -> list[Object]:
    hidden = is_cluster_local(route, settings)
    rules = []
    for tag in traffic.tags():
        shares = traffic.shares(tag, rollout)
        paths = [{"splits": [_split(route, revisions[share.revision], share.percent) for share in shares]}]
        rules.append({"hosts": cluster_hosts(route, tag), "visibility": "ClusterLocal", "http": {"paths": paths}})
        if not hidden:
            host = public_host(route, tag, settings)
            rules.append({"hosts": [host], "visibility": "ExternalIP", "http": {"paths": paths}})
    return rules


def _split(route: Object, revision: Object, percent: int) -> Object:
    namespace, name = route["metadata"]["namespace"], revision["metadata"]["name"]
    return {
        "serviceNamespace": namespace,
        "serviceName": name,
        "servicePort": HTTP2_PORT if is_h2c(revision) else HTTP1_PORT,
        "percent": percent,
        "appendHeaders": {"Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": name},
    }


def http_option(annotations: Mapping[str, str], settings: ServingSettings) -> str:
    """Return what public hosts answer to plain HTTP: `Enabled`, or `Redirected` to https."""
    said = (annotations.get(f"{NETWORKING}/{key}") for key in ("http-protocol", "http-option", "httpOption"))
    protocol = next(filter(None, said), settings.network.http_protocol)
    return "Redirected" if protocol.lower() == "redirected" else "Enabled"
