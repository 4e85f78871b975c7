"""One KafkaSource at Kafka: a member of its consumer group that reads, has what it read stored, and only then commits.

How far is read is kept by Kafka, in the group. A place is committed for each partition before anything is read, so that
`latest` means: from the moment in which the source became Ready, whoever dies meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shared.kafka_clients import ANSWER_S, KafkaSettings, stopped
from eventmesh.activator.kafka_topics import absent, partitions_of, problem_of
from eventmesh.activator.sources.outbox import Outbox
from eventmesh.activator.sources.waiting import Waiting
from eventmesh.base import log
from eventmesh.cloudevents.kafka import Message
from eventmesh.kube.kafka_source import InitialOffset, KafkaReading, Record

MAX_RECORDS: Final = 500
"""Records of one commit: so many are stored together, and may come twice when this process dies."""

FETCH_BYTES: Final = 8 << 20
"""What is read of a server at once; a longer record comes alone."""

OFFSETS_S: Final = 10.0
"""How long it may take to learn and commit where to begin: on new servers the topic of all groups is made first."""

GROUP_S: Final = 60.0
"""How long a group may take to share its partitions anew, or to take a commit, before its servers count as gone."""

POLL_S: Final = 1.0
"""Wait for records before it is looked whether anything else has changed."""

SILENT_POLLS: Final = 10
"""Without a record for so many polls the servers are asked whether they and the topics are still there: the library
tries for ever, and says nothing."""

_log = log.get("activator.sources.kafka")


class KafkaReader:
    """Reads for one source, from the moment in which it is told to until it is cancelled."""

    def __init__(
        self, reading: KafkaReading, settings: KafkaSettings, key: str, outbox: Outbox, waiting: Waiting
    ) -> None:
        self._reading = reading
        self._settings = settings
        self._key = key
        self._outbox = outbox
        self._waiting = waiting

    async def read(self, began: Callable[[], None]) -> None:
        """Read until cancelled; `began` is called once each partition has a place. Raises KafkaProblem."""
        try:
            partitions = await partitions_of(self._settings, self._reading.topics)
            async with asyncio.timeout(OFFSETS_S):
                await self._commit_initial_offsets(partitions)
            async with self._member() as consumer:
                began()
                _log.info("reading", source=self._name, topics=", ".join(self._reading.topics))
                await self._read(consumer)
        except (KafkaError, OSError, TimeoutError) as error:
            raise problem_of(self._settings, error) from error

    @property
    def _name(self) -> str:
        return f"{self._reading.namespace}/{self._reading.name}"

    async def _commit_initial_offsets(self, partitions: list[TopicPartition]) -> None:
        async with self._consumer(auto_offset_reset="none") as consumer:
            consumer.assign(partitions)
            # At once: the library asks for all of them together.
            kept = dict(zip(partitions, await asyncio.gather(*map(consumer.committed, partitions)), strict=True))
            known = {at.topic for at, offset in kept.items() if offset is not None}
            # A partition that a known topic got later: what is in it was written since the group began.
            later = {at for at in partitions if kept[at] is None and at.topic in known}
            new = {at for at in partitions if kept[at] is None} - later
            if self._reading.initial_offset is InitialOffset.EARLIEST:
                later, new = later | new, set()
            offsets: dict[TopicPartition, int] = {}
            if later:
                offsets |= await consumer.beginning_offsets(later)
            if new:
                offsets |= await consumer.end_offsets(new)
            if not offsets:
                return
            try:
                await consumer.commit(offsets)
            except CommitFailedError:
                # Another member is there, and has done it.
                _log.debug("initial offsets are another member's", source=self._name)

    @asynccontextmanager
    async def _consumer(self, **options: object) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._settings.connection(),
            **options,
            group_id=self._reading.group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_bytes=FETCH_BYTES,
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                await consumer.start()
            yield consumer
        finally:
            await stopped(consumer)

    @asynccontextmanager
    async def _member(self) -> AsyncIterator[AIOKafkaConsumer]:
        options: dict[str, object] = {
            # What retention has taken is gone; what is left is read, and not skipped.
            "auto_offset_reset": "earliest",
            # Whoever takes over, or comes back, goes on at once, and shuts out who was there before.
            "group_instance_id": f"eventmesh-{self._reading.uid}",
        }
        async with self._consumer(**options) as consumer:
            consumer.subscribe(topics=list(self._reading.topics))
            yield consumer

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        silent = 0
        while True:
            await self._make_room(consumer)
            # It waits for the group as well, which may take its time when other members come and go.
            async with asyncio.timeout(GROUP_S):
                found = await consumer.getmany(timeout_ms=int(POLL_S * 1000), max_records=MAX_RECORDS)
            silent = 0 if found else silent + 1
            if silent >= SILENT_POLLS:
                silent = 0
                await self._look(consumer)
            if not found:
                continue
            # A partition's own order is all that Kafka promises, and it stays.
            records = [_record(record) for records in found.values() for record in records]
            events = [(record.place, self._reading.event(record)) for record in records]
            for stored in await self._outbox.keep(self._key, events):
                self._waiting.add(stored)
            await self._commit(consumer, {at: last[-1].offset + 1 for at, last in found.items()})

    async def _commit(self, consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
        try:
            async with asyncio.timeout(GROUP_S):
                await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions are another's since a moment ago, who reads this again: at least once.
            _log.info("not committed", source=self._name, reason=error)

    async def _make_room(self, consumer: AIOKafkaConsumer) -> None:
        """Pause what is read while too much waits for the sink; the member stays in its group."""
        if self._waiting.is_full:
            try:
                self._waiting.ended(await self._outbox.progress(self._reading.uid, self._key))
            except StoreError as error:
                _log.error("event store", source=self._key, reason=error)
        if not self._waiting.is_full:
            consumer.resume(*consumer.paused())
        elif unpaused := consumer.assignment() - consumer.paused():
            _log.info("waiting for the sink", source=self._name)
            consumer.pause(*unpaused)

    async def _look(self, consumer: AIOKafkaConsumer) -> None:
        async with asyncio.timeout(ANSWER_S):
            there = await consumer.topics()
        for topic in self._reading.topics:
            if topic not in there:
                raise absent(topic)


def _record(record: ConsumerRecord) -> Record:
    message = Message(record.headers, record.value, record.key)
    return Record(record.topic, record.partition, record.offset, record.timestamp, message)
