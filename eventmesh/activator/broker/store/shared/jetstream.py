"""A journal in NATS JetStream: one stream, one message an entry, and an object store for the snapshot.

One stream for all brokers of a mesh, not one for each: entries of all of them share a sync, and what one says of
another (a reply, a dead letter) has its place in the same order.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import nats
import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    Header,
    ObjectStoreConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import BucketNotFoundError, NotFoundError, ObjectNotFoundError

from eventmesh.activator.broker.store.errors import CorruptJournal, StoreError
from eventmesh.activator.broker.store.shared.journal import MAX_READ, MIN_ENTRY_BYTES, Bounds, EntriesGone, Entry
from eventmesh.activator.broker.store.shared.nats_connection import CONNECT_S, JetStreamSettings, NatsConnection

LOAD_S = 600.0
"""How long a snapshot may take to come: a gibibyte over a slow line."""

LOOK_S = 0.5
"""How often a reader that hears nothing asks whether it is still served."""

SILENT_LOOKS = 6
"""After so many of these it asks the server."""

ABANDONED_S = 30.0
"""After so long the server forgets a reader that has gone away."""

MAX_READ_BYTES = 4 << 20
"""What the entries of one transaction may take: they are in memory meanwhile."""

HEADER_BYTES = 512
"""What the server counts of a message beside the entry."""

SNAPSHOT = "view"
"""Name of the object that holds the snapshot."""


class JetStreamJournal:
    """A `Journal` in one stream."""

    def __init__(self, settings: JetStreamSettings) -> None:
        self._settings = settings
        self._stream = settings.stream
        self._subject = f"{settings.stream}.journal"
        self._bucket = f"{settings.stream}-snapshots"
        self._nats = NatsConnection(settings)
        self._closed = False
        self._said: tuple[int, bool] | None = None
        """Whether a server says that it syncs, and which connection it had then."""
        self.where = f"NATS JetStream, stream {settings.stream} at {self._nats.where}"
        self.max_entry_bytes = 1 << 20
        self.warnings: Sequence[str] = ()

    async def open(self) -> Bounds:
        """Connect, make the stream if there is none, and return its bounds."""
        client = await self._nats.open()
        self.max_entry_bytes = client.max_payload - HEADER_BYTES
        if self.max_entry_bytes < MIN_ENTRY_BYTES:
            raise StoreError(
                f"{self._nats.where} has max_payload {client.max_payload}; at least {MIN_ENTRY_BYTES + HEADER_BYTES} "
                "are needed"
            )
        with self._nats.asking():
            info = await self._stream_info(self._nats.stream())
        self._check(info.config)
        await self._check_syncs(info.config.num_replicas or 1)
        state = info.state
        if state.num_deleted:
            raise CorruptJournal(
                f"{state.num_deleted} of the entries {state.first_seq} to {state.last_seq} are missing in stream "
                f"{self._stream}: they were deleted, or the server has lost them"
            )
        return Bounds(f"{self._stream} of {info.created}", state.first_seq, state.last_seq, state.bytes)

    async def _stream_info(self, stream: JetStreamContext) -> StreamInfo:
        try:
            return await stream.stream_info(self._stream)
        except NotFoundError:
            return await stream.add_stream(
                StreamConfig(
                    name=self._stream,
                    subjects=[self._subject],
                    storage=StorageType.FILE,
                    retention=RetentionPolicy.LIMITS,
                    discard=DiscardPolicy.NEW,
                    num_replicas=self._settings.replicas,
                )
            )

    def _check(self, config: StreamConfig) -> None:
        """Raise StoreError when the stream would lose what it has acknowledged."""
        wanted: dict[str, tuple[object, tuple[object, ...]]] = {
            "storage": (config.storage, ("file",)),
            "retention": (config.retention, ("limits",)),
            "discard": (config.discard, ("new",)),
            "max_age": (config.max_age, (0, None)),
            "max_msgs_per_subject": (config.max_msgs_per_subject, (-1, 0, None)),
            "subjects": (config.subjects, ([self._subject],)),
        }
        for name, (value, allowed) in wanted.items():
            if value not in allowed:
                raise StoreError(
                    f"stream {self._stream} has {name} {value}; events that were acknowledged need {allowed[0]}"
                )

    async def _check_syncs(self, replicas: int) -> None:
        syncs = await self._syncs(replicas)
        warnings = []
        if replicas == 1 and syncs is False:
            raise StoreError(
                f"{self._nats.where} does not sync what it acknowledges: set sync_interval: always in its jetstream "
                "block, or keep the stream on three servers (replicas=3)"
            )
        if replicas == 1 and syncs is None:
            warnings.append(
                "202 means on disk only when the server has sync_interval: always, and it does not tell a client: name "
                "its monitoring address (monitor=http://host:8222), so that it is asked"
            )
        if replicas > 1 and not syncs:
            warnings.append(f"202 means held by most of {replicas} servers, not yet on their disks")
        self.warnings = warnings

    async def _syncs(self, replicas: int) -> bool | None:
        """Return what is said of the syncs of the server that is connected; None: nothing."""
        if self._said is None or self._said[0] != self._nats.count:
            self._said = None
            try:
                if self._settings.monitor:
                    self._said = (self._nats.count, await asyncio.to_thread(_syncs_always, self._settings.monitor))
            except StoreError:
                # One of several may be away; alone, it must tell.
                if replicas == 1:
                    raise
        return self._said[1] if self._said is not None else None

    async def append(self, content: bytes) -> None:
        """Return once the server has acknowledged the entry."""
        name = blake2b(content, digest_size=16).hexdigest()
        with self._nats.asking():
            await self._nats.stream().publish(
                self._subject, content, stream=self._stream, headers={Header.MSG_ID.value: name}
            )

    async def follow(self, after: int) -> AsyncIterator[Sequence[Entry]]:
        """Yield entries beyond a position, for as long as the connection lasts."""
        connection, position = self._nats.count, after
        with self._nats.asking():
            reader = await self._reader(position + 1)
            try:
                while not self._closed and self._nats.count == connection:
                    batch = await self._batch(reader)
                    if batch is None:
                        return
                    if batch:
                        await self._check_order(position, batch)
                        yield batch
                        position = batch[-1].position
            finally:
                with suppress(Exception):
                    await reader.unsubscribe()

    async def _reader(self, first: int) -> JetStreamContext.PushSubscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=ABANDONED_S,
            mem_storage=True,
        )
        return await self._nats.stream().subscribe(
            self._subject, stream=self._stream, config=config, manual_ack=True, flow_control=True, idle_heartbeat=2.0
        )

    async def _batch(self, reader: JetStreamContext.PushSubscription) -> list[Entry] | None:
        """Return what has come, empty after a while; None: the reader is not served any more."""
        silent = 0
        connection = self._nats.count
        while True:
            try:
                first = await reader.next_msg(timeout=LOOK_S)
                break
            except nats.errors.TimeoutError:
                if self._closed or self._nats.count != connection:
                    return []
                silent += 1
                if silent >= SILENT_LOOKS:
                    silent = 0
                    try:
                        await reader.consumer_info()
                    except NotFoundError:
                        return None
        batch, size = [_entry(first)], len(first.data)
        while reader.pending_msgs and len(batch) < MAX_READ and size < MAX_READ_BYTES:
            message = await reader.next_msg(timeout=LOOK_S)
            batch.append(_entry(message))
            size += len(message.data)
        return batch

    async def _check_order(self, position: int, batch: Sequence[Entry]) -> None:
        for at, entry in enumerate(batch, position + 1):
            if entry.position == at:
                continue
            bounds = await self.open()
            if bounds.first > at:
                raise EntriesGone(f"stream {self._stream} begins at {bounds.first}; the reader is at {at}")
            raise StoreError(f"entry {at} of stream {self._stream} did not come; {entry.position} did")

    async def save(self, snapshot: Path) -> None:
        """Keep the file as an object, in place of the one before."""
        with self._nats.asking():
            store = await self._nats.stream().create_object_store(
                self._bucket, ObjectStoreConfig(storage=StorageType.FILE, replicas=self._settings.replicas)
            )
            with snapshot.open("rb") as file:
                await store.put(SNAPSHOT, cast(Any, file))

    async def load(self, into: Path) -> bool:
        """Write the object that was saved last into a file."""
        with self._nats.asking():
            try:
                store = await self._nats.stream().object_store(self._bucket)
                async with asyncio.timeout(LOAD_S):
                    with into.open("wb") as file:
                        await store.get(SNAPSHOT, writeinto=cast(Any, file))
            except (BucketNotFoundError, ObjectNotFoundError):
                return False
        return True

    async def cut(self, through: int) -> None:
        """Purge the entries up to that position."""
        with self._nats.asking():
            await self._nats.stream().purge_stream(self._stream, seq=through + 1)

    async def close(self) -> None:
        """End the connection."""
        self._closed = True
        await self._nats.close()


def _entry(message: Msg) -> Entry:
    return Entry(message.metadata.sequence.stream, message.data)


def _syncs_always(monitor: str) -> bool:
    """Return what a server's monitoring page says of its syncs; raises StoreError when it does not."""
    try:
        with urllib.request.urlopen(f"{monitor.rstrip('/')}/varz", timeout=CONNECT_S) as answer:  # noqa: S310  # http(s) only
            return bool(json.load(answer)["jetstream"]["config"].get("sync_always", False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"the monitoring address {monitor} does not tell of JetStream: {error}") from error
