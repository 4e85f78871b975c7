"""Route → KIngress (Serving, pkg/reconciler/route/resources/ingress.go)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from eventmesh.controllers.serving.domains import cluster_host, cluster_hosts, public_host
from eventmesh.controllers.serving.names import (
    INGRESS_CLASS,
    INGRESS_CLASS_OLD,
    LAST_APPLIED,
    NETWORKING,
    ROLLOUT,
    ROUTE_NAMESPACE,
    SERVICE,
    TAG_TO_HOST,
)
from eventmesh.controllers.serving.names import ROUTE as ROUTE_LABEL
from eventmesh.controllers.serving.resources.deployment import is_h2c
from eventmesh.controllers.serving.rollout import Rollout, written
from eventmesh.controllers.serving.settings import TAG_HEADER_ROUTING, ServingSettings
from eventmesh.controllers.serving.traffic import Traffic
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import KINGRESS, ROUTE

TAG_HEADER = "Knative-Serving-Tag"
"""Names a tag of the route on the route's own host."""
DEFAULT_ROUTE_HEADER = "Knative-Serving-Default-Route"
"""Tells the sidecar that no tag was found, whatever the request says."""
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
    hosts = _tag_hosts(route, traffic, settings)
    if hosts:
        annotations[TAG_TO_HOST] = json.dumps(hosts, separators=(",", ":"), sort_keys=True)
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
            "rules": _Rules(route, traffic, rollout, revisions, settings).all(),
        },
    }


class _Rules:
    """The rules of one route: a host with its paths for each tag and visibility."""

    def __init__(
        self,
        route: Object,
        traffic: Traffic,
        rollout: Rollout,
        revisions: Mapping[str, Object],
        settings: ServingSettings,
    ) -> None:
        self._route = route
        self._traffic = traffic
        self._rollout = rollout
        self._revisions = revisions
        self._settings = settings

    def all(self) -> list[Object]:
        rules = []
        for tag in self._traffic.tags():
            http = {"paths": self._paths(tag)}
            rules.append({"hosts": cluster_hosts(self._route, tag), "visibility": "ClusterLocal", "http": http})
            if tag not in self._traffic.hidden:
                host = public_host(self._route, tag, self._settings)
                rules.append({"hosts": [host], "visibility": "ExternalIP", "http": http})
        return rules

    def _paths(self, tag: str) -> list[Object]:
        path = self._path(tag)
        if TAG_HEADER_ROUTING not in self._settings.features.enabled:
            return [path]
        if tag:
            # The function sees the same header however its caller named the tag.
            return [{"appendHeaders": {TAG_HEADER: tag}, **path}]
        named = [
            {"headers": {TAG_HEADER: {"exact": other}}, **self._path(other)} for other in self._traffic.tags() if other
        ]
        return [*named, {"appendHeaders": {DEFAULT_ROUTE_HEADER: "true"}, **path}]

    def _path(self, tag: str) -> Object:
        shares = self._traffic.shares(tag, self._rollout)
        return {"splits": [self._split(self._revisions[share.revision], share.percent) for share in shares]}

    def _split(self, revision: Object, percent: int) -> Object:
        namespace, name = revision["metadata"]["namespace"], revision["metadata"]["name"]
        return {
            "serviceNamespace": namespace,
            "serviceName": name,
            "servicePort": HTTP2_PORT if is_h2c(revision) else HTTP1_PORT,
            "percent": percent,
            "appendHeaders": {"Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": name},
        }


def _tag_hosts(route: Object, traffic: Traffic, settings: ServingSettings) -> dict[str, list[str]]:
    """Return the hosts of each tag, by which a networking layer tells tags in its metrics."""
    return {
        tag: [cluster_host(route, tag), *([] if tag in traffic.hidden else [public_host(route, tag, settings)])]
        for tag in traffic.tags()
        if tag
    }


def http_option(annotations: Mapping[str, str], settings: ServingSettings) -> str:
    """Return what public hosts answer to plain HTTP: `Enabled`, or `Redirected` to https."""
    said = (annotations.get(f"{NETWORKING}/{key}") for key in ("http-protocol", "http-option", "httpOption"))
    protocol = next(filter(None, said), settings.network.http_protocol)
    return "Redirected" if protocol.lower() == "redirected" else "Enabled"
