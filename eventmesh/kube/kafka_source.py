"""Reading a KafkaSource: which records it reads, and what event each becomes. Shared by who admits and who runs.

After eventing-kafka-broker: apis/sources/v1, and InvalidCloudEventInterceptor, KeyDeserializer and
CloudEventOverridesMutator of its data plane.
"""

from __future__ import annotations

import base64
import re
import struct
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents import kafka
from eventmesh.cloudevents.event import MAX_NAME_LENGTH, AttributeValue, Event, InvalidEvent
from eventmesh.cloudevents.http import UnsupportedFormat
from eventmesh.kube.api import Object
from eventmesh.kube.kafka_access import KafkaNet, parse_net, parse_servers
from eventmesh.kube.objects import labels_of

EVENT_TYPE: Final = "dev.knative.kafka.event"

KEY_TYPE_LABEL: Final = "kafkasources.sources.knative.dev/key-type"

PARTITION: Final = "knativekafkapartition"
OFFSET: Final = "knativekafkaoffset"
"""Attributes that tell of each event where it was read; in order is in order of a partition."""

MAX_TOPICS: Final = 64
"""Most topics of one source: what they hold is read in one place."""

MAX_HEADERS: Final = 64
"""Headers of a record that become attributes, the first ones: an event has 128 at most, and its own are among them."""

MAX_EXTENSIONS: Final = 32
"""Most attributes that `ceOverrides` adds: with all headers there is still room for an event's own."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_NOT_IN_NAMES = re.compile("[^a-z0-9]")
_HEADER_PREFIX = "kafkaheader"


class InitialOffset(Enum):
    """Where a consumer group begins to read that has not read before."""

    EARLIEST = "earliest"
    LATEST = "latest"


class KeyType(Enum):
    """What the octets of a key mean."""

    STRING = "string"
    INT = "int"
    FLOAT = "float"
    BYTE_ARRAY = "byte-array"


@frozen
class Record:
    """One record, and where it was read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Since the epoch; negative: none."""
    message: kafka.Message

    @property
    def place(self) -> str:
        """Return where it is, for people."""
        return f"topic {self.topic}, partition {self.partition}, offset {self.offset}"


@frozen
class KafkaReading:
    """A KafkaSource, compiled."""

    uid: str
    namespace: str
    name: str
    generation: int
    servers: tuple[str, ...]
    net: KafkaNet
    topics: tuple[str, ...]
    group: str
    initial_offset: InitialOffset
    consumers: int
    """0: nothing is read."""
    key_type: KeyType
    extensions: tuple[tuple[str, str], ...]

    def event(self, record: Record) -> Event:
        """Return the event of a record: its own, or where it holds no valid one, one that tells of the record."""
        where: dict[str, AttributeValue] = {PARTITION: record.partition, OFFSET: str(record.offset)}
        more = {**dict(self.extensions), **where}
        if kafka.is_event(record.message.headers):
            with suppress(InvalidEvent, UnsupportedFormat):
                return kafka.decode(record.message).with_attributes(**more)
        return Event({**self._plain(record), **more}, record.message.value)

    def _plain(self, record: Record) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {}
        for name, value in record.message.headers[:MAX_HEADERS]:
            if name.lower() == "content-type":
                content_type = (value or b"").decode("latin-1").lower()
                # Who gets this event by HTTP would take it for one in structured mode, and it is none.
                if not content_type.startswith("application/cloudevents"):
                    _add_valid(attributes, "datacontenttype", content_type)
            elif value is not None:
                attribute = _HEADER_PREFIX + _NOT_IN_NAMES.sub("", name.lower())
                _add_valid(attributes, attribute[:MAX_NAME_LENGTH], *_spellings(value))
        if record.message.key:
            for name in (kafka.KEY_ATTRIBUTE, "key"):
                _add_valid(attributes, name, *_key(record.message.key, self.key_type))
        if record.timestamp_ms >= 0:
            with suppress(ValueError, OverflowError, OSError):
                moment = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
                attributes["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            **attributes,
            "specversion": "1.0",
            "id": f"partition:{record.partition}/offset:{record.offset}",
            "type": EVENT_TYPE,
            "source": event_source(self.namespace, self.name, record.topic),
            "subject": f"partition:{record.partition}#{record.offset}",
        }


def event_source(namespace: str, name: str, topic: str) -> str:
    """Return the `source` of the events of records that hold none."""
    return f"/apis/v1/namespaces/{namespace}/kafkasources/{name}#{topic}"


def parse_kafka_source(obj: Object) -> KafkaReading:
    """Return what a KafkaSource says; raises ConfigError with the path of the field at fault, below `spec`."""
    metadata, spec = obj["metadata"], obj["spec"]
    consumers = spec.get("consumers", 1)
    if not isinstance(consumers, int) or consumers < 0:
        raise ConfigError("consumers", f"invalid value: {consumers}")
    is_ordered(spec)
    return KafkaReading(
        uid=metadata["uid"],
        namespace=metadata.get("namespace") or "",
        name=metadata["name"],
        generation=metadata.get("generation") or 0,
        servers=parse_servers(spec),
        net=parse_net(spec),
        topics=_topics(spec.get("topics")),
        group=str(spec.get("consumerGroup") or ""),
        initial_offset=_initial_offset(spec.get("initialOffset") or InitialOffset.LATEST.value),
        consumers=consumers,
        key_type=_key_type(labels_of(obj).get(KEY_TYPE_LABEL) or KeyType.STRING.value),
        extensions=_extensions((spec.get("ceOverrides") or {}).get("extensions") or {}),
    )


def is_ordered(spec: Object) -> bool:
    """Return whether the events of a partition are delivered one after the other; raises ConfigError."""
    ordering = spec.get("ordering") or "ordered"
    if ordering not in ("ordered", "unordered"):
        raise ConfigError("ordering", f"invalid value: {ordering}")
    return bool(ordering == "ordered")


def is_topic(name: str) -> bool:
    """Return whether Kafka would take `name` for a topic's."""
    return _TOPIC.fullmatch(name) is not None and name not in (".", "..")


def _topics(told: Any) -> tuple[str, ...]:
    if not isinstance(told, list) or not told:
        raise ConfigError("topics", "missing field(s)")
    if len(told) > MAX_TOPICS:
        raise ConfigError("topics", f"has {len(told)} entries, more than {MAX_TOPICS}")
    for number, topic in enumerate(told):
        if not is_topic(str(topic)):
            raise ConfigError(f"topics[{number}]", f"invalid value: {topic}: is no name of a topic")
    return tuple(dict.fromkeys(told))


def _extensions(told: Object) -> tuple[tuple[str, str], ...]:
    if len(told) > MAX_EXTENSIONS:
        raise ConfigError("ceOverrides.extensions", f"has {len(told)} entries, more than {MAX_EXTENSIONS}")
    extensions = tuple(sorted((str(name), str(value)) for name, value in told.items()))
    try:
        _ANY.with_attributes(**dict(extensions))
    except InvalidEvent as error:
        raise ConfigError(f"ceOverrides.extensions.{error.attribute}", error.problem) from error
    return extensions


def _initial_offset(text: str) -> InitialOffset:
    try:
        return InitialOffset(text)
    except ValueError:
        raise ConfigError("initialOffset", f"invalid value: {text}") from None


def _key_type(text: str) -> KeyType:
    try:
        return KeyType(text)
    except ValueError:
        known = ", ".join(kind.value for kind in KeyType)
        path = f"metadata.labels[{KEY_TYPE_LABEL}]"
        raise ConfigError(path, f"invalid value: {text}: use {known}") from None


def _key(key: bytes, kind: KeyType) -> tuple[AttributeValue, ...]:
    """Return what a key may be spelled as, the best first; one of another length than its type is text."""
    match kind, len(key):
        case KeyType.INT, 4:
            return (int.from_bytes(key, "big", signed=True),)
        case KeyType.FLOAT, 4:
            return (_single(key),)
        case KeyType.FLOAT, 8:
            return (repr(struct.unpack(">d", key)[0]),)
        case KeyType.BYTE_ARRAY, _:
            return _spellings(key)[1:]
    return _spellings(key)


def _single(octets: bytes) -> str:
    """Return the shortest spelling of a single-precision number that reads as the same one."""
    number = struct.unpack(">f", octets)[0]
    spellings = (f"{number:.{digits}g}" for digits in range(6, 10))
    return next((text for text in spellings if struct.pack(">f", float(text)) == octets), repr(number))


def _spellings(octets: bytes) -> tuple[str, ...]:
    """Return octets as text if they are text, and as CloudEvents spell octets: in base64."""
    encoded = base64.b64encode(octets).decode()
    try:
        return octets.decode(), encoded
    except UnicodeDecodeError:
        return encoded, encoded


def _add_valid(attributes: dict[str, AttributeValue], name: str, *spellings: AttributeValue) -> None:
    """Add an attribute in the first spelling that an event may have; what has none is left out."""
    for value in spellings:
        with suppress(InvalidEvent):
            _ANY.with_attributes(**{name: value})
            attributes[name] = value
            return


_ANY: Final = Event({"specversion": "1.0", "id": "any", "type": EVENT_TYPE, "source": "/any"})
