"""The aggregated stream: `AdsClient` keeps it open and hands one consistent Snapshot after the other to `apply`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock, SystemClock
from eventmesh.base.errors import MeshError
from eventmesh.base.tasks import TaskGroup
from eventmesh.model.snapshot import Snapshot
from eventmesh.xds.bootstrap import AdsConfig, Node
from eventmesh.xds.client.channel import Call, OpenCall
from eventmesh.xds.client.known import Known
from eventmesh.xds.client.messages import Request, Response, node_fields, read_response, write_request
from eventmesh.xds.client.subscription import Subscription, subscription
from eventmesh.xds.client.unpack import unpack
from eventmesh.xds.resource_types import PUSH_ORDER, ResourceType
from eventmesh.xds.translate.resources import StaticResources
from eventmesh.xds.translate.route_tables import RouteTables

if TYPE_CHECKING:
    from eventmesh.xds.client.workload_identity import WorkloadIdentity
    from eventmesh.xds.translate.tls import Secrets

Apply = Callable[[Snapshot], Awaitable[None]]
"""Puts a Snapshot into force, or raises MeshError and leaves the former one in force."""

Refused = Callable[[frozenset[str], frozenset[str]], Awaitable[None]]
"""Is told, after each response about listeners, of which of them the newest version is refused, and which are not live
in it yet."""

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"

RECONNECT_FIRST_S = 0.1
"""Soon: a control process that restarts is back within a second."""
RECONNECT_CAP_S = 10.0
"""A fleet of ten thousand then asks a returning server a thousand times a second, at most."""
RETRY_APPLY_S = 15.0
"""When what went live by the clock cannot be applied (an address is taken), it is tried again after this."""
MAX_WARNINGS_REMEMBERED = 1_000
"""Each warning is logged once; past this many they are not logged at all, rather than with every response."""


class AdsClient:
    """Subscribes to a control plane for as long as `run` runs.

    Everything is applied before it is acknowledged. The ACK of route tables, and of filters sent by name, comes only
    when they are live, which makes it a promise: whoever waits for it may send requests. What is refused is answered
    with a NACK that says why, and its last good version stays in force; so does everything when the server is away.
    """

    def __init__(
        self,
        config: AdsConfig,
        node: Node,
        apply: Apply,
        open_call: OpenCall,
        *,
        static: StaticResources | None = None,
        tables: Iterable[str] = (),
        clock: Clock | None = None,
        identity: WorkloadIdentity | None = None,
        refused: Refused | None = None,
    ) -> None:
        """`static` is what the bootstrap holds itself and stays part of every Snapshot; `tables` are route tables
        wanted by this process beside those that listeners name; `identity` brings its certificates; `refused` is told
        of listeners before the server is.
        """
        self._config = config
        self._node = node_fields(node)
        self._apply = apply
        self._open_call = open_call
        self._clock: Clock = clock or SystemClock()
        self._identity = identity
        self._refused = refused
        self._listeners_refused: frozenset[str] | None = None
        """None: nothing has been said of listeners on this stream."""
        own = identity.own if identity is not None else frozenset()
        self._known = Known(static or StaticResources(), tables, self._clock.monotonic(), own)
        self._subscriptions: dict[ResourceType, Subscription] = {
            ResourceType.CLUSTER: subscription(ResourceType.CLUSTER, delta=config.delta, wildcard=config.clusters),
            ResourceType.ENDPOINT: subscription(ResourceType.ENDPOINT, delta=config.delta, wildcard=False),
            ResourceType.LISTENER: subscription(ResourceType.LISTENER, delta=config.delta, wildcard=config.listeners),
            ResourceType.ROUTE: subscription(ResourceType.ROUTE, delta=config.delta, wildcard=False),
            ResourceType.SECRET: subscription(ResourceType.SECRET, delta=config.delta, wildcard=False),
            ResourceType.EXTENSION: subscription(ResourceType.EXTENSION, delta=config.delta, wildcard=False),
        }
        self._tables_read = RouteTables()
        self._applied = 0
        # Held while resources change: a response and the clock may both make something go live.
        self._turn = asyncio.Lock()
        self._call: Call | None = None
        self._node_is_known = False
        self._unanswered: list[tuple[Response, dict[str, str]]] = []
        self._tasks = TaskGroup("xds.client")
        self._timer: asyncio.Task[None] | None = None
        self._timer_at: float | None = None
        self._warned: set[str] = set()
        self._log = log.get("xds.client")
        self._to_answer = {
            resource_type
            for resource_type, wanted in (
                (ResourceType.CLUSTER, config.clusters),
                (ResourceType.LISTENER, config.listeners),
            )
            if wanted
        }
        self.connected = False
        """Whether the server has answered on the stream that is open now."""
        self.tables_live = asyncio.Event()
        """Set once every route table that this process wants for itself (`tables`) is live."""
        self.initialized = asyncio.Event()
        """Set once the server has said which listeners and clusters there are, and all of these are live."""

    async def run(self) -> None:
        """Keep a stream open until cancelled; a lost one is opened again, with what is held already."""
        backoff = Backoff(RECONNECT_FIRST_S, RECONNECT_CAP_S)
        if self._identity is not None:
            self._tasks.spawn("identity", self._identity.run(lambda: self._known.secrets, self._bring))
        try:
            while True:
                try:
                    await self._converse(backoff)
                    why = "the server ended the stream"
                except MeshError as error:
                    why = str(error)
                wait_s = backoff.next_s()
                self._log.warning("no control plane", cluster=self._config.cluster, why=why, retry_s=round(wait_s, 2))
                await self._clock.sleep(wait_s)
        finally:
            await self._tasks.stop()

    async def _converse(self, backoff: Backoff) -> None:
        """Hold one stream from its first request to its end."""
        async with self._turn:
            # First what is held already: the cluster of the control plane itself may be among it.
            await self._advance()
        name = "DeltaAggregatedResources" if self._config.delta else "StreamAggregatedResources"
        call = self._open_call(_METHOD + name)
        try:
            async with self._turn:
                self._call = call
                self._node_is_known = False
                self._listeners_refused = None
                for resource_type in PUSH_ORDER:
                    if resource_type in self._subscriptions:
                        await self._send(self._subscriptions[resource_type].open())
                await self._send_wants()
            while (data := await call.receive()) is not None:
                backoff.reset()
                self.connected = True
                response = read_response(data, delta=self._config.delta)
                if response is None or response.type not in self._subscriptions:
                    continue
                async with self._turn:
                    await self._take(response)
        finally:
            self._call = None
            self.connected = False
            self._unanswered.clear()
            call.cancel()

    async def _take(self, response: Response) -> None:
        """Take in one response and answer it, unless it has to become live first."""
        changes = self._subscriptions[response.type].receive(response, self._held(response.type))
        unpacked = unpack(response.type, changes, self._known, self._tables_read)
        self._warn(unpacked.warnings)
        refused = unpacked.refused
        before, self._known = self._known, self._known.copy()
        self._known.update(unpacked.update, self._clock.monotonic())
        try:
            await self._advance()
        except MeshError as error:
            self._known = before
            names = [*(resource.name for resource in changes.resources), *changes.removed] or [""]
            refused = dict.fromkeys(names, str(error)) | refused
        if refused:
            self._log.warning("configuration refused", type=response.type.short, version=response.version, why=refused)
        if response.type is ResourceType.LISTENER:
            await self._tell_of_listeners(response, refused)
        self._unanswered.append((response, refused))
        self._to_answer.discard(response.type)
        self._check_initialized()
        await self._answer()
        await self._send_wants()

    async def _tell_of_listeners(self, response: Response, refused: dict[str, str]) -> None:
        """Tell which listeners are refused: what a server says first on a stream, or the state of the world, is all of
        them that are not held."""
        former = self._listeners_refused if self._config.delta else None
        said = {*(one.name for one in response.resources), *response.removed}
        self._listeners_refused = ((former or frozenset()) - said) | refused.keys()
        if self._refused is not None:
            await self._refused(self._listeners_refused, self._known.listeners_waiting())

    async def _bring(self, secrets: Secrets) -> None:
        """Put into force what this process has got by itself."""
        async with self._turn:
            self._known.bring(secrets)
            try:
                await self._advance()
            except MeshError as error:
                self._log.error("a new certificate cannot be applied", why=str(error))
                self._set_timer(self._clock.monotonic() + RETRY_APPLY_S)

    def _check_initialized(self) -> None:
        if self._known.has_tables_wanted():
            self.tables_live.set()
        if not self._to_answer and not self._known.is_waiting():
            self.initialized.set()

    def _held(self, resource_type: ResourceType) -> frozenset[str]:
        match resource_type:
            case ResourceType.LISTENER:
                return self._known.listeners_held()
            case ResourceType.CLUSTER:
                return self._known.clusters_held()
            case _:
                return frozenset()

    async def _advance(self) -> None:
        """Let go live what is ready, apply it, and set the clock for what still waits. Raises what `apply` raises."""
        known = self._known.copy()
        if known.advance(self._clock.monotonic()):
            await self._apply(known.snapshot(f"xds-{self._applied + 1}"))
            self._applied += 1
        self._known = known
        self._set_timer(known.deadline())

    async def _answer(self) -> None:
        """Send every ACK and NACK that is due, in order within its type."""
        late = []
        for response, refused in self._unanswered:
            if self._is_waiting(response, refused):
                late.append((response, refused))
            else:
                await self._send(self._subscriptions[response.type].settle(response, refused))
        self._unanswered = late

    def _is_waiting(self, response: Response, refused: dict[str, str]) -> bool:
        match response.type:
            case ResourceType.ROUTE:
                waits = self._known.is_table_waiting
            case ResourceType.EXTENSION:
                waits = self._known.is_extension_waiting
            case _:
                return False
        return any(waits(one.name) for one in response.resources if one.name not in refused)

    async def _send_wants(self) -> None:
        for resource_type, names in (
            (ResourceType.SECRET, self._known.wanted_secrets()),
            (ResourceType.ENDPOINT, self._known.wanted_assignments()),
            (ResourceType.EXTENSION, self._known.wanted_extensions()),
            (ResourceType.ROUTE, self._known.wanted_tables()),
        ):
            await self._send(self._subscriptions[resource_type].want(names))

    async def _send(self, request: Request | None) -> None:
        call = self._call
        if request is None or call is None:
            return
        node = None if self._node_is_known and self._config.node_on_first_message_only else self._node
        self._node_is_known = True
        await call.send(write_request(request, node, delta=self._config.delta))

    def _set_timer(self, at: float | None) -> None:
        timer = self._timer
        # The timer that calls this has rung, be it a little early: it is set anew.
        if timer is not None and not timer.done() and timer is not asyncio.current_task():
            if at == self._timer_at:
                return
            timer.cancel()
        self._timer_at = at
        self._timer = self._tasks.spawn("warming", self._ring(at)) if at is not None else None

    async def _ring(self, at: float) -> None:
        """Let go live what has waited long enough, although something it names is missing."""
        await self._clock.sleep(at - self._clock.monotonic())
        async with self._turn:
            self._log.warning("going live without everything that is named")
            try:
                await self._advance()
                self._check_initialized()
                await self._answer()
                await self._send_wants()
            except MeshError as error:
                self._log.error("what went live by the clock cannot be applied", why=str(error))
                self._set_timer(self._clock.monotonic() + RETRY_APPLY_S)
                if self._refused is not None:
                    waiting = self._known.listeners_waiting()
                    await self._refused((self._listeners_refused or frozenset()) | waiting, waiting)

    def _warn(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            if warning not in self._warned and len(self._warned) < MAX_WARNINGS_REMEMBERED:
                self._warned.add(warning)
                self._log.warning("configuration", warning=warning)
