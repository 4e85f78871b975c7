"""The side of the sidecar that faces its function: networks, readiness, load, draining, and the handlers for them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.overlay import overlay
from eventmesh.dataplane.plane import DataPlane, Networks
from eventmesh.model.listener import Declaration
from eventmesh.model.snapshot import Snapshot
from eventmesh.sidecar import inbound, outbound
from eventmesh.sidecar.draining import DrainHandler, PodDrain
from eventmesh.sidecar.environment import Pod
from eventmesh.sidecar.load import LoadMeter, StatHandler
from eventmesh.sidecar.notify import notify
from eventmesh.sidecar.readiness import FUNCTION_BEGAN_AGAIN, ProbeKind, Prober
from eventmesh.transport.address import InetAddress
from eventmesh.transport.dialer import accepts
from eventmesh.transport.exchange import ExchangeHandler
from eventmesh.transport.netns import HostNetwork, NetworkNamespace
from eventmesh.xds.client.inbound import INBOUND, InboundTerms

_log = log.get("sidecar.function")

_PROBE_AGENT = ("user-agent", "Knative-Queue-Proxy-Probe")


def function_snapshot(pod: Pod) -> Snapshot:
    """Return what a sidecar adds to its configuration for the function of `pod`, both ways."""
    return overlay(inbound.inbound(pod), outbound.outbound(pod))


class FunctionNetwork:
    """Where the function lives: its own network namespace, or the sidecar's."""

    def __init__(self, netns: str) -> None:
        """Raises UnavailableError when the namespace cannot be entered."""
        self._namespace = NetworkNamespace(netns) if netns else None
        self.sockets = self._namespace or HostNetwork()

    def networks(self) -> Networks:
        """Return what of the sockets are made there. What a function was written with is unknown:
        it is spared the 40 ms that a head and a body written apart would cost it."""
        clusters = inbound.cluster_names()
        return Networks(
            outbound=self.sockets,
            clusters=dict.fromkeys(clusters, self.sockets),
            prompt=frozenset(clusters),
        )

    def close(self) -> None:
        """End the thread inside the namespace."""
        if self._namespace is not None:
            self._namespace.close()


class FunctionSide:
    """Watches over the function of `pod` for as long as its sidecar runs."""

    def __init__(
        self,
        pod: Pod,
        plane: DataPlane,
        network: FunctionNetwork,
        clock: Clock,
        terms: InboundTerms,
        asked: frozenset[str] = frozenset(),
    ) -> None:
        """`terms` puts a configuration into force once it is as this pod needs it; `asked` are clusters of
        authorization services that only control can bring: no request can be judged before."""
        self._pod = pod
        self._terms = terms
        self._plane = plane
        self._network = network
        meter = LoadMeter(plane.engine.take_load, inbound.USER, clock)
        self._drain = PodDrain(meter, self._in_flight, clock, pod.drain_quiet_s)
        self._answered = asyncio.Event()
        self._declaration: Declaration | None = None
        """What the function speaks, once control has said how; it goes on speaking that when nothing declares it."""
        self._asked = asked
        self._waits_aloud = False
        self._prober = Prober(pod.probe, self._probe, clock, self._tell)
        self.handlers: Mapping[str, ExchangeHandler] = {
            inbound.PROBE_HANDLER: inbound.NetworkProbe(self.is_ready),
            inbound.STAT_HANDLER: StatHandler(meter, pod.name, clock),
            inbound.DRAIN_HANDLER: DrainHandler(self.wait_for_quiet),
        }

    async def apply(self, snapshot: Snapshot) -> None:
        """Make `snapshot`, as it is for this pod, the configuration. Raises what `DataPlane.apply` raises."""
        said = (one for listener in snapshot.listeners for one in listener.declarations)
        named = (one for one in said if one.name == self._pod.user_declaration)
        declaration = next(named, self._declaration)
        placed = [outbound.placed(listener, self._pod) for listener in snapshot.listeners]
        if declaration is not None:
            placed.append(inbound.declared(self._pod, declaration))
        listeners = tuple(listener for listener in placed if listener is not None)
        await self._terms.apply(replace(snapshot, listeners=listeners))
        self._declaration = declaration
        if any(listener.name == INBOUND for listener in snapshot.listeners):
            # Control's own terms are live, and with them whomever they ask.
            self._asked = frozenset()
        if self.awaits_declaration and not self._waits_aloud:
            self._waits_aloud = True
            _log.warning("nobody declares what the function speaks", protocol=self._pod.user_declaration)

    async def refused(self, names: frozenset[str], waiting: frozenset[str]) -> None:
        """Take note of which listeners of control's are refused, and which are not live yet. Raises what
        `DataPlane.apply` raises."""
        await self._terms.refused(names, waiting)
        if self._terms.is_closed:
            self._tell(False)

    @property
    def awaits_declaration(self) -> bool:
        """Tell whether the function cannot be served before control says what its protocol looks like."""
        return bool(self._pod.user_declaration) and self._declaration is None

    @property
    def awaits_control(self) -> bool:
        """Tell whether no request can be answered before control has been heard."""
        return self.awaits_declaration or bool(self._asked)

    def start(self, tasks: TaskGroup) -> None:
        """Begin to probe, as a member of `tasks`, and anew whenever this process is told that the function has begun
        again."""
        probing = tasks.spawn("readiness", self._prober.run())

        def begin_again() -> None:
            nonlocal probing
            probing.cancel()
            probing = tasks.spawn("readiness", self._prober.run())

        asyncio.get_running_loop().add_signal_handler(FUNCTION_BEGAN_AGAIN, begin_again)

    def is_ready(self) -> bool:
        """Return whether the function takes new requests."""
        return self._prober.is_ready and not self._terms.is_closed and not self._drain.has_begun

    async def answered(self) -> None:
        """Return when the function has been ready for the first time."""
        await self._answered.wait()

    async def wait_for_quiet(self) -> None:
        """Begin to drain and return when no new requests come."""
        if not self._drain.has_begun:
            notify(self._pod.notify_socket, "STOPPING=1")
        await self._drain.wait_for_quiet()

    def close(self) -> None:
        """Leave the function's network."""
        self._network.close()

    def _in_flight(self) -> int:
        _, in_flight, waiting = self._plane.engine.capacity(inbound.USER)
        return in_flight + waiting

    def _tell(self, ready: bool) -> None:
        if not self._drain.has_begun:
            notify(self._pod.notify_socket, f"READY={int(ready)}")
        if ready:
            self._answered.set()

    async def _probe(self) -> bool:
        if self.awaits_control or self._terms.is_closed:
            return False
        probe = self._pod.probe
        port = probe.port or self._pod.user_port
        if probe.kind is ProbeKind.TCP:
            return await accepts(InetAddress("127.0.0.1", port), self._network.sockets, probe.timeout_s)
        response = await self._plane.caller.send(
            inbound.PROBE_TABLE,
            "GET",
            f"127.0.0.1:{port}",
            probe.path,
            (_PROBE_AGENT, *probe.headers),
            timeout_s=probe.timeout_s,
            hold=False,
        )
        return not response.error and 200 <= response.status < 400
