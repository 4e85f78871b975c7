"""How Kafka is reached: settings of a connection, and the library's clients as they are started, read from and ended
here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.base import log
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup

ANSWER_S = 5.0
"""How long a server may take for an answer: a slow disk takes a tenth of it."""

READ_BYTES = 4 << 20
"""What a reader holds of a partition at once."""

STOP_S = 3.0
"""How long a client may take to send what it has, when it is ended."""

# What matters of it is raised, and told by who catches it; the rest would come ten times a second from a dead server.
log.silence("aiokafka")


@frozen
class KafkaSettings:
    """Where the servers are, and what they are asked for."""

    servers: tuple[str, ...]
    topic: str
    replicas: int = 1
    user: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = "SCRAM-SHA-512"
    """Of SASL; counts when there is a user."""
    tls: ssl.SSLContext | None = None

    def connection(self) -> Mapping[str, Any]:
        """Return what every client of the library is given."""
        protocol = ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": "eventmesh-activator",
            "request_timeout_ms": int(ANSWER_S * 1000),
            "security_protocol": protocol,
            "ssl_context": self.tls,
        }
        if self.user:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.user
            options["sasl_plain_password"] = self.password
        return options

    def at(self, partition: int) -> TopicPartition:
        """Return one partition of the topic."""
        return TopicPartition(self.topic, partition)

    def where(self) -> str:
        """Return the servers, for people."""
        return ", ".join(self.servers)


@asynccontextmanager
async def administered(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a client that makes, describes and cuts topics; raises what the library raises."""
    admin = AIOKafkaAdminClient(**settings.connection())
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def producer_started(settings: KafkaSettings, *, idempotent: bool = True) -> AIOKafkaProducer:
    """Return a producer whose records are there in order, whatever it has to repeat; raises what the library raises.

    `idempotent`: each is there once; but behind one that Kafka has refused, no other is taken (the library counts it).
    """
    producer = AIOKafkaProducer(
        **settings.connection(),
        acks="all",
        enable_idempotence=idempotent,
        # What is too long is told before it gets here, by `max_entry_bytes`.
        max_request_size=1 << 30,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            await producer.start()
    except BaseException:
        await stopped(producer)
        raise
    return producer


@asynccontextmanager
async def producing(settings: KafkaSettings, *, idempotent: bool = True) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer until the block ends."""
    producer = await producer_started(settings, idempotent=idempotent)
    try:
        yield producer
    finally:
        await stopped(producer)


async def consumer_started(settings: KafkaSettings) -> AIOKafkaConsumer:
    """Return a consumer that reads what it is told to, and keeps no place; raises what the library raises."""
    consumer = AIOKafkaConsumer(
        **settings.connection(),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=READ_BYTES,
    )
    try:
        await consumer.start()
    except BaseException:
        await stopped(consumer)
        raise
    return consumer


async def stopped(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    """End a client, whatever state it is in."""
    # In a task of its own: the library lets the cancellations of its inner tasks out.
    tasks = TaskGroup("kafka")
    ending = tasks.spawn("stop", client.stop())
    await asyncio.wait({ending}, timeout=STOP_S)
    await tasks.stop()
    if not ending.cancelled() or not isinstance(client, AIOKafkaProducer):
        return
    # It waited for a server that is not there, to send what it still has.
    closing = tasks.spawn("close", client.client.close())
    await asyncio.wait({closing}, timeout=STOP_S)
    await tasks.stop()


async def send(producer: AIOKafkaProducer, at: TopicPartition, key: str, value: bytes) -> None:
    """Return once the record is durable; raises what the library raises, TimeoutError when that takes too long."""
    async with asyncio.timeout(ANSWER_S):
        await producer.send_and_wait(at.topic, value, key=key.encode(), partition=at.partition)


async def records(settings: KafkaSettings, partition: int, first: int, end: int) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of a partition between two offsets; raises what the library raises, TimeoutError when none
    comes."""
    consumer, at = await consumer_started(settings), settings.at(partition)
    try:
        consumer.assign([at])
        consumer.seek(at, first)
        while first < end:
            found = (await consumer.getmany(at, timeout_ms=int(ANSWER_S * 1000))).get(at, [])
            if not found:
                raise TimeoutError(f"no record at {first} of partition {partition} within {ANSWER_S:.0f} s")
            for record in found:
                if record.offset < end:
                    yield record
            first = found[-1].offset + 1
    finally:
        await stopped(consumer)


async def offset_ends(consumer: AIOKafkaConsumer, settings: KafkaSettings, partition: int) -> tuple[int, int]:
    """Return the first offset of a partition that is there, and the one that comes next."""
    at = settings.at(partition)
    first, end = await asyncio.gather(consumer.beginning_offsets([at]), consumer.end_offsets([at]))
    return int(first[at]), int(end[at])


def unreachable(settings: KafkaSettings, error: BaseException) -> StoreError:
    """Return what is told of an error of the library or the network."""
    if isinstance(error, KafkaConnectionError):
        # The library tells where it has tried, and not why it failed.
        reason = "no server lets us in"
        if settings.user:
            reason += f"; it may be that they do not know user {settings.user}, or want another password or mechanism"
    elif isinstance(error, TimeoutError):
        reason = str(error) or "no answer in time"
    else:
        reason = str(error) or type(error).__name__
    return StoreError(f"Kafka at {settings.where()}: {reason}")
