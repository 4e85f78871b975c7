"""The life of a sidecar or gateway process, from its bootstrap to its last request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventmesh.base import log
from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import TaskGroup, first_of
from eventmesh.dataplane import admin
from eventmesh.dataplane.overlay import overlay
from eventmesh.dataplane.plane import DataPlane
from eventmesh.dataplane.process import Termination
from eventmesh.sidecar import outbound
from eventmesh.sidecar.own import added_by_process
from eventmesh.transport.exchange import ExchangeHandler
from eventmesh.xds.bootstrap import Bootstrap
from eventmesh.xds.client.identified import identified

if TYPE_CHECKING:
    from eventmesh.sidecar.environment import Pod
    from eventmesh.sidecar.function import FunctionSide
    from eventmesh.sidecar.restart import HotRestart
    from eventmesh.xds.client.ads import AdsClient
    from eventmesh.xds.client.workload_identity import WorkloadIdentity

_log = log.get("sidecar")

ADS_AFTER_READY_S: Final = 0.1
"""A function's first answer needs the inbound side alone, and somebody waits for it: opening the stream and
taking in what it brings, work here and in control, comes after it, unless the function itself wants to send."""

ADS_DELAY_S: Final = 0.15
"""A function that is not ready by then starts slowly enough for the stream to be opened meanwhile."""

ROUTES_PATIENCE_S: Final = 5.0
"""So long a function's first request out waits for routes when control is away; then it is answered 404."""


async def serve(bootstrap: Bootstrap, pod: Pod | None, drain_time_s: float, hot_restart: str = "") -> int:
    """Run a data plane until it is told to end; return the exit code.

    `pod` is the function beside it; None makes it a gateway or a plain proxy, which may take over from the process that
    offers itself at the path `hot_restart`. Raises ConfigError and UnavailableError when it cannot start.
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
    handlers: dict[str, ExchangeHandler] = {}
    tasks = TaskGroup("sidecar")
    function: FunctionSide | None = None
    restart = await _restart_at(hot_restart) if hot_restart else None
    inherited = restart.inherited if restart is not None else None
    if pod is None:
        own = added_by_process(bootstrap)
        plane = DataPlane(clock, handlers, own=own, resource=bootstrap.node.resource, inherited=inherited)
        if restart is not None:
            plane.engine.share_limits(restart.limits.memory())
            restart.count_on(plane)
    else:
        # A gateway has no function and does not pay for what watches over one.
        from eventmesh.sidecar.function import FunctionNetwork, FunctionSide, function_snapshot
        from eventmesh.sidecar.inbound import takes_from_mesh
        from eventmesh.xds.client.inbound import InboundTerms, first_terms, on_terms
        from eventmesh.xds.translate.resources import clusters_asked

        network = FunctionNetwork(pod.netns)
        own = overlay(function_snapshot(pod), added_by_process(bootstrap))
        terms = first_terms(bootstrap)
        plane = DataPlane(
            clock,
            handlers,
            own=on_terms(own, takes_from_mesh, terms),
            networks=network.networks(),
            resource=pod.resource,
        )
        inbound_terms = InboundTerms(plane, own, takes_from_mesh, terms)
        asked = clusters_asked(terms.filters if terms is not None else None)
        asked -= {item.cluster.name for item in bootstrap.resources.clusters}
        function = FunctionSide(pod, plane, network, clock, inbound_terms, asked)
        handlers.update(function.handlers)
    pages = admin.Admin(plane, clock, bootstrap.node.id, termination.ask)
    pages.add("tap", admin.TAP_HELP, admin.Looking(plane, clock))
    if identity is not None:
        identity.offer(pages)
    handlers[admin.HANDLER] = pages
    try:
        await plane.start()
        if function is not None:
            function.start(tasks)
        await _configure(bootstrap, plane, function, clock, tasks, identity)
        _log.info("serving", node=bootstrap.node.id, **plane.addresses())
        if restart is None:
            await termination.wanted()
        if restart is None or not await restart.live(plane, termination, drain_time_s):
            await termination.unless_at_once(_end(plane, function, drain_time_s))
    finally:
        if restart is not None:
            await restart.stop()
        await tasks.stop()
        await plane.stop()
        if function is not None:
            function.close()
    return 0


async def _restart_at(path: str) -> HotRestart:
    # Few processes are started so, and the others would feel the import.
    from eventmesh.sidecar.restart import HotRestart

    return await HotRestart.at(path)


async def _configure(
    bootstrap: Bootstrap,
    plane: DataPlane,
    function: FunctionSide | None,
    clock: SystemClock,
    tasks: TaskGroup,
    identity: WorkloadIdentity | None,
) -> None:
    """Apply what the bootstrap holds, and all that control sends from now on."""
    apply = plane.apply if function is None else function.apply
    if bootstrap.ads is None:
        await apply(bootstrap.snapshot)
        await plane.release()
        plane.go_live()
        return
    from eventmesh.xds.client.ads import AdsClient
    from eventmesh.xds.client.channel import calls_through

    tables: tuple[str, ...] = ()
    resources = bootstrap.resources
    if function is not None:
        from eventmesh.xds.client.inbound import beyond_inbound

        tables, resources = outbound.TABLES, beyond_inbound(resources)
    calls = calls_through(plane.caller, bootstrap.ads)
    client = AdsClient(
        bootstrap.ads,
        bootstrap.node,
        apply,
        calls,
        static=resources,
        tables=tables,
        clock=clock,
        identity=identity,
        refused=function.refused if function is not None else None,
    )
    if function is None:
        tasks.spawn("ads", client.run())
    else:
        tasks.spawn("ads", _follow(client, plane, function, clock))
        tasks.spawn("outbound", _open_outbound(client, plane, clock))
    tasks.spawn("go live", _go_live(plane, client))


async def _follow(client: AdsClient, plane: DataPlane, function: FunctionSide, clock: SystemClock) -> None:
    """Subscribe as soon as the function sends, else a little later: when it has answered, or when it is slow to. A
    function of a declared protocol needs the declaration first of all, and one whose callers others are asked about
    needs those."""

    async def answered() -> None:
        await function.answered()
        await clock.sleep(ADS_AFTER_READY_S)

    async def slow() -> None:
        await clock.sleep(ADS_DELAY_S)
        if function.is_ready():
            await answered()

    if not function.awaits_control:
        await first_of(answered(), slow(), plane.somebody_waits())
    await client.run()


async def _open_outbound(client: AdsClient, plane: DataPlane, clock: SystemClock) -> None:
    """Let the function's own requests in once there are routes for them."""

    async def patience() -> None:
        await plane.somebody_waits()
        await clock.sleep(ROUTES_PATIENCE_S)

    await first_of(client.tables_live.wait(), patience())
    await plane.release()


async def _go_live(plane: DataPlane, client: AdsClient) -> None:
    await client.initialized.wait()
    plane.go_live()


async def _end(plane: DataPlane, function: FunctionSide | None, drain_time_s: float) -> None:
    if function is not None:
        await function.wait_for_quiet()
    await plane.drain(drain_time_s)
