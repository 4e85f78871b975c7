"""Names and addresses of Knative Eventing."""

from __future__ import annotations

from eventmesh.kube.knative import BROKER_INGRESS, CLUSTER_DOMAIN

BROKER_LABEL = "eventing.knative.dev/broker"
DEPENDENCY_ANNOTATION = "knative.dev/dependency"
INGRESS_HOST = f"{BROKER_INGRESS}.svc.{CLUSTER_DOMAIN}"


def broker_url(namespace: str, name: str) -> str:
    """Return the address at which a broker takes events in (the shape of Knative's own broker-ingress)."""
    return f"http://{INGRESS_HOST}/{namespace}/{name}"
