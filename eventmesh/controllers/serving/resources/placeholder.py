"""Route → the Kubernetes Services that stand for its names (Serving, pkg/reconciler/route/resources/service.go)."""

from __future__ import annotations

from eventmesh.controllers.serving.domains import cluster_host
from eventmesh.controllers.serving.names import LAST_APPLIED, NETWORKING_INTERNAL, SERVICE, VISIBILITY, tagged_name
from eventmesh.controllers.serving.names import ROUTE as ROUTE_LABEL
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of, owner_reference
from eventmesh.kube.resources import ROUTE
from eventmesh.kube.resources import SERVICE as KUBERNETES_SERVICE

TAG = f"{NETWORKING_INTERNAL}/tag"


def placeholder(route: Object, tag: str, ingress: Object | None) -> Object:
    """Return the Service named as the route or its tag: the way to the gateway once `ingress` tells it."""
    metadata = route["metadata"]
    # Visibility is not handed down: on the Service of a tag it is the author's word about that tag alone.
    labels = {key: value for key, value in labels_of(route).items() if key != VISIBILITY}
    labels |= {ROUTE_LABEL: metadata["name"], SERVICE: labels_of(route).get(SERVICE, "")}
    if tag:
        labels[TAG] = tag
    return {
        "apiVersion": KUBERNETES_SERVICE.api_version,
        "kind": KUBERNETES_SERVICE.kind,
        "metadata": {
            "name": tagged_name(tag, metadata["name"]),
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {key: value for key, value in annotations_of(route).items() if key != LAST_APPLIED},
            "ownerReferences": [owner_reference(ROUTE, route)],
        },
        "spec": _spec(cluster_host(route, tag), ingress),
    }


def _spec(host: str, ingress: Object | None) -> Object:
    http2 = {"name": "http2", "port": 80, "targetPort": 80, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}
    balancer = _balancer(ingress)
    if balancer.get("meshOnly"):
        return {"type": "ClusterIP", "ports": [{"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}]}
    # Until the gateway is known the name leads to itself: it resolves, and nothing answers.
    target = balancer.get("domainInternal") or balancer.get("domain") or host
    return {"type": "ExternalName", "externalName": target, "sessionAffinity": "None", "ports": [http2]}


def _balancer(ingress: Object | None) -> Object:
    """Return where the gateway is: the one entry that the status must have, the private one preferred."""
    status: Object = (ingress or {}).get("status") or {}
    for kind in ("privateLoadBalancer", "publicLoadBalancer"):
        entries: list[Object] = (status.get(kind) or {}).get("ingress") or []
        if len(entries) == 1:
            return entries[0]
    return {}
