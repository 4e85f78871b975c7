"""Names of Knative that more than one component goes by; what only one needs stands with that one."""

from __future__ import annotations

from typing import Final

CLUSTER_DOMAIN: Final = "cluster.local"

SERVING_NAMESPACE: Final = "knative-serving"
"""Where the settings of Serving lie, and those that hold for the whole mesh."""

BROKER_CLASS: Final = "EventMesh"
"""The class of the Brokers that are ours."""
CLASS_ANNOTATION: Final = "eventing.knative.dev/broker.class"

BROKER_INGRESS: Final = "broker-ingress.knative-eventing"
"""Name and namespace of the Service that Knative's brokers are addressed by; a domain is added to it."""

CHANNEL_DISPATCHER: Final = "imc-dispatcher.knative-eventing"
"""Name and namespace of the Service that stands behind every channel; a domain is added to it."""
JOB_SINK_INGRESS: Final = "job-sink.knative-eventing"
"""Name and namespace of the Service that JobSinks are addressed by; a domain is added to it."""
KAFKA_SINK_INGRESS: Final = "kafka-sink-ingress.knative-eventing"
"""Name and namespace of the Service that KafkaSinks are addressed by; a domain is added to it."""
REQUEST_REPLY_INGRESS: Final = "request-reply.knative-eventing"
"""Name and namespace of the Service that RequestReplies are addressed by; a domain is added to it."""
CHANNEL_SUFFIX: Final = "-kn-channel"
"""Added to a channel's name it is the name of the Service that the channel is addressed by."""


def sequence_channel(name: str, step: int) -> str:
    """Return the name of the channel in front of a step of a Sequence; events come in at the first."""
    return f"{name}-kn-sequence-{step}"


def parallel_channel(name: str) -> str:
    """Return the name of the channel at which the events of a Parallel come in."""
    return f"{name}-kn-parallel"


def is_mesh_host(host: str) -> bool:
    """Return whether `host` (without port) names a Service of the mesh."""
    return host.endswith((".svc", f".svc.{CLUSTER_DOMAIN}"))


def service_host(name: str, namespace: str) -> str:
    """Return the full name of a Service inside the mesh."""
    return f"{name}.{namespace}.svc.{CLUSTER_DOMAIN}"
