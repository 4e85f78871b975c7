"""The aggregated discovery service over gRPC: both variants, raw bytes in and out.

The protocol's rules live in `streams`; here are sockets, tasks and admission. Handlers are registered without
serialisers: requests are scanned, responses joined from the bytes every stream shares.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.messages import (
    Node,
    Request,
    delta_response,
    read_delta_request,
    read_sotw_request,
    sotw_response,
)
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.peers import ShownCredentials, disconnect, peer_identity
from eventmesh.xds.control.protobuf import WireError
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.scope import Audience, ForeignIdentityError, audience_of, identified, without_demand
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import Changes, Stream
from eventmesh.xds.control.subscriptions import Push, TooMuchAskedError, Variant
from eventmesh.xds.control.write_budget import SlowReaderError, WriteBudget
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.spiffe import SpiffeId

_log = log.get("xds.server")

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

MAX_REQUEST_BYTES = 4_194_304
"""gRPC's own default. A reconnecting client lists every name and version it holds: 4 MiB are some 40,000 of them."""

MAX_STREAMS = 10_000
"""Some 65 KiB each, 40 of them gRPC's: 650 MiB. One more is answered RESOURCE_EXHAUSTED and should try another
replica."""

_KEEPALIVE_MS = 30_000
"""A client that vanished without a word is noticed after this, so that nobody waits for its acknowledgement."""

_STORM_S = 300
"""Longest wait of a client to be taken up: MAX_STREAMS of them at 20 ms each, and half as much again."""

_STOP_GRACE_S = 0.2
"""Streams never end by themselves; they are only given the time to flush."""

_Read = Callable[[], Awaitable[Any]]
_Write = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True)
class _Wire:
    """What differs between the variants on the wire."""

    variant: Variant
    read: Callable[[bytes], Request]

    def size(self, push: Push) -> int:
        """Return the bytes of what `push` carries; the envelope adds a few."""
        return len(push.bundle.sotw_fields if self.variant is Variant.SOTW else push.bundle.delta_fields)

    def response(self, push: Push, identifier: str) -> bytes:
        """Return the whole response; `identifier` names this replica of control."""
        if self.variant is Variant.SOTW:
            return sotw_response(push.type.value, push.version, push.nonce, push.bundle, identifier)
        return delta_response(push.type.value, push.version, push.nonce, push.bundle, identifier)


class AdsServer:
    """Serves `cache` to every client that connects, and tells `acks` what each has taken or refused."""

    def __init__(
        self,
        cache: SnapshotCache,
        acks: AckTracker,
        clock: Clock,
        identifier: str = "eventmesh",
        metrics: Metrics | None = None,
        identities: Identities | None = None,
        budget: WriteBudget | None = None,
    ) -> None:
        """`identities` are needed to serve under mTLS; `budget` bounds what is under way to all clients."""
        self._metrics = metrics or Metrics()
        self._identities = identities
        self._cache = cache
        self._acks = acks
        self._clock = clock
        self._identifier = identifier
        self._server: grpc.aio.Server | None = None
        self._streams = 0
        self.secured_port = 0
        """Where clients with certificates are served; 0: nowhere."""
        self._budget = budget or WriteBudget(clock)

    async def start(self, address: str, secured_address: str = "") -> int:
        """Listen on `host:port` (port 0: any free one) and return the port; UnavailableError when it is taken.

        At `secured_address` (empty: nowhere) only clients are let in that show a certificate of the mesh.
        """
        require_free(address, "ADS")
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
                ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
                # gRPC turns calls away at random that wait to be taken up, from the 1,000th on, and cancels those that
                # have waited for 30 s. A fleet that connects at once comes in thousands, and has its turn here.
                ("grpc.server.max_pending_requests", MAX_STREAMS),
                ("grpc.server.max_pending_requests_hard_limit", MAX_STREAMS),
                ("grpc.server_max_unrequested_time_in_server", _STORM_S),
                # Two servers on one port would split the clients between two truths.
                ("grpc.so_reuseport", 0),
            ]
        )
        handlers = {
            "StreamAggregatedResources": self._handler(_Wire(Variant.SOTW, read_sotw_request)),
            "DeltaAggregatedResources": self._handler(_Wire(Variant.DELTA, read_delta_request)),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
        try:
            port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise UnavailableError(f"ADS cannot listen on {address}: {error}") from error
        if secured_address:
            self._secure(server, secured_address)
        await server.start()
        self._server = server
        return port

    def _secure(self, server: grpc.aio.Server, address: str) -> None:
        identities = self._identities
        if identities is None:
            raise UnavailableError(f"ADS cannot listen on {address}: there are no identities to show")
        require_free(address, "ADS")
        try:
            self.secured_port = server.add_secure_port(address, ShownCredentials(identities, demanding=True).grpc)
        except RuntimeError as error:
            raise UnavailableError(f"ADS cannot listen on {address}: {error}") from error

    async def stop(self) -> None:
        """End every stream and close the port."""
        if self._server is not None:
            await self._server.stop(_STOP_GRACE_S)
            self._server = None

    def _handler(self, wire: _Wire) -> grpc.RpcMethodHandler[bytes, bytes]:
        async def serve(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            if self._streams >= MAX_STREAMS:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_STREAMS} streams are open; try later")
            self._streams += 1
            session = _Session(
                wire,
                self._cache,
                self._acks,
                self._clock,
                self._identifier,
                context.peer(),
                self._metrics,
                self._budget,
            )
            try:
                await session.run(context.read, context.write, self._audience_for(peer_identity(context)))
            except WireError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a discovery request: {error}")
            except TooMuchAskedError as error:
                _log.warning("client refused", peer=context.peer(), reason=error)
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            except ForeignIdentityError as error:
                _log.warning("client refused", peer=context.peer(), reason=error)
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            except SlowReaderError as error:
                _log.warning("client disconnected", peer=context.peer(), reason=error)
                disconnect(context.peer())
                raise asyncio.CancelledError from error
            finally:
                self._streams -= 1
                session.close()

        return grpc.stream_stream_rpc_method_handler(serve)

    def _audience_for(self, identity: SpiffeId | None) -> Callable[[Node], Audience]:
        """Return what tells the audience of a node whose certificate is that of `identity` (None: it shows none)."""
        if identity is None or self._identities is None:
            return audience_of
        parts = self._identities.parts
        return lambda node: identified(node, identity, parts)


def require_free(address: str, what: str) -> None:
    """Raise UnavailableError when `address` cannot be bound for `what`; gRPC itself would say so in many lines on
    stderr."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, int(port)), family=family).close()
    except OSError as error:
        raise UnavailableError(f"{what} cannot listen on {address}: {error.strerror or error}") from error


class _Session:
    """One open stream: a reader and a writer around the pure `Stream`."""

    def __init__(
        self,
        wire: _Wire,
        cache: SnapshotCache,
        acks: AckTracker,
        clock: Clock,
        identifier: str,
        peer: str,
        metrics: Metrics,
        budget: WriteBudget,
    ) -> None:
        self._metrics = metrics
        self._budget = budget
        self._changed_at: float | None = None
        """When what the client shall have changed last, until it has acknowledged all of it."""
        self._wire = wire
        self._cache = cache
        self._acks = acks
        self._clock = clock
        self._identifier = identifier
        self._peer = peer
        self._stream: Stream | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._wake = asyncio.Event()
        self._tasks = TaskGroup("xds.server")
        self._failure: WireError | TooMuchAskedError | None = None
        self._ended = False

    async def run(self, read: _Read, write: _Write, audience_for: Callable[[Node], Audience] = audience_of) -> None:
        """Serve until the client closes its side; raises ForeignIdentityError as `audience_for` does."""
        first = await read()
        if first is grpc.aio.EOF:
            return
        stream = self._begin(self._wire.read(first), audience_for)
        self._tasks.spawn("reader", self._read_all(read, stream))
        try:
            await self._write_all(write, stream)
        finally:
            await self._tasks.stop()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Forget the client: nobody waits for its acknowledgements any more."""
        self._unsubscribe()
        if self._stream is not None:
            self._acks.left(self._stream)

    def _begin(self, request: Request, audience_for: Callable[[Node], Audience]) -> Stream:
        if request.node is None:
            raise WireError("the first request of a stream carries no node")
        node = request.node if self._wire.variant is Variant.DELTA else without_demand(request.node)
        audience = audience_for(node)
        self._unsubscribe = self._cache.subscribe(audience, self._configured)
        stream = Stream(self._wire.variant, self._cache.current(audience), node)
        self._stream = stream
        self._acks.joined(stream, self._peer, audience.identity)
        _log.info(
            "client connected", node=request.node.id, role=stream.node.role.value, variant=self._wire.variant.value
        )
        self._received(stream, request)
        return stream

    def _configured(self, configuration: Configuration, changes: Changes) -> None:
        if self._stream is not None:
            self._stream.configure(configuration, changes)
            if self._changed_at is None:
                self._changed_at = self._clock.monotonic()
            self._wake.set()

    def _received(self, stream: Stream, request: Request) -> None:
        refusal = stream.receive(request, self._clock.monotonic())
        if refusal is not None:
            _log.warning(
                "configuration refused",
                node=stream.node.id,
                type=refusal.type.short,
                resources=", ".join(refusal.names),
                reason=refusal.message,
            )
            self._metrics.refusals[refusal.type.short] += 1
            self._acks.refused(stream, refusal)
        self._wake.set()

    def _pushed(self, push: Push) -> None:
        self._metrics.pushes[push.type.short] += 1
        if self._changed_at is not None:
            self._metrics.push.observe(self._clock.monotonic() - self._changed_at)

    async def _read_all(self, read: _Read, stream: Stream) -> None:
        try:
            while (data := await read()) is not grpc.aio.EOF:
                self._received(stream, self._wire.read(data))
        except (WireError, TooMuchAskedError) as error:
            self._failure = error
        finally:
            self._ended = True
            self._wake.set()

    async def _write_pushes(self, write: _Write, stream: Stream) -> None:
        # A function of its own, that no idle stream keeps what it was sent last by a name in a frame that waits.
        for push in stream.pushes(self._clock.monotonic()):
            # The response is made when its turn has come: until then all who wait for the same share one bundle.
            async with self._budget.share(self._wire.size(push)):
                await write(self._wire.response(push, self._identifier))
            self._pushed(push)

    async def _write_all(self, write: _Write, stream: Stream) -> None:
        while not self._ended:
            self._wake.clear()
            await self._write_pushes(write, stream)
            if self._acks.progressed(stream) and self._changed_at is not None:
                self._metrics.convergence.observe(self._clock.monotonic() - self._changed_at)
                self._changed_at = None
            wake_at = stream.wake_at()
            if wake_at is None:
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(max(0.0, wake_at - self._clock.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                continue
