"""A gateway or plain proxy of several workers: this process holds the sockets, the stream to the control plane and the
admin pages, and answers no request of its listeners itself.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import TYPE_CHECKING

from eventmesh.base import log
from eventmesh.base.clock import Clock, SystemClock
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane import admin
from eventmesh.dataplane.figures import Figures, outlasting, total
from eventmesh.dataplane.plane import DataPlane, State
from eventmesh.dataplane.process import Termination
from eventmesh.dataplane.tap import TapPage
from eventmesh.dataplane.workers import Workers
from eventmesh.model.snapshot import Snapshot
from eventmesh.sidecar.own import added_by_process
from eventmesh.sidecar.restart import HotRestart
from eventmesh.xds.bootstrap import Bootstrap
from eventmesh.xds.client.identified import identified

if TYPE_CHECKING:
    from eventmesh.transport.channel import Taker
    from eventmesh.transport.exchange import ExchangeHandler
    from eventmesh.xds.client.ads import AdsClient
    from eventmesh.xds.client.workload_identity import WorkloadIdentity

_log = log.get("sidecar.supervisor")


async def serve(bootstrap: Bootstrap, count: int, drain_time_s: float, hot_restart: str = "") -> int:
    """Run `count` workers until told to end, or followed by whoever comes to the path `hot_restart`; return the exit
    code.

    Raises ConfigError and UnavailableError when it cannot start.
    """
    clock = SystemClock()
    termination = Termination()
    termination.install()
    for warning in bootstrap.warnings:
        _log.warning("bootstrap", warning=warning)
    begun = await identified(bootstrap, clock, termination.wanted)
    if begun is None:
        return 0
    bootstrap, identity = begun
    restart = await HotRestart.at(hot_restart) if hot_restart else None
    handlers: dict[str, ExchangeHandler] = {}
    supervisor = Supervisor(bootstrap, handlers, clock, count, drain_time_s, identity, restart)
    pages = admin.Admin(supervisor, clock, bootstrap.node.id, termination.ask)
    pages.add("tap", admin.TAP_HELP, TapPage(supervisor.workers, clock))
    if identity is not None:
        identity.offer(pages)
    handlers[admin.HANDLER] = pages
    try:
        await supervisor.start()
        _log.info("serving", node=bootstrap.node.id, **supervisor.addresses())
        if restart is None:
            await termination.wanted()
        if restart is None or not await restart.live(supervisor, termination, drain_time_s):
            await termination.unless_at_once(supervisor.drain())
    finally:
        if restart is not None:
            await restart.stop()
        await supervisor.stop()
    return 0


class Supervisor:
    """The workers and what they have in common, as one data plane to look at (`admin.Subject`)."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        handlers: dict[str, ExchangeHandler],
        clock: Clock,
        count: int,
        drain_time_s: float,
        identity: WorkloadIdentity | None,
        restart: HotRestart | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._identity = identity
        self._clock = clock
        inherited = restart.inherited if restart is not None else None
        limits = restart.limits if restart is not None else None
        resource = bootstrap.node.resource
        self._plane = DataPlane(
            clock, handlers, own=added_by_process(bootstrap), resource=resource, inherited=inherited
        )
        self.workers = Workers(count, clock, drain_time_s, resource, inherited=inherited, limits=limits)
        if restart is not None:
            restart.count_on(self)
        self._tasks = TaskGroup("supervisor")

    async def start(self) -> None:
        """Start the workers; with a static bootstrap they serve when this returns."""
        await self._plane.start()
        await self.workers.start()
        if self._bootstrap.ads is None:
            await self.apply(self._bootstrap.snapshot)
            self._plane.go_live()
        else:
            self._tasks.spawn("ads", self._follow())

    async def _follow(self) -> None:
        from eventmesh.xds.client.ads import AdsClient
        from eventmesh.xds.client.channel import calls_through

        bootstrap = self._bootstrap
        assert bootstrap.ads is not None  # noqa: S101  # `start` has looked
        calls = calls_through(self._plane.caller, bootstrap.ads)
        client = AdsClient(
            bootstrap.ads,
            bootstrap.node,
            self.apply,
            calls,
            static=bootstrap.resources,
            clock=self._clock,
            identity=self._identity,
        )
        self._tasks.spawn("go live", self._go_live(client))
        await client.run()

    async def _go_live(self, client: AdsClient) -> None:
        await client.initialized.wait()
        self._plane.go_live()

    async def apply(self, snapshot: Snapshot) -> None:
        """Put `snapshot` into force in every worker. Raises what `Workers.apply` raises."""
        await self.workers.apply(snapshot)
        # Of all of it, this process itself only needs to reach its control plane.
        ads = self._bootstrap.ads
        control = tuple(one for one in snapshot.clusters if ads is not None and one.name == ads.cluster)
        await self._plane.apply(Snapshot(snapshot.version, clusters=control))

    @property
    def state(self) -> State:
        """What `/ready` answers."""
        return self._plane.state

    @property
    def snapshot(self) -> Snapshot:
        """The configuration in force, with the limits of all workers together."""
        return self.workers.snapshot

    def addresses(self) -> dict[str, str]:
        """Return where each listener really listens."""
        return self.workers.addresses() | self._plane.addresses()

    async def figures(self) -> Figures:
        """Return what all processes together have counted."""
        living = self.workers.pids()
        own = (("eventmesh_workers", len(living)), ("eventmesh_worker_restarts_total", self.workers.restarts))
        figures = await self._sum()
        return dataclasses.replace(figures, own=(*figures.own, *own))

    async def _sum(self) -> Figures:
        return total([await self._plane.figures(), await self.workers.figures()])

    async def cluster_statuses(self) -> list[bytes]:
        """Return what the engine of each process tells of clusters and endpoints."""
        return [*await self._plane.cluster_statuses(), *await self.workers.cluster_statuses()]

    async def counted(self) -> Figures:
        """Return what whoever follows these processes goes on to count from."""
        return outlasting(await self._sum())

    def count_on(self, before: Figures) -> None:
        """Go on from what a predecessor has counted."""
        self._plane.count_on(before)

    async def until_live(self) -> None:
        """Return when the configuration is whole."""
        await self._plane.until_live()

    def listening_sockets(self) -> list[socket.socket]:
        """Return a duplicate of every listening socket, the caller's to close."""
        return [*self.workers.listening_sockets(), *self._plane.listening_sockets()]

    async def adopt(self, address: str, connection: socket.socket) -> None:
        """Go on to serve a connection that a predecessor accepted at `address`: an admin page's here, others in a
        worker."""
        ours = address in self._plane.addresses().values()
        await (self._plane if ours else self.workers).adopt(address, connection)

    async def hand_over(self, take: Taker, longest_s: float) -> None:
        """Leave listeners and connections to a successor, and return when the rest has ended."""
        await asyncio.gather(self._plane.hand_over(take, longest_s), self.workers.hand_over(take, longest_s))

    def drain_listeners(self, keep: frozenset[str]) -> None:
        """Have the workers accept no more, finish what is in flight, and end; this process stays."""
        self._plane.drain_listeners(keep)
        self.workers.begin_to_end()

    async def drain(self) -> None:
        """Return when all workers have finished and ended."""
        self._plane.stop_accepting(keep=frozenset({admin.LISTENER}))
        await self.workers.drain()

    async def stop(self) -> None:
        """End everything."""
        await self._tasks.stop()
        await self.workers.stop()
        await self._plane.stop()
