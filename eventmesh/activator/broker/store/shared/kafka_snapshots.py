"""Snapshots in Kafka: pieces in one partition, and a register that says which of them make up the last one that is
whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from eventmesh.activator.broker.store.errors import CorruptJournal, StoreError
from eventmesh.activator.broker.store.shared.kafka_topic import ANSWER_S, PIECES, REGISTER, KafkaSettings
from eventmesh.base.tasks import TaskGroup

PIECE_BYTES = 192 << 10
"""Of a snapshot, in one record: less than the shortest entry that a topic has to take."""

READ_BYTES = 4 << 20
"""What a reader holds of a partition at once."""

STOP_S = 3.0
"""How long a client may take to send what it has, when it is ended."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Where a snapshot is."""

    name: str
    first: int
    """Offset before which none of its pieces is."""
    end: int
    """Offset from which on none of them is."""
    size: int
    digest: str


async def producer_started(settings: KafkaSettings) -> AIOKafkaProducer:
    """Return a producer whose records are there once and in order, whatever it has to repeat; raises what the library
    raises."""
    producer = AIOKafkaProducer(
        **settings.connection(),
        acks="all",
        enable_idempotence=True,
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


async def records(settings: KafkaSettings, partition: int, first: int, end: int) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of a partition between two offsets; raises what the library raises, TimeoutError when none
    comes."""
    consumer = AIOKafkaConsumer(
        **settings.connection(),
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=READ_BYTES,
    )
    at = settings.at(partition)
    try:
        await consumer.start()
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


async def save(settings: KafkaSettings, consumer: AIOKafkaConsumer, snapshot: Path) -> Registered:
    """Keep a file, and return where it is: what lies before is not needed any more.

    Raises StoreError when another was saved meanwhile, and what the library raises.
    """
    name, digest, size = uuid4().hex, blake2b(digest_size=16), 0
    async with _producing(settings) as producer:
        _, first = await offset_ends(consumer, settings, PIECES)
        with snapshot.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                await _sent(producer, settings, PIECES, name, piece)
                digest.update(piece)
                size += len(piece)
        begin, end = await offset_ends(consumer, settings, PIECES)
        if begin > first:
            raise StoreError("another activator has saved a snapshot meanwhile, and cut off pieces of this one")
        registered = Registered(name, first, end, size, digest.hexdigest())
        await _sent(producer, settings, REGISTER, name, json.dumps(asdict(registered)).encode())
    return registered


async def load(settings: KafkaSettings, consumer: AIOKafkaConsumer, into: Path) -> bool:
    """Write the file that was saved last; return whether there is one.

    Raises CorruptJournal when it is not what was saved, and what the library raises.
    """
    registered = await _last(settings, consumer)
    if registered is None:
        return False
    digest, size = blake2b(digest_size=16), 0
    begin, _ = await offset_ends(consumer, settings, PIECES)
    with into.open("wb") as file:
        async for record in records(settings, PIECES, max(begin, registered.first), registered.end):
            if record.key == registered.name.encode():
                file.write(record.value)
                digest.update(record.value)
                size += len(record.value)
    if (size, digest.hexdigest()) != (registered.size, registered.digest):
        if await _last(settings, consumer) != registered:
            raise StoreError("another snapshot was saved while this one was read")
        raise CorruptJournal(
            f"of the snapshot in topic {settings.topic}, {size} of {registered.size} bytes are there, and they are not "
            "what was saved"
        )
    return True


async def _last(settings: KafkaSettings, consumer: AIOKafkaConsumer) -> Registered | None:
    _, end = await offset_ends(consumer, settings, REGISTER)
    if end <= 1:
        return None
    found = [record.value async for record in records(settings, REGISTER, end - 1, end)]
    return Registered(**json.loads(found[-1]))


async def identity(settings: KafkaSettings, consumer: AIOKafkaConsumer) -> bytes:
    """Return what no other journal has; it is chosen by whoever comes first: the first record of the register."""
    _, end = await offset_ends(consumer, settings, REGISTER)
    if not end:
        async with _producing(settings) as producer:
            await _sent(producer, settings, REGISTER, uuid4().hex, b"journal")
    found = [record.key async for record in records(settings, REGISTER, 0, 1)]
    return bytes(found[0])


@asynccontextmanager
async def _producing(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = await producer_started(settings)
    try:
        yield producer
    finally:
        await stopped(producer)


async def _sent(producer: AIOKafkaProducer, settings: KafkaSettings, partition: int, key: str, value: bytes) -> None:
    async with asyncio.timeout(ANSWER_S):
        await producer.send_and_wait(settings.topic, value, key=key.encode(), partition=partition)
