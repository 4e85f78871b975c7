"""`DataPlane`: an engine with its sockets, brought from one Snapshot to the next."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
from eventmesh.core import Engine
from eventmesh.dataplane.figures import Figures, outlasting, total
from eventmesh.dataplane.overlay import overlay
from eventmesh.model.route import Converse, Serve
from eventmesh.model.snapshot import CoreEncoder, Snapshot
from eventmesh.transport.access_log import AccessLogWriter
from eventmesh.transport.address import InetAddress
from eventmesh.transport.channel import ChannelClosed, Taker
from eventmesh.transport.drain import drain, move_out
from eventmesh.transport.driver import Driver, QuestionHandler, Upstream
from eventmesh.transport.exchange import Caller, ExchangeHandler
from eventmesh.transport.inherited import Inherited
from eventmesh.transport.listeners import Listeners
from eventmesh.transport.netns import HostNetwork, SocketFactory

if TYPE_CHECKING:
    from eventmesh.dataplane.filters import Filter
    from eventmesh.dataplane.screening import Screening
    from eventmesh.dataplane.span_export import SpanExporter
    from eventmesh.transport.conversation import ConversationHandler

_log = log.get("dataplane")


class State(Enum):
    """What `/ready` answers, in Envoy's words."""

    INITIALIZING = "PRE_INITIALIZING"
    """The configuration is not whole yet."""
    LIVE = "LIVE"
    DRAINING = "DRAINING"


@frozen
class Networks:
    """What is special about the sockets of some listeners and clusters."""

    outbound: SocketFactory | None = None
    """Where the function lives whose requests outbound listeners take; these accept nobody before `DataPlane.release`:
    who connects waits. None: there is no function, and they are listeners as all others."""
    clusters: Mapping[str, SocketFactory] = field(default_factory=dict)
    """Clusters that are dialled in another network namespace."""
    prompt: frozenset[str] = frozenset()
    """Clusters of servers that wait for each acknowledgement (`transport.connection.PromptConnection`)."""
    guard: Callable[[str, InetAddress], None] | None = None
    """Looks at each address that is about to be dialled for a cluster; raises OSError for what is not to be."""


class DataPlane:
    """One engine under one driver. Must be made in a running event loop.

    Two snapshots are in force together: the one `apply` brings (static or from xDS) and `own`, what this process
    itself adds (inbound listeners, admin pages, broker ingress).
    """

    def __init__(
        self,
        clock: Clock,
        handlers: Mapping[str, ExchangeHandler],
        *,
        own: Snapshot | None = None,
        networks: Networks | None = None,
        on_question: QuestionHandler | None = None,
        on_snapshot: Callable[[Snapshot], None] | None = None,
        seed: int | None = None,
        resource: Mapping[str, str] | None = None,
        inherited: Inherited | None = None,
        conversing: Mapping[str, ConversationHandler] | None = None,
    ) -> None:
        """`handlers` is looked into at each request: it may be filled until the snapshot that names them is applied.

        `seed` feeds the draws and ids of the engine; None: the system's randomness does, so that no two processes give
        out the same ids. `resource` are the attributes of this process in traces (OpenTelemetry's names). `inherited`
        are listening sockets that are there already; None: those that the process was started with. `conversing` are
        the handlers of requests that are answered while they come.
        """
        seed = int.from_bytes(os.urandom(8)) if seed is None else seed
        self.engine = Engine(seed, clock.unix_s() - clock.monotonic())
        self.state = State.INITIALIZING
        self._live = asyncio.Event()
        self.snapshot = Snapshot(version="")
        self._encoder = CoreEncoder()
        self._clock = clock
        self._handlers = handlers
        self._networks = networks or Networks()
        self._host = HostNetwork()
        self._on_snapshot = on_snapshot
        self._base = Snapshot(version="")
        self._own = own or Snapshot(version="")
        self._applying = asyncio.Lock()
        inherited = inherited or Inherited.of_process()
        self.driver = Driver(self.engine, handlers, clock, on_question=on_question)
        self.driver.conversations.handlers = conversing or {}
        self._listeners = Listeners(self.driver, self._networks.outbound, inherited)
        self.access_log = AccessLogWriter(self.engine.take_access_log, clock)
        self._tasks = TaskGroup("dataplane")
        self._log_task: asyncio.Task[None] | None = None
        self.spans: SpanExporter | None = None
        """Sends spans, once a configuration has asked for any."""
        self._screening: Screening | None = None
        """Asks filters in Python, once a configuration has named any."""
        self._resource = resource or {}
        self._before: Figures | None = None

    @property
    def caller(self) -> Caller:
        """What sends requests of this process through the engine."""
        return self.driver.caller

    def addresses(self) -> dict[str, str]:
        """Return where each listener really listens."""
        return self._listeners.addresses()

    async def start(self) -> None:
        """Serve what this process itself adds. Raises what `apply` raises."""
        await self._change(self._base, self._own)

    async def apply(self, snapshot: Snapshot) -> None:
        """Make `snapshot` the configuration of every request that starts from now on.

        Raises ConfigError (the engine, or a handler this process lacks, refuses it) or UnavailableError (an address is
        taken); the earlier configuration then stays in force, and the xDS client answers NACK with the message.
        """
        await self._change(snapshot, self._own)

    def go_live(self) -> None:
        """Tell on `/ready` that the configuration is whole: all that the control plane has to say has been applied."""
        if self.state is State.INITIALIZING:
            self.state = State.LIVE
            self._live.set()

    async def until_live(self) -> None:
        """Return when the configuration is whole."""
        await self._live.wait()

    async def somebody_waits(self) -> None:
        """Return when a connection waits at an outbound listener that is held (`Networks.outbound`)."""
        await self._listeners.somebody_waits()

    async def release(self) -> None:
        """Accept connections on the listeners that were held."""
        await self._listeners.release()

    async def replace(self, base: Snapshot, own: Snapshot) -> None:
        """Do what `apply` and `extend` do, in one step. Raises what `apply` raises."""
        await self._change(base, own)

    async def extend(self, own: Snapshot) -> None:
        """Replace what this process itself adds. Raises what `apply` raises."""
        await self._change(self._base, own)

    async def _change(self, base: Snapshot, own: Snapshot) -> None:
        async with self._applying:
            merged = self._with_spans(overlay(base, own))
            self._require_handlers(merged)
            filters = self._filters(merged)
            change = self._listeners.prepare(() if self.state is State.DRAINING else merged.listeners)
            try:
                actions = self.engine.apply(self._encoder.encode(merged), self._clock.monotonic())
            except ValueError as error:
                self._listeners.abandon(change)
                raise ConfigError("", str(error)) from error
            self._base, self._own, self.snapshot = base, own, merged
            if self._screening is not None:
                self._screening.use(merged, filters)
            guard = self._networks.guard
            self.driver.configure(
                {
                    cluster.name: Upstream(
                        self._networks.clusters.get(cluster.name, self._host),
                        cluster.connect_timeout_s,
                        cluster.name in self._networks.prompt,
                        partial(guard, cluster.name) if guard is not None else None,
                    )
                    for cluster in merged.clusters
                }
            )
            self.driver.perform(actions)
            if self.state is not State.DRAINING:
                await self._listeners.commit(change)
            self._log_if_wanted(merged)
            if self.spans is not None:
                self.spans.configure(merged)
        if self._on_snapshot is not None:
            self._on_snapshot(merged)

    def _log_if_wanted(self, snapshot: Snapshot) -> None:
        wanted = any(listener.access_log for listener in snapshot.listeners)
        if wanted and self._log_task is None:
            self._log_task = self._tasks.spawn("access log", self.access_log.run())

    def _with_spans(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with the way to those who take spans; whoever sends them is made with the first one."""
        wanted = snapshot.tracing is not None or any(listener.tracing for listener in snapshot.listeners)
        if not wanted and self.spans is None:
            return snapshot
        # Most processes trace nothing, and a sidecar would feel the import.
        from eventmesh.dataplane.span_export import SpanExporter, resource_attributes, with_collectors

        if self.spans is None:
            resource = resource_attributes(self._resource, os.environ)
            self.spans = SpanExporter(self.engine.take_spans, self.caller, self._clock, resource)
            self._tasks.spawn("spans", self.spans.run())
        return with_collectors(snapshot)

    def _filters(self, snapshot: Snapshot) -> Mapping[str, Filter]:
        """Return the filters in Python that the snapshot names; raises ConfigError for one that there is not."""
        if self._screening is None:
            if not any(filters.access for filters in snapshot.filters()):
                return {}
            # Few processes have any, and a sidecar would feel the import.
            from pathlib import Path

            from eventmesh.dataplane.filters import DIRECTORY_VARIABLE
            from eventmesh.dataplane.screening import Screening, wanted

            if next(wanted(snapshot), None) is None:
                return {}
            directory = os.environ.get(DIRECTORY_VARIABLE)
            self._screening = Screening(Path(directory) if directory else None, self.driver)
            self.driver.screen = self._screening.ask
        return self._screening.prepare(snapshot)

    def _require_handlers(self, snapshot: Snapshot) -> None:
        for table, action in _served(snapshot):
            handler, there = action.handler, self._handlers.keys()
            if isinstance(action, Converse):
                there = self.driver.conversations.handlers.keys()
            if handler not in there:
                known = ", ".join(sorted(there)) or "none"
                raise ConfigError(f"route table {table}", f"no handler {handler!r} in this process; it has: {known}")

    async def figures(self) -> Figures:
        """Return what the process has counted."""
        failures = self.driver.failures
        rows = [
            ("eventmesh_bugs_total", failures.bugs),
            ("eventmesh_refused_connections_total", failures.refused_connections),
            ("eventmesh_refused_requests_total", failures.refused_requests),
            ("eventmesh_access_log_dropped_bytes_total", self.access_log.dropped_bytes),
        ]
        if self.spans is not None:
            rows += [
                ("eventmesh_tracing_spans_exported_total", self.spans.counts.exported),
                ("eventmesh_tracing_spans_lost_total", self.spans.counts.lost),
            ]
        figures = Figures(self.engine.stats(), tuple(rows))
        return figures if self._before is None else total([self._before, figures])

    async def cluster_statuses(self) -> list[bytes]:
        """Return what the engine tells of clusters and endpoints, as the one member of a list."""
        return [self.engine.cluster_statuses()]

    async def counted(self) -> Figures:
        """Return what whoever follows this process goes on to count from."""
        return outlasting(await self.figures())

    def count_on(self, before: Figures) -> None:
        """Go on from what a predecessor has counted, in place of what it had counted when it said so last."""
        self._before = before

    def drain_listeners(self, keep: frozenset[str]) -> None:
        """Accept no more, except on the listeners named in `keep`, and begin to finish what is in flight."""
        self.stop_accepting(keep)
        self.driver.perform(self.engine.drain(self._clock.monotonic()))

    async def drain(self, longest_s: float) -> bool:
        """Accept no more, finish what is in flight; return whether all of it ended within `longest_s`."""
        self.stop_accepting()
        finished = await drain(self.driver, self._clock, longest_s)
        if not finished:
            _log.warning("requests cut at the end of the drain time", active=self.engine.active(), seconds=longest_s)
        return finished

    async def hand_over(self, take: Taker, longest_s: float) -> bool:
        """Leave listeners and connections to a successor, and finish what cannot be given away.

        `take` sends it a connection that was accepted at an address; ChannelClosed says that it has gone. Returns
        whether all of it ended within `longest_s`.
        """
        addresses = self.addresses()
        self._listeners.disown()
        self.stop_accepting()

        async def give(listener: str, connection: socket.socket) -> None:
            await take(addresses.get(listener, ""), connection)

        try:
            return await move_out(self.driver, self._clock, longest_s, give)
        except ChannelClosed:
            _log.error("the successor has gone: what it has not got is drained")
            return await drain(self.driver, self._clock, longest_s)

    def listening_sockets(self) -> list[socket.socket]:
        """Return a duplicate of every listening socket, the caller's to close."""
        return self._listeners.descriptors()

    async def adopt(self, address: str, connection: socket.socket) -> None:
        """Go on to serve a connection that a predecessor accepted at `address`; closed if nobody listens there."""
        if not await self._listeners.adopt(address, connection):
            _log.warning("a connection to an address that is no longer configured", address=address)

    def stop_accepting(self, keep: frozenset[str] = frozenset()) -> None:
        """Close the listening sockets, except of the listeners named in `keep`."""
        self.state = State.DRAINING
        self._listeners.close(keep)

    async def stop(self) -> None:
        """Close everything and write the last log lines."""
        self._listeners.close()
        await self._tasks.stop()
        if self._screening is not None:
            await self._screening.stop()
        if self.spans is not None:
            await self.spans.finish()
        await self.driver.stop()
        await self.access_log.flush()


def _served(snapshot: Snapshot) -> Iterator[tuple[str, Serve | Converse]]:
    """Yield (route table, action) of each route that ends in this process."""
    for table in snapshot.route_tables:
        for host in table.virtual_hosts:
            for route in host.routes:
                if isinstance(route.action, Serve | Converse):
                    yield table.name, route.action
