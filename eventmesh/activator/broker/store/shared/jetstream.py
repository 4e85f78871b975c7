"""A journal in NATS JetStream: one stream, one message an entry, and an object store for the snapshot.

One stream for all brokers of a mesh, not one for each: entries of all of them share a sync, and what one says of
another (a reply, a dead letter) has its place in the same order.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import nats
import nats.errors
from nats.aio.client import Client
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
from eventmesh.base import log

CONNECT_S = 3.0
"""How long a connection may take before it counts as failed; it is tried again."""

RECONNECT_S = 0.25
"""Wait before a lost connection is tried again."""

ANSWER_S = 5.0
"""How long the server may take for an entry: a slow disk takes a tenth of it."""

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

_log = log.get("activator.broker.jetstream")


@dataclass(frozen=True, slots=True)
class JetStreamSettings:
    """Where the server is, and what it is asked for."""

    servers: tuple[str, ...]
    stream: str
    replicas: int = 1
    monitor: str = ""
    """The server's monitoring address, which alone tells whether it syncs; empty: nobody asks."""
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    credentials: Path | None = None
    """A `.creds` file of NATS."""
    tls: ssl.SSLContext | None = None


class JetStreamJournal:
    """A `Journal` in one stream."""

    def __init__(self, settings: JetStreamSettings) -> None:
        self._settings = settings
        self._stream = settings.stream
        self._subject = f"{settings.stream}.journal"
        self._bucket = f"{settings.stream}-snapshots"
        self._client: Client | None = None
        self._connections = 0
        """Rises with each connection: what was asked of the one before may never be answered."""
        self._closed = False
        self._refusal: Exception | None = None
        """What the server said last of a connection, while the client tries again."""
        self._synced: bool | None = None
        """What the server says of its syncs; None: it has not said."""
        self.where = f"NATS JetStream, stream {settings.stream} at {self._where()}"
        self.max_entry_bytes = 1 << 20
        self.warnings: Sequence[str] = ()

    async def open(self) -> Bounds:
        """Connect, make the stream if there is none, and return its bounds."""
        client = await self._connect()
        self.max_entry_bytes = client.max_payload - HEADER_BYTES
        if self.max_entry_bytes < MIN_ENTRY_BYTES:
            raise StoreError(
                f"{self._where()} has max_payload {client.max_payload}; at least {MIN_ENTRY_BYTES + HEADER_BYTES} are "
                "needed"
            )
        try:
            info = await self._stream_info(client.jetstream(timeout=ANSWER_S))
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unreachable(error) from error
        self._check(info.config)
        await self._check_syncs(info.config.num_replicas or 1)
        state = info.state
        if state.num_deleted:
            raise CorruptJournal(
                f"{state.num_deleted} of the entries {state.first_seq} to {state.last_seq} are missing in stream "
                f"{self._stream}: they were deleted, or the server has lost them"
            )
        return Bounds(f"{self._stream} of {info.created}", state.first_seq, state.last_seq, state.bytes)

    async def _connect(self) -> Client:
        if self._client is not None and self._client.is_connected:
            return self._client
        if self._client is not None and not self._client.is_closed:
            raise StoreError(f"no connection to {self._where()}")
        settings = self._settings
        client = Client()
        self._refusal = None
        options: dict[str, Any] = {
            "name": "eventmesh activator",
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": RECONNECT_S,
            "user": settings.user,
            "password": settings.password,
            "token": settings.token,
            "user_credentials": settings.credentials and str(settings.credentials),
            "tls": settings.tls,
        }
        try:
            async with asyncio.timeout(CONNECT_S):
                await client.connect(
                    servers=list(settings.servers),
                    error_cb=self._failed,
                    reconnected_cb=self._connected,
                    **{name: value for name, value in options.items() if value},
                )
        except (nats.errors.Error, OSError, TimeoutError) as error:
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await client.close()
            raise self._unreachable(self._refusal or error) from error
        self._client = client
        await self._connected()
        return client

    async def _connected(self) -> None:
        self._connections += 1
        self._synced = None

    async def _failed(self, error: Exception) -> None:
        # A server that lets nobody in says why and hangs up, and the words may be lost with the connection: what it has
        # said at one attempt counts for more than how the next one broke off.
        if not (isinstance(self._refusal, nats.errors.Error) and isinstance(error, OSError)):
            self._refusal = error
        _log.debug("connection", reason=error)

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
        if self._settings.monitor and self._synced is None:
            try:
                self._synced = await asyncio.to_thread(_syncs_always, self._settings.monitor)
            except StoreError:
                # One of several may be away; alone, it must tell.
                if replicas == 1:
                    raise
        warnings = []
        if replicas == 1 and self._synced is False:
            raise StoreError(
                f"{self._where()} does not sync what it acknowledges: set sync_interval: always in its jetstream "
                "block, or keep the stream on three servers (replicas=3)"
            )
        if replicas == 1 and self._synced is None:
            warnings.append(
                "202 means on disk only when the server has sync_interval: always, and it does not tell a client: name "
                "its monitoring address (monitor=http://host:8222), so that it is asked"
            )
        if replicas > 1 and not self._synced:
            warnings.append(f"202 means held by most of {replicas} servers, not yet on their disks")
        self.warnings = warnings

    def _where(self) -> str:
        return ", ".join(server.rpartition("@")[2].rpartition("/")[2] for server in self._settings.servers)

    def _unreachable(self, error: BaseException) -> StoreError:
        return StoreError(f"NATS at {self._where()}: {str(error) or type(error).__name__}")

    def _context(self) -> JetStreamContext:
        if self._client is None or not self._client.is_connected:
            # The client would keep it, and send it when nobody waits for it any more.
            raise StoreError(f"no connection to {self._where()}")
        return self._client.jetstream(timeout=ANSWER_S)

    async def append(self, content: bytes) -> None:
        """Return once the server has acknowledged the entry."""
        name = blake2b(content, digest_size=16).hexdigest()
        try:
            await self._context().publish(
                self._subject, content, stream=self._stream, headers={Header.MSG_ID.value: name}
            )
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def follow(self, after: int) -> AsyncIterator[Sequence[Entry]]:
        """Yield entries beyond a position, for as long as the connection lasts."""
        connection, position = self._connections, after
        try:
            reader = await self._reader(position + 1)
            try:
                while not self._closed and self._connections == connection:
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
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def _reader(self, first: int) -> JetStreamContext.PushSubscription:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=ABANDONED_S,
            mem_storage=True,
        )
        return await self._context().subscribe(
            self._subject, stream=self._stream, config=config, manual_ack=True, flow_control=True, idle_heartbeat=2.0
        )

    async def _batch(self, reader: JetStreamContext.PushSubscription) -> list[Entry] | None:
        """Return what has come, empty after a while; None: the reader is not served any more."""
        silent = 0
        connection = self._connections
        while True:
            try:
                first = await reader.next_msg(timeout=LOOK_S)
                break
            except nats.errors.TimeoutError:
                if self._closed or self._connections != connection:
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
        try:
            store = await self._context().create_object_store(
                self._bucket, ObjectStoreConfig(storage=StorageType.FILE, replicas=self._settings.replicas)
            )
            with snapshot.open("rb") as file:
                await store.put(SNAPSHOT, cast(Any, file))
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def load(self, into: Path) -> bool:
        """Write the object that was saved last into a file."""
        try:
            store = await self._context().object_store(self._bucket)
            async with asyncio.timeout(LOAD_S):
                with into.open("wb") as file:
                    await store.get(SNAPSHOT, writeinto=cast(Any, file))
        except (BucketNotFoundError, ObjectNotFoundError):
            return False
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unreachable(error) from error
        return True

    async def cut(self, through: int) -> None:
        """Purge the entries up to that position."""
        try:
            await self._context().purge_stream(self._stream, seq=through + 1)
        except (nats.errors.Error, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def close(self) -> None:
        """End the connection."""
        self._closed = True
        if self._client is not None:
            with suppress(Exception):
                async with asyncio.timeout(CONNECT_S):
                    await self._client.close()


def _entry(message: Msg) -> Entry:
    return Entry(message.metadata.sequence.stream, message.data)


def _syncs_always(monitor: str) -> bool:
    """Return what a server's monitoring page says of its syncs; raises StoreError when it does not."""
    try:
        with urllib.request.urlopen(f"{monitor.rstrip('/')}/varz", timeout=CONNECT_S) as answer:  # noqa: S310  # http(s) only
            return bool(json.load(answer)["jetstream"]["config"].get("sync_always", False))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"the monitoring address {monitor} does not tell of JetStream: {error}") from error
