"""Names and addresses of Knative Eventing."""

from __future__ import annotations

CLUSTER_DOMAIN = "cluster.local"
BROKER_CLASS = "EventMesh"
CLASS_ANNOTATION = "eventing.knative.dev/broker.class"
BROKER_LABEL = "eventing.knative.dev/broker"
DEPENDENCY_ANNOTATION = "knative.dev/dependency"
INGRESS_HOST = f"broker-ingress.knative-eventing.svc.{CLUSTER_DOMAIN}"


def broker_url(namespace: str, name: str) -> str:
    """Return the address at which a broker takes events in (the shape of Knative's own broker-ingress)."""
    return f"http://{INGRESS_HOST}/{namespace}/{name}"
