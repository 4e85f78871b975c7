"""A real Apache Kafka as applications meet it: topics, producers, consumers, and a port that lets in who is known."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from eventmesh.base.clock import SystemClock
from eventmesh.cluster.api.certificates import load_or_make
from tests.peers.kafka_server import GUARDED, KafkaServer, kafka_server
from tests.waiting import WAIT_S

NO_DELAY = "group.initial.rebalance.delay.ms=0\nmessage.max.bytes=4000000\n"
SCRAM = ("--standalone", "--add-scram", "SCRAM-SHA-512=[name=mesh,password=hush]")


@dataclass(frozen=True)
class Kafka:
    """One server, which lets in who is known at one port and anybody at the other."""

    server: KafkaServer
    plain: str
    tls: Mapping[str, str]
    """What a Secret holds for the guarded port."""

    async def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.plain)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])
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

    async def records(self, topic: str, count: int) -> list[ConsumerRecord]:
        """Return so many records of a topic, as they lie there."""
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.plain, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async with asyncio.timeout(WAIT_S):
                return [await consumer.getone() for _ in range(count)]
        finally:
            await consumer.stop()

    async def send(
        self, topic: str, value: bytes | None, key: bytes | None = None, headers: Mapping[str, bytes] | None = None
    ) -> None:
        async with self.producer() as producer:
            await producer.send_and_wait(topic, value, key=key, headers=list((headers or {}).items()))


@asynccontextmanager
async def kafka_in(directory: Path) -> AsyncIterator[Kafka]:
    """Run a server until the block ends."""
    made = load_or_make(directory / "tls", SystemClock())
    keystore, authority = directory / "server.pem", directory / "ca.pem"
    keystore.write_bytes(made.key_file.read_bytes() + made.certificate_file.read_bytes())
    authority.write_bytes(made.ca_pem)
    config = GUARDED.format(keystore=keystore, truststore=authority) + NO_DELAY
    async with kafka_server(directory / "server", config, *SCRAM) as server:
        inside = re.findall(r"INSIDE://(127\.0\.0\.1:\d+)", (directory / "server" / "server.properties").read_text())
        values = {"ca": made.ca_pem, "certificate": made.client.certificate_pem, "key": made.client.key_pem}
        yield Kafka(server, inside[-1], {name: value.decode() for name, value in values.items()})
