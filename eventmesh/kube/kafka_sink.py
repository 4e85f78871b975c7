"""Reading a KafkaSink: into which topic events go, and how they lie there. Shared by who admits and who runs.

After eventing-kafka-broker: control-plane/pkg/apis/eventing/v1alpha1.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object
from eventmesh.kube.kafka_access import parse_servers
from eventmesh.kube.kafka_source import is_topic

MAX_PARTITIONS: Final = 2**31 - 1
MAX_REPLICAS: Final = 2**15 - 1
"""Kafka's protocol has no room for more (CreateTopics: int32 and int16)."""


class ContentMode(Enum):
    """How an event lies in a record (CloudEvents' Kafka binding, section 3)."""

    BINARY = "binary"
    STRUCTURED = "structured"


@frozen
class KafkaWriting:
    """A KafkaSink, compiled."""

    uid: str
    namespace: str
    name: str
    generation: int
    servers: tuple[str, ...]
    topic: str
    partitions: int | None
    """With `replicas`: the topic is made when it is not there. None: it has to be."""
    replicas: int | None
    mode: ContentMode
    secret: str
    """Name of the Secret that lets in; empty: nothing is shown."""


def parse_kafka_sink(obj: Object) -> KafkaWriting:
    """Return what a KafkaSink says; raises ConfigError with the path of the field at fault, below `spec`."""
    metadata, spec = obj["metadata"], obj["spec"]
    topic = str(spec.get("topic") or "")
    if not is_topic(topic):
        raise ConfigError("topic", f"invalid value: {topic}")
    return KafkaWriting(
        uid=metadata["uid"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        generation=metadata.get("generation") or 0,
        servers=parse_servers(spec),
        topic=topic,
        partitions=_positive(spec, "numPartitions", MAX_PARTITIONS),
        replicas=_positive(spec, "replicationFactor", MAX_REPLICAS),
        mode=_mode(spec.get("contentMode") or ContentMode.BINARY.value),
        secret=_secret(spec.get("auth") or {}),
    )


def _positive(spec: Object, field: str, most: int) -> int | None:
    value: Any = spec.get(field)
    if value is not None and (not isinstance(value, int) or not 0 < value <= most):
        raise ConfigError(field, f"invalid value: {value}")
    return value


def _mode(text: str) -> ContentMode:
    try:
        return ContentMode(text)
    except ValueError:
        raise ConfigError("contentMode", f"invalid value: {text}") from None


def _secret(auth: Object) -> str:
    reference = (auth.get("secret") or {}).get("ref")
    if reference is None:
        return ""
    if not reference.get("name"):
        raise ConfigError("auth.secret.ref.name", "invalid value: ")
    return str(reference["name"])
