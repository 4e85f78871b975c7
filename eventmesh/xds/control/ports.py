"""Ports at which control serves gRPC: listeners of an engine of its own, in clear text and under TLS."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Converse, Route, RouteTable, VirtualHost
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ServerTls, TlsCertificate
from eventmesh.transport.drain import drain
from eventmesh.transport.grpc_service import GrpcService
from eventmesh.transport.inherited import Inherited
from eventmesh.xds.identity.issuer import Identities, Renewed

_log = log.get("xds.ports")

_HANDLER: Final = "grpc"

KEEPALIVE_S: Final = 30.0
"""A client that is silent for so long is asked whether it lives."""

KEEPALIVE_ANSWER_S: Final = 20.0
"""gRPC's own patience. Nobody waits for the acknowledgement of a client that has vanished without a word for longer."""

IDLE_S: Final = 300.0
"""A connection without a call, or one that has not said anything yet, is closed after this; clients come back by
themselves."""


_GOODBYE_S: Final = 0.2
"""How long clients may take to hear that their calls have ended and the connection goes away."""


@frozen
class Port:
    """Where one service listens, and who is let in."""

    address: str
    """`HOST:PORT`, `[IPV6]:PORT`; port 0 is any free one."""
    is_secured: bool = False
    """Under TLS, showing control's certificate."""
    demands_certificate: bool = False
    """Who connects must show a certificate of one of the roots trusted now."""


class GrpcPorts:
    """Serves one `GrpcService` at some ports, until it is stopped."""

    def __init__(self, service: GrpcService, clock: Clock, what: str, identities: Identities | None = None) -> None:
        """`what` is served, for errors and logs; `identities` are needed for ports that are secured."""
        self._service = service
        self._clock = clock
        self._what = what
        self._identities = identities
        self._plane: DataPlane | None = None
        self._ports: tuple[Port, ...] = ()
        self._tasks = TaskGroup("xds.ports")
        self._listens = False

    async def start(self, *ports: Port) -> list[int]:
        """Listen and return the number of each port; UnavailableError when one is taken."""
        self._ports = ports
        plane = DataPlane(self._clock, {}, inherited=Inherited(), conversing={_HANDLER: self._service})
        try:
            await plane.apply(self._snapshot())
        except MeshError as error:
            await plane.stop()
            where = " and ".join(port.address for port in ports)
            raise UnavailableError(f"{self._what} cannot listen on {where}: {error}") from error
        self._plane = plane
        plane.go_live()
        if self._identities is not None and not self._listens:
            self._listens = True
            own = self._identities.parts.control
            self._identities.listen(self._renewed, lambda wanted: wanted == own)
        addresses = plane.addresses()
        return [int(addresses[_name(at)].rpartition(":")[2]) for at in range(len(ports))]

    async def stop(self, finish_s: float) -> None:
        """Let clients know, give calls `finish_s` to end by themselves, end the others, and close everything."""
        plane, self._plane = self._plane, None
        await self._tasks.stop()
        if plane is not None:
            plane.drain_listeners(frozenset())
            if finish_s > 0.0:
                await drain(plane.driver, self._clock, finish_s)
            await plane.driver.conversations.stop()
            await drain(plane.driver, self._clock, _GOODBYE_S)
            await plane.stop()

    def _renewed(self, renewed: Renewed) -> None:
        identities = self._identities
        if identities is None or self._plane is None:
            return
        if renewed.roots or identities.parts.control in renewed.identities:
            self._tasks.spawn("certificates", self._show_newer(self._plane))

    async def _show_newer(self, plane: DataPlane) -> None:
        # Handshakes from now on; connections that are open have proved what they had to.
        try:
            await plane.apply(self._snapshot())
        except MeshError as error:
            _log.error("a new certificate cannot be shown", port=self._what, reason=error)

    def _snapshot(self) -> Snapshot:
        everything = Route(RouteMatch("/"), Converse(_HANDLER), name=_HANDLER)
        listeners = (self._listener(_name(at), port) for at, port in enumerate(self._ports))
        return Snapshot(
            version="",
            listeners=tuple(listeners),
            route_tables=(RouteTable(_HANDLER, (VirtualHost(_HANDLER, ("*",), (everything,)),)),),
        )

    def _listener(self, name: str, port: Port) -> Listener:
        plain = Listener(
            name,
            port.address,
            _HANDLER,
            WireProtocol.HTTP2,
            idle_timeout_s=IDLE_S,
            keepalive_interval_s=KEEPALIVE_S,
            keepalive_timeout_s=KEEPALIVE_ANSWER_S,
        )
        return replace(plain, tls=self._tls(port)) if port.is_secured else plain

    def _tls(self, port: Port) -> ServerTls:
        identities = self._identities
        if identities is None:
            raise UnavailableError("there are no identities to show")
        own = identities.current(identities.parts.control)
        return ServerTls(
            (TlsCertificate(own.chain, own.key),),
            alpn=("h2",),
            client_ca=identities.bundle() if port.demands_certificate else "",
            require_client_certificate=port.demands_certificate,
        )


def _name(at: int) -> str:
    return f"port-{at}"
