"""Snapshots in Kafka: pieces in one partition, and a register that says which of them make up the last one that is
whole."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from eventmesh.activator.broker.store.errors import CorruptJournal, StoreError
from eventmesh.activator.broker.store.shared.kafka_clients import KafkaSettings, offset_ends, producing, records, send
from eventmesh.activator.broker.store.shared.kafka_topic import PIECES, REGISTER
from eventmesh.base.frozen import frozen

PIECE_BYTES = 192 << 10
"""Of a snapshot, in one record: less than the shortest entry that a topic has to take."""

FIRST = b"journal"
"""Content of the first record of the register, whose key is the identity of the journal."""


@frozen
class Registered:
    """Where a snapshot is."""

    name: str
    first: int
    """Offset before which none of its pieces is."""
    end: int
    """Offset from which on none of them is."""
    size: int
    digest: str


async def save(settings: KafkaSettings, consumer: AIOKafkaConsumer, snapshot: Path) -> Registered:
    """Keep a file, and return where it is: what lies before is not needed any more.

    Raises StoreError when another was saved meanwhile, and what the library raises.
    """
    name, digest, size = uuid4().hex, blake2b(digest_size=16), 0
    async with producing(settings) as producer:
        _, first = await offset_ends(consumer, settings, PIECES)
        with snapshot.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                await send(producer, settings.at(PIECES), name, piece)
                digest.update(piece)
                size += len(piece)
        begin, end = await offset_ends(consumer, settings, PIECES)
        if begin > first:
            raise StoreError("another activator has saved a snapshot meanwhile, and cut off pieces of this one")
        saved = Registered(name, first, end, size, digest.hexdigest())
        await send(producer, settings.at(REGISTER), name, json.dumps(asdict(saved)).encode())
    return saved


async def load(settings: KafkaSettings, consumer: AIOKafkaConsumer, into: Path) -> bool:
    """Write the file that was saved last; return whether there is one.

    Raises CorruptJournal when it is not what was saved, and what the library raises.
    """
    saved = await _last(settings, consumer)
    if saved is None:
        return False
    digest, size = blake2b(digest_size=16), 0
    begin, _ = await offset_ends(consumer, settings, PIECES)
    with into.open("wb") as file:
        async for record in records(settings, PIECES, max(begin, saved.first), saved.end):
            if record.key == saved.name.encode():
                file.write(record.value)
                digest.update(record.value)
                size += len(record.value)
    if (size, digest.hexdigest()) != (saved.size, saved.digest):
        if await _last(settings, consumer) != saved:
            raise StoreError("another snapshot was saved while this one was read")
        raise CorruptJournal(
            f"of the snapshot in topic {settings.topic}, {size} of {saved.size} bytes are there, and they are not "
            "what was saved"
        )
    return True


async def _last(settings: KafkaSettings, consumer: AIOKafkaConsumer) -> Registered | None:
    _, end = await offset_ends(consumer, settings, REGISTER)
    if end <= 1:
        return None
    found = [record.value async for record in records(settings, REGISTER, end - 1, end)]
    return registered(settings.topic, found[-1])


def registered(topic: str, content: bytes) -> Registered:
    """Return what a record of the register says; raises CorruptJournal when no activator has written it."""
    try:
        return Registered(**json.loads(content))
    except (TypeError, ValueError, RecursionError) as error:
        raise CorruptJournal(f"the register of topic {topic} ends with what no activator has written") from error


async def identity(settings: KafkaSettings, consumer: AIOKafkaConsumer) -> bytes:
    """Return what no other journal has; it is chosen by whoever comes first: the first record of the register.

    Raises CorruptJournal when the topic is one of something else, and what the library raises.
    """
    _, end = await offset_ends(consumer, settings, REGISTER)
    if not end:
        async with producing(settings) as producer:
            await send(producer, settings.at(REGISTER), uuid4().hex, FIRST)
    (found,) = [record async for record in records(settings, REGISTER, 0, 1)]
    return identity_in(settings.topic, found.key, found.value)


def identity_in(topic: str, key: bytes | None, content: bytes | None) -> bytes:
    """Return what the first record of the register says; raises CorruptJournal when no activator has written it."""
    if key is None or content != FIRST or not key.isalnum():
        raise CorruptJournal(f"topic {topic} is not a journal: its partition {REGISTER} begins with something else")
    return key
