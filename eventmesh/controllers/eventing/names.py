"""Names and addresses of Knative Eventing."""

from __future__ import annotations

from eventmesh.kube.knative import (
    BROKER_INGRESS,
    CHANNEL_DISPATCHER,
    CHANNEL_SUFFIX,
    CLUSTER_DOMAIN,
    JOB_SINK_INGRESS,
    KAFKA_SINK_INGRESS,
    REQUEST_REPLY_INGRESS,
    service_host,
)

BROKER_LABEL = "eventing.knative.dev/broker"
DEPENDENCY_ANNOTATION = "knative.dev/dependency"
INGRESS_HOST = f"{BROKER_INGRESS}.svc.{CLUSTER_DOMAIN}"
DISPATCHER_HOST = f"{CHANNEL_DISPATCHER}.svc.{CLUSTER_DOMAIN}"
CHANNEL_LABEL = "messaging.knative.dev/channel"
ROLE_LABEL = "messaging.knative.dev/role"


def broker_url(namespace: str, name: str) -> str:
    """Return the address at which a broker takes events in (the shape of Knative's own broker-ingress)."""
    return f"http://{INGRESS_HOST}/{namespace}/{name}"


def channel_service(name: str) -> str:
    """Return the name of the Service that a channel is addressed by."""
    return f"{name}{CHANNEL_SUFFIX}"


def channel_url(namespace: str, name: str) -> str:
    """Return the address at which a channel takes events in: a host of its own."""
    return f"http://{service_host(channel_service(name), namespace)}"


def job_sink_url(namespace: str, name: str) -> str:
    """Return the address at which a JobSink takes events in."""
    return f"http://{JOB_SINK_INGRESS}.svc.{CLUSTER_DOMAIN}/{namespace}/{name}"


def kafka_sink_url(namespace: str, name: str) -> str:
    """Return the address at which a KafkaSink takes events in."""
    return f"http://{KAFKA_SINK_INGRESS}.svc.{CLUSTER_DOMAIN}/{namespace}/{name}"


def request_reply_url(namespace: str, name: str) -> str:
    """Return the address at which a RequestReply is asked."""
    return f"http://{REQUEST_REPLY_INGRESS}.svc.{CLUSTER_DOMAIN}/{namespace}/{name}"
