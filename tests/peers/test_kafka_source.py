"""KafkaSources that read from a real Apache Kafka, through a real activator, to real sinks."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.certificates import load_or_make
from eventmesh.kube.api import Object
from eventmesh.kube.resources import KAFKA_SOURCE, SECRET
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import World, world_in
from tests.mesh.broker_mesh import Subscriber, broker_mesh
from tests.peers.kafka_server import GUARDED, KafkaServer, kafka_server

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

WAIT_S = 60.0
NO_DELAY = "group.initial.rebalance.delay.ms=0\nmessage.max.bytes=4000000\n"
SCRAM = ("--standalone", "--add-scram", "SCRAM-SHA-512=[name=mesh,password=hush]")
BINARY = {"ce_specversion": b"1.0", "ce_id": b"e1", "ce_source": b"/shop", "ce_type": b"order"}


@dataclass(frozen=True)
class Kafka:
    """One server, which lets in who is known at one port and anybody at the other."""

    server: KafkaServer
    plain: str
    tls: Mapping[str, str]
    """What a Secret holds for the guarded port."""

    async def topic(self, name: str, partitions: int = 1) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1)])
        finally:
            await admin.close()

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {(at.topic, at.partition): told.offset for at, told in found.items()}

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        # Compressed, as many producers are: who reads has to know how.
        limit = 4_000_000
        producer = AIOKafkaProducer(
            bootstrap_servers=self.plain, max_request_size=limit, max_batch_size=limit, compression_type="zstd"
        )
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    async def send(
        self, topic: str, value: bytes | None, key: bytes | None = None, headers: Mapping[str, bytes] | None = None
    ) -> None:
        async with self.producer() as producer:
            await producer.send_and_wait(topic, value, key=key, headers=list((headers or {}).items()))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    directory = tmp_path_factory.mktemp("kafka")
    made = load_or_make(directory / "tls", SystemClock())
    keystore, authority = directory / "server.pem", directory / "ca.pem"
    keystore.write_bytes(made.key_file.read_bytes() + made.certificate_file.read_bytes())
    authority.write_bytes(made.ca_pem)
    config = GUARDED.format(keystore=keystore, truststore=authority) + NO_DELAY
    async with kafka_server(directory / "server", config, *SCRAM) as server:
        inside = re.findall(r"INSIDE://(127\.0\.0\.1:\d+)", (directory / "server" / "server.properties").read_text())
        values = {"ca": made.ca_pem, "certificate": made.client.certificate_pem, "key": made.client.key_pem}
        yield Kafka(server, inside[-1], {name: value.decode() for name, value in values.items()})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world_in(tmp_path_factory.mktemp("world")) as made:
        yield made


def topic_of(name: str) -> str:
    return f"{name}-topic"


async def source(world: World, kafka: Kafka, name: str, sink: Subscriber, **more: Any) -> Object:
    """Make a source that reads the topic of its name; return it Ready."""
    spec = {"bootstrapServers": [kafka.plain], "topics": [topic_of(name)], "sink": {"uri": sink.url}, **more}
    await world.mesh.bench.create(KAFKA_SOURCE, name, spec)
    async with asyncio.timeout(WAIT_S):
        return await world.mesh.bench.until(KAFKA_SOURCE, name, is_ready)


async def until(world: World, name: str, kind: str, status: str, reason: str) -> str:
    """Return the message of a condition once it has that status and reason."""

    def holds(obj: Object) -> bool:
        told = condition(obj, kind) or {}
        return (told.get("status"), told.get("reason")) == (status, reason)

    async with asyncio.timeout(WAIT_S):
        found = await world.mesh.bench.until(KAFKA_SOURCE, name, holds)
    return str((condition(found, kind) or {})["message"])


async def test_records_become_events_whatever_they_hold_and_only_from_now_on(world: World, kafka: Kafka) -> None:
    sink = await world.subscriber()
    await kafka.topic(topic_of("orders"))
    await kafka.send(topic_of("orders"), b"before")
    made = await source(world, kafka, "orders", sink, ceOverrides={"extensions": {"team": "shop"}})
    group = made["spec"]["consumerGroup"]
    assert group.startswith("knative-kafka-source-")
    assert await kafka.committed(group) == {(topic_of("orders"), 0): 1}
    await kafka.send(topic_of("orders"), b"plain", b"k1", {"X-Trace": b"abc", "content-type": b"text/plain"})
    await kafka.send(topic_of("orders"), b'{"n":1}', headers={**BINARY, "content-type": b"application/json"})
    structured = b'{"specversion":"1.0","id":"e2","source":"/shop","type":"order","data":{"n":2}}'
    await kafka.send(topic_of("orders"), structured, headers={"content-type": b"application/cloudevents+json"})
    await kafka.send(topic_of("orders"), b"invalid", headers={**BINARY, "ce_id": b""})
    await sink.until(lambda: len(sink.got) == 4, WAIT_S)
    plain, binary, other, invalid = sink.got
    event_source = f"/apis/v1/namespaces/default/kafkasources/orders#{topic_of('orders')}"
    time = plain.attributes.pop("time")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert {name: value.replace("%20", " ") for name, value in plain.attributes.items()} == {
        **{"specversion": "1.0", "id": "partition:0/offset:1", "type": "dev.knative.kafka.event"},
        **{"source": event_source, "subject": "partition:0#1", "team": "shop"},
        **{"key": "k1", "partitionkey": "k1", "kafkaheaderxtrace": "abc"},
        **{"knativekafkapartition": "0", "knativekafkaoffset": "1"},
    }
    assert (plain.body, plain.headers["content-type"]) == (b"plain", "text/plain")
    assert (binary.id, binary.body, binary.attributes["team"]) == ("e1", b'{"n":1}', "shop")
    assert (other.id, other.body, other.attributes["knativekafkaoffset"]) == ("e2", b'{"n":2}', "3")
    assert (invalid.attributes["type"], invalid.body) == ("dev.knative.kafka.event", b"invalid")
    assert invalid.attributes["kafkaheadercesource"] == "/shop"
    async with asyncio.timeout(WAIT_S):
        while await kafka.committed(group) != {(topic_of("orders"), 0): 5}:
            await asyncio.sleep(0.05)


async def test_a_group_that_is_new_begins_at_the_beginning_when_it_is_asked_to(world: World, kafka: Kafka) -> None:
    sink = await world.subscriber()
    await kafka.topic(topic_of("past"), partitions=2)
    for number in range(4):
        await kafka.send(topic_of("past"), b"%d" % number, b"%d" % number)
    await source(world, kafka, "past", sink, initialOffset="earliest", consumerGroup="of-the-past")
    await sink.until(lambda: len(sink.got) == 4, WAIT_S)
    assert sorted(event.body for event in sink.got) == [b"0", b"1", b"2", b"3"]


async def test_a_record_that_the_sink_refuses_is_retried_and_goes_to_the_dead_letter_sink_and_holds_up_its_partition(
    world: World, kafka: Kafka
) -> None:
    refusing = await world.subscriber(lambda event: web.Response(status=503) if event.body == b"bad" else None)
    dead = await world.subscriber()
    await kafka.topic(topic_of("refused"))
    delivery = {"retry": 2, "backoffDelay": "PT0.05S", "deadLetterSink": {"uri": dead.url}}
    made = await source(world, kafka, "refused", refusing, delivery=delivery)
    assert made["status"]["deadLetterSinkUri"] == dead.url
    order: list[bytes] = []
    dead.on_event = lambda: order.append(b"dead")
    refusing.on_event = lambda: order.append(b"sink")
    for value in (b"bad", b"good"):
        await kafka.send(topic_of("refused"), value)
    await refusing.until(lambda: bool(refusing.got), WAIT_S)
    assert [event.body for event in (*dead.got, *refusing.got)] == [b"bad", b"good"]
    assert dead.got[0].attributes["knativeerrorcode"] == "503"
    assert order == [b"sink", b"sink", b"sink", b"dead", b"sink"]


async def test_a_record_that_is_too_long_is_told_and_those_behind_it_come(world: World, kafka: Kafka) -> None:
    sink = await world.subscriber()
    await kafka.topic(topic_of("long"))
    await source(world, kafka, "long", sink)
    await kafka.send(topic_of("long"), b"x" * 1_100_000)
    await kafka.send(topic_of("long"), b"short")
    await sink.until(lambda: bool(sink.got), WAIT_S)
    assert sink.got[0].body == b"short"
    told = await world.log.heard("event not stored", source="default/kafkasource:long")
    assert told["subject"] == "partition:0#0"
    assert "the data of the event takes 1100000 bytes; events here have up to 1048576" in str(told["reason"])


async def test_a_topic_that_is_not_there_is_told_and_read_when_it_comes(world: World, kafka: Kafka) -> None:
    sink = await world.subscriber()
    spec = {"bootstrapServers": [kafka.plain], "topics": [topic_of("later")], "sink": {"uri": sink.url}}
    await world.mesh.bench.create(KAFKA_SOURCE, "later", spec)
    message = await until(world, "later", "InitialOffsetsCommitted", "False", "TopicNotFound")
    assert message == f"topic {topic_of('later')} is not there, or may not be described"
    await kafka.topic(topic_of("later"))
    async with asyncio.timeout(WAIT_S):
        await world.mesh.bench.until(KAFKA_SOURCE, "later", is_ready)
    await kafka.send(topic_of("later"), b"here")
    await sink.until(lambda: bool(sink.got), WAIT_S)


def secret(name: str, values: Mapping[str, str]) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {"name": name}, "type": "Opaque", "data": data}


async def test_secrets_let_in_and_a_wrong_or_missing_one_is_told(world: World, kafka: Kafka) -> None:
    def of(key: str) -> Object:
        return {"secretKeyRef": {"name": "kafka-login", "key": key}}

    sink, api = await world.subscriber(), world.mesh.bench.api
    await kafka.topic(topic_of("guarded"))
    net = {
        "sasl": {"enable": True, "user": of("user"), "password": of("password"), "type": of("mechanism")},
        "tls": {"enable": True, "caCert": of("ca"), "cert": of("certificate"), "key": of("key")},
    }
    spec = {"bootstrapServers": [kafka.server.bootstrap], "topics": [topic_of("guarded")], "net": net}
    await world.mesh.bench.create(KAFKA_SOURCE, "guarded", {**spec, "sink": {"uri": sink.url}})
    missing = await until(world, "guarded", "ConnectionEstablished", "False", "SecretInvalid")
    assert missing == 'net.sasl.type: secret "kafka-login" not found'
    values = {**kafka.tls, "user": "mesh", "mechanism": "SCRAM-SHA-512", "password": "guess"}
    await api.create(SECRET, secret("kafka-login", values), "default")
    refused = await until(world, "guarded", "ConnectionEstablished", "False", "ConnectionFailed")
    assert "do not know user mesh, or want another password or mechanism" in refused
    assert "guess" not in refused
    await api.patch(SECRET, "kafka-login", secret("kafka-login", {"password": "hush"}), "default")
    async with asyncio.timeout(WAIT_S):
        await world.mesh.bench.until(KAFKA_SOURCE, "guarded", is_ready)
    await kafka.send(topic_of("guarded"), b"secret")
    await sink.until(lambda: bool(sink.got), WAIT_S)


async def test_no_record_is_lost_when_the_activator_is_killed_and_each_partition_stays_in_order(
    kafka: Kafka, tmp_path: Path
) -> None:
    records, kill_at = 300, 60
    await kafka.topic(topic_of("killed"), partitions=2)
    first: dict[str, list[int]] = {"0": [], "1": []}
    seen: set[str] = set()
    sink, killed = Subscriber(), asyncio.Event()
    async with broker_mesh(tmp_path) as mesh, sink.listening():
        spec = {"bootstrapServers": [kafka.plain], "topics": [topic_of("killed")], "sink": {"uri": sink.url}}
        await mesh.bench.create(KAFKA_SOURCE, "killed", spec)
        activator = await mesh.start_activator()
        await mesh.bench.until(KAFKA_SOURCE, "killed", is_ready)

        def on_event() -> None:
            if len(sink.got) >= kill_at and not killed.is_set():
                killed.set()
                activator.process.kill()

        sink.on_event = on_event
        async with kafka.producer() as producer:
            for number in range(records):
                await producer.send_and_wait(topic_of("killed"), b"%d" % number, partition=number % 2)
        await asyncio.wait_for(killed.wait(), WAIT_S)
        await activator.ended()
        await mesh.start_activator()
        await sink.until(lambda: len(sink.ids()) == records, WAIT_S)
    for event in sink.got:
        if event.id not in seen:
            seen.add(event.id)
            first[event.attributes["knativekafkapartition"]].append(int(event.body))
    assert all(numbers == sorted(numbers) for numbers in first.values())
    assert sorted(first["0"] + first["1"]) == list(range(records))
