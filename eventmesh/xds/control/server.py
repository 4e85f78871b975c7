"""The aggregated discovery service: both variants, raw bytes in and out.

The protocol's rules live in `streams`; here are calls, turns and admission, and `ports` has the sockets. Requests are
scanned, responses joined from the bytes every stream shares.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.base.memory import give_back
from eventmesh.base.tasks import TaskGroup
from eventmesh.protocols.grpc import CallFailed, Code
from eventmesh.transport.grpc_service import GrpcService, ServedCall
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
from eventmesh.xds.control.ports import GrpcPorts, Port
from eventmesh.xds.control.protobuf import WireError
from eventmesh.xds.control.resources import Configuration
from eventmesh.xds.control.scope import (
    Audience,
    ForeignIdentityError,
    audience_of,
    identified,
    proven_identity,
    without_demand,
)
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.streams import Changes, Stream
from eventmesh.xds.control.subscriptions import Push, TooMuchAskedError, Variant
from eventmesh.xds.control.write_budget import SMALL_BYTES, SlowReaderError, WriteBudget
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.spiffe import SpiffeId

_log = log.get("xds.server")

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

MAX_REQUEST_BYTES = 4_194_304
"""gRPC's own default. A reconnecting client lists every name and version it holds: 4 MiB are some 40,000 of them."""

MAX_STREAMS = 10_000
"""Some 30 KiB each: 300 MiB. One more is answered RESOURCE_EXHAUSTED and should try another replica."""

CROWD_BYTES: Final = 67_108_864
"""When so much has been written in responses beyond 16 KiB (a hundred clients were told of a thousand services), memory
is given back once none is under way."""

_QUIET_S: Final = 1.0
"""How long none must have been under way for that."""

HELLO_S: Final = 30.0
"""How long a client may take to say its first message: Envoy and gRPC open a stream to send one. Until then it counts
for nothing, and what it may hold is bounded by its connection."""


@frozen
class _Wire:
    """What differs between the variants on the wire."""

    variant: Variant
    read: Callable[[bytes], Request]

    def size(self, push: Push) -> int:
        """Return the bytes of what `push` carries; the envelope adds a few."""
        return len(push.bundle.sotw_fields if self.variant is Variant.SOTW else push.bundle.delta_fields)

    def response(self, push: Push, identifier: str) -> tuple[bytes, ...]:
        """Return the response in parts, of which the largest is shared; `identifier` names this replica of control."""
        respond = sotw_response if self.variant is Variant.SOTW else delta_response
        return respond(push.type.value, push.version, push.nonce, push.bundle, identifier)


_WIRES: Final = {
    "StreamAggregatedResources": _Wire(Variant.SOTW, read_sotw_request),
    "DeltaAggregatedResources": _Wire(Variant.DELTA, read_delta_request),
}


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
        self.metrics = metrics or Metrics()
        self.cache = cache
        self.acks = acks
        self.clock = clock
        self.identifier = identifier
        self.budget = budget or WriteBudget(clock)
        self.tasks = TaskGroup("xds.server")
        self.secured_port = 0
        """Where clients with certificates are served; 0: nowhere."""
        self._identities = identities
        self._streams = 0
        self._crowd_bytes = 0
        self._quiet: asyncio.TimerHandle | None = None
        methods = {f"/{_SERVICE}/{name}": partial(self._serve, wire) for name, wire in _WIRES.items()}
        self._ports = GrpcPorts(GrpcService(methods, MAX_REQUEST_BYTES), clock, "ADS", identities)

    async def start(self, address: str, secured_address: str = "") -> int:
        """Listen on `host:port` (port 0: any free one) and return the port; UnavailableError when it is taken.

        At `secured_address` (empty: nowhere) only clients are let in that show a certificate of the mesh.
        """
        secured = (Port(secured_address, is_secured=True, demands_certificate=True),) if secured_address else ()
        port, *more = await self._ports.start(Port(address), *secured)
        self.secured_port = next(iter(more), 0)
        return port

    async def stop(self) -> None:
        """End every stream and close the ports."""
        # Streams never end by themselves.
        await self._ports.stop(finish_s=0.0)
        await self.tasks.stop()
        if self._quiet is not None:
            self._quiet.cancel()

    async def _serve(self, wire: _Wire, call: ServedCall) -> None:
        first = await _hello(call)
        if first is None:
            return
        if self._streams >= MAX_STREAMS:
            raise CallFailed(Code.RESOURCE_EXHAUSTED, f"{MAX_STREAMS} streams are open; try later")
        self._streams += 1
        session = _Session(self, wire, call)
        try:
            stream = session.begin(wire.read(first), self._audience_for(proven_identity(call.peer_names)))
            # It is not kept as long as the stream lasts: a reconnecting client's is megabytes.
            del first
            await session.run(stream)
        except WireError as error:
            raise CallFailed(Code.INVALID_ARGUMENT, f"not a discovery request: {error}") from error
        except TooMuchAskedError as error:
            _log.warning("client refused", peer=call.peer, reason=error)
            raise CallFailed(Code.RESOURCE_EXHAUSTED, str(error)) from error
        except ForeignIdentityError as error:
            _log.warning("client refused", peer=call.peer, reason=error)
            raise CallFailed(Code.PERMISSION_DENIED, str(error)) from error
        finally:
            self._streams -= 1
            session.close()

    def written(self, size: int) -> None:
        """Note a response that has been written; after a crowd of large ones memory is given back."""
        if size <= SMALL_BYTES:
            return
        self._crowd_bytes += size
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if self._crowd_bytes >= CROWD_BYTES and not self.budget.under_way:
            self._quiet = asyncio.get_running_loop().call_later(_QUIET_S, self._give_back)

    def _give_back(self) -> None:
        self._crowd_bytes = 0
        give_back()

    def _audience_for(self, identity: SpiffeId | None) -> Callable[[Node], Audience]:
        """Return what tells the audience of a node whose certificate is that of `identity` (None: it shows none)."""
        if identity is None or self._identities is None:
            return audience_of
        parts = self._identities.parts
        return lambda node: identified(node, identity, parts)


async def _hello(call: ServedCall) -> bytes | None:
    """Return the first message; None when the client closes its side instead."""
    try:
        async with asyncio.timeout(HELLO_S):
            return await call.receive()
    except TimeoutError:
        raise CallFailed(Code.DEADLINE_EXCEEDED, f"no request within {HELLO_S:g} s") from None


class _Session:
    """One open stream: whoever reads from it, and whoever writes to it while there is something to write."""

    __slots__ = (
        "_call",
        "_changed_at",
        "_has_ended",
        "_server",
        "_stream",
        "_timer",
        "_turn_due",
        "_unsubscribe",
        "_wire",
        "_writer",
    )

    def __init__(self, server: AdsServer, wire: _Wire, call: ServedCall) -> None:
        self._server = server
        self._wire = wire
        self._call = call
        self._changed_at: float | None = None
        """When what the client shall have changed last, until it has acknowledged all of it."""
        self._stream: Stream | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._has_ended = False

    async def run(self, stream: Stream) -> None:
        """Serve until the client closes its side."""
        try:
            await self._read_all(stream)
        except asyncio.CancelledError:
            if self._writer is not None:
                self._writer.cancel()
            raise
        finally:
            self._has_ended = True
            if self._writer is not None:
                # A status comes behind a whole message.
                await asyncio.wait((self._writer,))

    def close(self) -> None:
        """Forget the client: nobody waits for its acknowledgements any more."""
        self._has_ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._stream is not None:
            self._server.acks.left(self._stream)

    def begin(self, request: Request, audience_for: Callable[[Node], Audience]) -> Stream:
        """Return the stream that a first request opens; raises ForeignIdentityError as `audience_for` does."""
        if request.node is None:
            raise WireError("the first request of a stream carries no node")
        server = self._server
        node = request.node if self._wire.variant is Variant.DELTA else without_demand(request.node)
        audience = audience_for(node)
        self._unsubscribe = server.cache.subscribe(audience, self._configured)
        stream = Stream(self._wire.variant, server.cache.current(audience), node)
        self._stream = stream
        server.acks.joined(stream, self._call.peer, audience.identity)
        _log.info(
            "client connected", node=request.node.id, role=stream.node.role.value, variant=self._wire.variant.value
        )
        self._received(stream, request)
        return stream

    async def _read_all(self, stream: Stream) -> None:
        while (data := await self._call.receive()) is not None:
            self._received(stream, self._wire.read(data))
            del data  # An idle stream keeps nothing of what it was told last.

    def _configured(self, configuration: Configuration, changes: Changes) -> None:
        if self._stream is not None:
            self._stream.configure(configuration, changes)
            if self._changed_at is None:
                self._changed_at = self._server.clock.monotonic()
            self._wake()

    def _received(self, stream: Stream, request: Request) -> None:
        refusal = stream.receive(request, self._server.clock.monotonic())
        if refusal is not None:
            _log.warning(
                "configuration refused",
                node=stream.node.id,
                type=refusal.type.short,
                resources=", ".join(refusal.names),
                reason=refusal.message,
            )
            self._server.metrics.refusals[refusal.type.short] += 1
            self._server.acks.refused(stream, refusal)
        self._wake()

    def _wake(self) -> None:
        """Take a turn soon: one for all that happens until then."""
        if not self._turn_due:
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Have written what is due, or note how far the client has come."""
        self._turn_due = False
        stream = self._stream
        if stream is None or self._has_ended or self._writer is not None:
            return  # Whoever writes takes a turn at the end.
        now = self._server.clock.monotonic()
        pushes = stream.pushes(now)
        if pushes:
            self._writer = self._server.tasks.spawn("writer", self._write(pushes))
            return
        if self._server.acks.progressed(stream) and self._changed_at is not None:
            self._server.metrics.convergence.observe(now - self._changed_at)
            self._changed_at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = stream.wake_at()
        if wake_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wake_at - now), self._turn)

    async def _write(self, pushes: list[Push]) -> None:
        server = self._server
        try:
            for push in pushes:
                # The response is made when its turn has come: until then all who wait for the same share one bundle.
                size = self._wire.size(push)
                async with server.budget.share(size) as has_left:
                    await self._call.send(*self._wire.response(push, server.identifier), on_left=has_left)
                server.written(size)
                self._pushed(push)
        except SlowReaderError as error:
            _log.warning("client disconnected", peer=self._call.peer, reason=error)
            self._call.hang_up()
        except MeshError:
            return  # It has gone: whoever reads from it is told so.
        except Exception:
            self._call.hang_up()
            raise
        finally:
            self._writer = None
        self._turn()

    def _pushed(self, push: Push) -> None:
        self._server.metrics.pushes[push.type.short] += 1
        if self._changed_at is not None:
            self._server.metrics.push.observe(self._server.clock.monotonic() - self._changed_at)
