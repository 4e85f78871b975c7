"""KafkaSources that read from a real Apache Kafka, and KafkaSinks that write into it, through a real activator."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from eventmesh.activator.sources import waiting
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import KAFKA_SINK, KAFKA_SOURCE, SECRET
from eventmesh.kube.status import condition, is_ready
from tests.component.broker_world import Answer, World, world_in
from tests.mesh.broker_mesh import Subscriber, broker_mesh, event_headers
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.peers.kafka_world import Kafka, kafka_in
from tests.waiting import WAIT_S

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

JSON_EVENT = b"application/cloudevents+json; charset=utf-8"
BINARY = {"ce_specversion": b"1.0", "ce_id": b"e1", "ce_source": b"/shop", "ce_type": b"order"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    async with kafka_in(tmp_path_factory.mktemp("kafka")) as made:
        yield made


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


async def failed(world: World, resource: Resource, name: str, kind: str, reason: str) -> str:
    """Return the message of a condition once it is False for that reason."""

    def holds(obj: Object) -> bool:
        told = condition(obj, kind) or {}
        return (told.get("status"), told.get("reason")) == ("False", reason)

    async with asyncio.timeout(WAIT_S):
        found = await world.mesh.bench.until(resource, name, holds)
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
    assert told["place"] == f"topic {topic_of('long')}, partition 0, offset 0"
    assert "the data of the event takes 1100000 bytes; events here have up to 1048576" in str(told["reason"])


async def test_a_topic_that_is_not_there_is_told_and_read_when_it_comes(world: World, kafka: Kafka) -> None:
    sink = await world.subscriber()
    spec = {"bootstrapServers": [kafka.plain], "topics": [topic_of("later")], "sink": {"uri": sink.url}}
    await world.mesh.bench.create(KAFKA_SOURCE, "later", spec)
    message = await failed(world, KAFKA_SOURCE, "later", "InitialOffsetsCommitted", "TopicNotFound")
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
    missing = await failed(world, KAFKA_SOURCE, "guarded", "ConnectionEstablished", "SecretInvalid")
    assert missing == 'net.sasl.type: secret "kafka-login" not found'
    values = {**kafka.tls, "user": "mesh", "mechanism": "SCRAM-SHA-512", "password": "guess"}
    await api.create(SECRET, secret("kafka-login", values), "default")
    refused = await failed(world, KAFKA_SOURCE, "guarded", "ConnectionEstablished", "ConnectionFailed")
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


async def sink_at(world: World, kafka: Kafka, name: str, **spec: Any) -> Object:
    """Make a KafkaSink for the topic of its name; return it Ready."""
    told = {"bootstrapServers": [kafka.plain], "topic": topic_of(name), **spec}
    await world.mesh.bench.create(KAFKA_SINK, name, told)
    async with asyncio.timeout(WAIT_S):
        return await world.mesh.bench.until(KAFKA_SINK, name, is_ready)


async def post(world: World, name: str, event_id: str, body: bytes = b"{}", **attributes: str) -> Answer:
    headers = {**event_headers(event_id, **attributes), "host": "kafka-sink-ingress.knative-eventing.svc.cluster.local"}
    return await world.ask(f"/default/{name}", body=body, headers=headers)


async def test_a_sink_makes_its_topic_and_writes_each_event_in_its_mode_with_its_key(
    world: World, kafka: Kafka
) -> None:
    made = await sink_at(world, kafka, "binary", numPartitions=2, replicationFactor=1)
    host = "kafka-sink-ingress.knative-eventing.svc.cluster.local"
    assert made["status"]["address"] == {"name": "http", "url": f"http://{host}/default/binary"}
    assert (await post(world, "binary", "e1", b'{"n":1}', partitionkey="k1", subject="k%C3%A4se")).status == 202
    (record,) = await kafka.records(topic_of("binary"), 1)
    assert (record.key, record.value) == (b"k1", b'{"n":1}')
    assert dict(record.headers) == {
        **{"ce_specversion": b"1.0", "ce_id": b"e1", "ce_source": b"/tests", "ce_type": b"order"},
        **{"ce_subject": "käse".encode(), "ce_partitionkey": b"k1", "content-type": b"application/json"},
    }
    # Neither data nor a key: Kafka takes it, its client library alone does not.
    assert (await post(world, "binary", "e0", b"")).status == 202
    bare = next(one for one in await kafka.records(topic_of("binary"), 2) if dict(one.headers)["ce_id"] == b"e0")
    assert (bare.key, bare.value) == (None, b"")
    await kafka.topic(topic_of("structured"))
    await sink_at(world, kafka, "structured", contentMode="structured")
    assert (await post(world, "structured", "e2", b'{"n":2}')).status == 202
    (record,) = await kafka.records(topic_of("structured"), 1)
    assert (record.key, dict(record.headers)) == (None, {"content-type": JSON_EVENT})
    told = json.loads(record.value)
    assert (told["id"], told["data"]) == ("e2", {"n": 2})


async def test_what_a_sink_writes_a_source_reads_as_the_same_event(world: World, kafka: Kafka) -> None:
    reader = await world.subscriber()
    await sink_at(world, kafka, "both", numPartitions=1, replicationFactor=1)
    await source(world, kafka, "both", reader)
    assert (await post(world, "both", "e3", b"data", subject="100%25", team="shop")).status == 202
    await reader.until(lambda: bool(reader.got), WAIT_S)
    (event,) = reader.got
    where = {"knativekafkapartition": "0", "knativekafkaoffset": "0"}
    sent = {"id": "e3", "source": "/tests", "type": "order", "specversion": "1.0", "subject": "100%25", "team": "shop"}
    assert (event.attributes, event.body) == ({**sent, **where}, b"data")


async def test_an_event_that_is_longer_than_the_topic_takes_is_refused_for_good(world: World, kafka: Kafka) -> None:
    await kafka.topic(topic_of("narrow"), config={"max.message.bytes": "10000"})
    await sink_at(world, kafka, "narrow")
    # In one partition, and behind a record: there Kafka knows what the producer has numbered so far.
    assert (await post(world, "narrow", "first", partitionkey="one")).status == 202
    answer = await post(world, "narrow", "long", b"x" * 20_000, partitionkey="one")
    assert (answer.status, answer.text) == (
        413,
        f"the event is longer than topic {topic_of('narrow')} takes (its max.message.bytes)\n",
    )
    assert (await post(world, "narrow", "short", partitionkey="one")).status == 202


async def test_a_topic_that_is_not_there_or_cannot_be_made_is_told_and_nothing_is_taken(
    world: World, kafka: Kafka
) -> None:
    spec = {"bootstrapServers": [kafka.plain], "topic": topic_of("absent")}
    await world.mesh.bench.create(KAFKA_SINK, "absent", spec)
    message = await failed(world, KAFKA_SINK, "absent", "TopicReady", "TopicNotFound")
    assert message == f"topic {topic_of('absent')} is not there, or may not be described"
    answer = await post(world, "absent", "e4")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.text == f"the event could not be written to topic {topic_of('absent')}; send it again later\n"
    many = {**spec, "topic": topic_of("many"), "numPartitions": 1, "replicationFactor": 9}
    await world.mesh.bench.create(KAFKA_SINK, "many", many)
    message = await failed(world, KAFKA_SINK, "many", "TopicReady", "TopicNotMade")
    assert message.startswith(f"topic {topic_of('many')} could not be made: ")
    await kafka.topic(topic_of("absent"))
    async with asyncio.timeout(WAIT_S):
        await world.mesh.bench.until(KAFKA_SINK, "absent", is_ready)
    assert (await post(world, "absent", "e4")).status == 202


async def test_the_secret_of_a_sink_lets_in(world: World, kafka: Kafka) -> None:
    login = {"protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "user": "mesh", "password": "hush"}
    more = {"ca.crt": kafka.tls["ca"], "user.crt": kafka.tls["certificate"], "user.key": kafka.tls["key"]}
    await world.mesh.bench.api.create(SECRET, secret("sink-login", {**login, **more}), "default")
    auth = {"secret": {"ref": {"name": "sink-login"}}}
    spec = {"numPartitions": 1, "replicationFactor": 1, "bootstrapServers": [kafka.server.bootstrap], "auth": auth}
    await sink_at(world, kafka, "let-in", **spec)
    assert (await post(world, "let-in", "e5")).status == 202
    (record,) = await kafka.records(topic_of("let-in"), 1)
    assert dict(record.headers)["ce_id"] == b"e5"


async def test_while_too_much_waits_for_the_sink_nothing_is_read_and_nothing_is_lost(
    world: World, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 3)
    takes = asyncio.Event()
    sink = await world.subscriber(lambda event: None if takes.is_set() else web.Response(status=503))
    await kafka.topic(topic_of("slow"))
    delivery = {"retry": 1_000, "backoffPolicy": "linear", "backoffDelay": "PT0.001S"}
    await source(world, kafka, "slow", sink, delivery=delivery)
    for number in range(4):
        await kafka.send(topic_of("slow"), b"%d" % number)
    await world.log.heard("waiting for the sink", source="default/slow")
    for number in range(4, 8):
        await kafka.send(topic_of("slow"), b"%d" % number)
    takes.set()
    await sink.until(lambda: len(sink.ids()) == 8, WAIT_S)
    assert [event.body for event in sink.got] == [b"%d" % number for number in range(8)]


async def test_servers_that_went_away_are_told_and_worked_with_again_when_they_come_back(
    world: World, kafka: Kafka
) -> None:
    reader = await world.subscriber()
    await sink_at(world, kafka, "restarted", numPartitions=1, replicationFactor=1)
    await source(world, kafka, "restarted", reader)
    assert (await post(world, "restarted", "before")).status == 202
    await reader.until(lambda: reader.ids() == {"before"}, WAIT_S)
    await kafka.server.kill()
    assert (await post(world, "restarted", "meanwhile")).status == 503
    message = await failed(world, KAFKA_SINK, "restarted", "TopicReady", "ConnectionFailed")
    assert message.startswith(f"Kafka at {kafka.plain}: ")
    await kafka.server.start()
    async with asyncio.timeout(WAIT_S):
        await world.mesh.bench.until(KAFKA_SINK, "restarted", is_ready)
        while (await post(world, "restarted", "after")).status != 202:
            await asyncio.sleep(0.1)
    await reader.until(lambda: "after" in reader.ids(), WAIT_S)


OBJECTS = """
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata: {{name: shop}}
---
apiVersion: eventing.knative.dev/v1alpha1
kind: KafkaSink
metadata: {{name: archive}}
spec: {{bootstrapServers: ["{servers}"], topic: archive, numPartitions: 1, replicationFactor: 1}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: archived}}
spec:
  broker: shop
  subscriber: {{ref: {{apiVersion: eventing.knative.dev/v1alpha1, kind: KafkaSink, name: archive}}}}
---
apiVersion: sources.knative.dev/v1
kind: KafkaSource
metadata: {{name: archived}}
spec:
  bootstrapServers: ["{servers}"]
  topics: [archive]
  initialOffset: earliest
  sink: {{uri: "{reader}"}}
"""


async def test_in_a_whole_mesh_an_event_goes_from_a_broker_into_kafka_and_from_there_to_who_reads_it(
    kafka: Kafka, tmp_path: Path
) -> None:
    mesh, reader = MeshProcess(tmp_path / "mesh"), Subscriber()
    kubectl = CommandLine("kubectl", mesh.kubeconfig, tmp_path)
    try:
        await mesh.start()
        async with reader.listening():
            await kubectl("apply", "-f", "-", stdin=OBJECTS.format(servers=kafka.plain, reader=reader.url))
            for kind in ("kafkasink/archive", "trigger/archived", "kafkasource/archived"):
                await kubectl("wait", "--for=condition=Ready", kind, f"--timeout={WAIT_S:.0f}s")
            sent = await mesh.eventmesh("send", "--broker", "shop", "--type", "order", "--id", "e9", "--data", "{}")
            assert sent.code == 0, sent.err
            await reader.until(lambda: bool(reader.got), WAIT_S)
        assert (reader.got[0].id, reader.got[0].attributes["knativekafkaoffset"]) == ("e9", "0")
        await mesh.stop()
    finally:
        mesh.close()
