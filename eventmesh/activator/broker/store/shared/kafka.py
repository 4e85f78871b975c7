"""A journal in Apache Kafka: one topic, whose partition 0 has one record an entry.

One partition, because what activators claim, settle and take in has one order: it is what decides between them, and
neither consumer groups nor transactions are needed beside it. An entry stands at the offset before its position, since
offsets begin with zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError

from eventmesh.activator.broker.store.errors import CorruptJournal, StoreError
from eventmesh.activator.broker.store.shared import kafka_snapshots as snapshots
from eventmesh.activator.broker.store.shared.journal import MAX_READ, MIN_ENTRY_BYTES, Bounds, EntriesGone, Entry
from eventmesh.activator.broker.store.shared.kafka_clients import (
    ANSWER_S,
    KafkaSettings,
    administered,
    consumer_started,
    offset_ends,
    producer_started,
    stopped,
    unreachable,
)
from eventmesh.activator.broker.store.shared.kafka_topic import (
    ENTRIES,
    MESSAGE_OVERHEAD,
    PARTITIONS,
    PIECES,
    topic_there,
)

LOOK_MS = 500
"""How long a reader waits for entries at a time."""

SILENT_LOOKS = 6
"""After so many without an entry it ends, so that somebody asks whether the journal is still there: each activator
beats once a second."""


class KafkaJournal:
    """A `Journal` in one topic."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._entries = settings.at(ENTRIES)
        self._consumer: AIOKafkaConsumer | None = None
        self._producer: AIOKafkaProducer | None = None
        self._under_way: asyncio.Future[object] | None = None
        self._identity = b""
        self._checked = False
        """Whether topic and identity have been looked at since the servers last answered in time."""
        self._closed = False
        self._seen = 0
        self._seen_bytes = 0
        self.where = f"Kafka, topic {settings.topic} at {settings.where()}"
        self.max_entry_bytes = 1 << 20
        self.warnings: Sequence[str] = ()

    async def open(self) -> Bounds:
        """Connect, make the topic if there is none, and return its bounds."""
        async with self._reached():
            if not self._checked:
                await self._check()
            first, end = await offset_ends(await self._connected(), self._settings, ENTRIES)
        # The library does not ask how long files are: it is reckoned from the entries that were seen.
        size = (end - first) * self._seen_bytes // max(1, self._seen)
        return Bounds(f"{self._settings.topic} {self._identity.decode()}", first + 1, end, size)

    async def _check(self) -> None:
        async with administered(self._settings) as admin:
            there = await topic_there(admin, self._settings)
        if there.max_entry_bytes < MIN_ENTRY_BYTES:
            raise StoreError(
                f"topic {self._settings.topic} has max.message.bytes={there.max_entry_bytes + MESSAGE_OVERHEAD}; at "
                f"least {MIN_ENTRY_BYTES + MESSAGE_OVERHEAD} are needed"
            )
        self.max_entry_bytes, self.warnings = there.max_entry_bytes, there.warnings
        identity = await snapshots.identity(self._settings, await self._connected())
        if self._identity not in (b"", identity):
            # What it has still to send belongs to a journal that is gone.
            await self._end_producer()
        self._identity = identity
        self._checked = True

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = await consumer_started(self._settings)
            partitions = [self._settings.at(number) for number in range(PARTITIONS)]
            consumer.assign(partitions)
            for at in partitions:
                consumer.seek(at, 0)
            consumer.pause(*partitions)
            self._consumer = consumer
        return self._consumer

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        """Raise as StoreError what the library raises, and have everything looked at anew."""
        try:
            if self._closed:
                raise StoreError("the event store is closed")
            yield
        except (KafkaError, OSError, TimeoutError) as error:
            self._checked = False
            raise unreachable(self._settings, error) from error

    async def append(self, content: bytes) -> None:
        """Return once every server that has to hold the entry has acknowledged it.

        One entry is on its way at a time. The library repeats it until it is there, once and in its place; while it
        does, what would come behind it is refused.
        """
        async with self._reached():
            if self._under_way is not None:
                await self._acknowledged(self._under_way)
            if self._producer is None:
                self._producer = await producer_started(self._settings)
            sent = await self._producer.send(self._settings.topic, content, key=self._identity, partition=ENTRIES)
            sent.add_done_callback(_looked_at)
            self._under_way = sent
            await self._acknowledged(sent)

    async def _acknowledged(self, sent: asyncio.Future[object]) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await asyncio.shield(sent)
        except KafkaError:
            # It has ended without being there; whether a producer goes on after that depends on the reason.
            await self._end_producer()
            raise
        self._under_way = None

    async def _end_producer(self) -> None:
        producer, self._producer, self._under_way = self._producer, None, None
        if producer is not None:
            await stopped(producer)

    async def follow(self, after: int) -> AsyncIterator[Sequence[Entry]]:
        """Yield entries beyond a position, for as long as some come."""
        async with self._reached():
            consumer = await self._connected()
            consumer.seek(self._entries, after)
            consumer.resume(self._entries)
            position, silent = after, 0
            while not self._closed and silent < SILENT_LOOKS:
                batch = await self._batch(consumer, position)
                silent = 0 if batch else silent + 1
                if batch:
                    position = batch[-1].position
                    yield batch
            self._checked = False

    async def _batch(self, consumer: AIOKafkaConsumer, position: int) -> Sequence[Entry]:
        try:
            found = await consumer.getmany(self._entries, timeout_ms=LOOK_MS, max_records=MAX_READ)
        except OffsetOutOfRangeError:
            await self._missing(consumer, position + 1)
        except CorruptRecordException as error:
            raise CorruptJournal(
                f"entry {position + 1} of topic {self._settings.topic}, or one of those after it, is not what was "
                "written: its checksum does not match"
            ) from error
        batch = []
        for at, record in enumerate(found.get(self._entries, ()), position + 1):
            if record.offset + 1 != at:
                await self._missing(consumer, at)
            if record.key != self._identity:
                raise CorruptJournal(
                    f"entry {at} of topic {self._settings.topic} was written for another journal: the topic was made "
                    "anew while activators were running, or something else writes there"
                )
            batch.append(Entry(at, record.value))
        self._seen += len(batch)
        self._seen_bytes += sum(len(entry.content) for entry in batch)
        return batch

    async def _missing(self, consumer: AIOKafkaConsumer, position: int) -> NoReturn:
        first, end = await offset_ends(consumer, self._settings, ENTRIES)
        topic = self._settings.topic
        if first >= position:
            raise EntriesGone(f"topic {topic} begins at {first + 1}; the reader is at {position}")
        if end < position:
            raise StoreError(f"topic {topic} ends at {end}; the reader is at {position}")
        raise CorruptJournal(
            f"entry {position} of topic {topic} is missing: something else than activators has written there, or the "
            "servers have lost it"
        )

    async def save(self, snapshot: Path) -> None:
        """Keep the file in pieces, in place of the one before."""
        async with self._reached():
            saved = await snapshots.save(self._settings, await self._connected(), snapshot)
            await self._delete(PIECES, saved.first)

    async def load(self, into: Path) -> bool:
        """Write the file that was saved last."""
        async with self._reached():
            return await snapshots.load(self._settings, await self._connected(), into)

    async def cut(self, through: int) -> None:
        """Have the entries up to that position deleted."""
        async with self._reached():
            await self._delete(ENTRIES, through)

    async def _delete(self, partition: int, before: int) -> None:
        async with administered(self._settings) as admin:
            await admin.delete_records({self._settings.at(partition): RecordsToDelete(before)})

    async def close(self) -> None:
        """End the connections."""
        self._closed = True
        await self._end_producer()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await stopped(consumer)


def _looked_at(sent: asyncio.Future[object]) -> None:
    """Take note of an end that nobody waits for any more."""
    if not sent.cancelled():
        sent.exception()
