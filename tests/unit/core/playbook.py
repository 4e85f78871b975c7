"""A script of what peers say to an engine and what it orders, in plain calls that run at once and in virtual time.

mesh = Playbook(snapshot)
client = mesh.connect()
client.says(b"GET / ...")
upstream = mesh.dialled("10.0.0.1:80")
upstream.hears(b"GET / ...")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from eventmesh.core import Engine
from eventmesh.core._core import Request, Response
from eventmesh.core.actions import (
    ABORT,
    ANSWERED,
    ASK,
    CLOSE,
    CONVERSE,
    DONE,
    ENDED,
    GONE,
    OPEN,
    PAUSE,
    PIECE,
    RESUME,
    ROOM,
    SCREEN,
    SERVE,
    SHUTDOWN,
    WAKE,
    WRITE,
)
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot


def forward(cluster: str, timeout_s: float = 15.0) -> Route:
    return Route(RouteMatch(), Forward((WeightedCluster(cluster),), timeout_s=timeout_s), name="all")


def snapshot(
    cluster: Cluster | None = None,
    *,
    routes: tuple[Route, ...] | None = None,
    listener: Listener | None = None,
) -> Snapshot:
    """One listener `in`, one table `t` that sends every host to one cluster `up`, unless told otherwise."""
    cluster = cluster or Cluster("up", (Endpoint("10.0.0.1:80"),))
    host = VirtualHost("any", ("*",), routes or (forward(cluster.name),))
    listener = listener or Listener("in", "127.0.0.1:0", "t")
    return Snapshot("1", (listener,), (RouteTable("t", (host,)),), (cluster,))


@dataclass
class Peer:
    """The other end of one connection."""

    mesh: Playbook
    conn: int
    address: str
    heard: bytes = b""
    events: list[str] = field(default_factory=list)
    """What was ordered besides writes: `pause`, `resume`, `shutdown`, `close`, `abort`."""

    def says(self, data: bytes) -> None:
        self.mesh.do(self.mesh.engine.received(self.conn, data, self.mesh.now))

    def opens(self) -> None:
        self.mesh.do(self.mesh.engine.opened(self.conn, self.mesh.now))

    def refuses(self) -> None:
        self.mesh.do(self.mesh.engine.open_failed(self.conn, "refused", self.mesh.now))

    def half_closes(self) -> None:
        self.mesh.do(self.mesh.engine.eof(self.conn, self.mesh.now))

    def vanishes(self) -> None:
        self.mesh.do(self.mesh.engine.lost(self.conn, "reset by peer", self.mesh.now))

    def is_writable(self, yes: bool, backlog: int = 0) -> None:
        self.mesh.do(self.mesh.engine.writable(self.conn, yes, backlog, self.mesh.now))

    def hears(self, data: bytes) -> None:
        """Assert that exactly `data` was written since the last look."""
        heard, self.heard = self.heard, b""
        assert heard == data, self.mesh.dialogue()

    def takes(self) -> bytes:
        """Return and forget what was written."""
        heard, self.heard = self.heard, b""
        return heard


class Playbook:
    """An engine, its clock and everybody it talks to."""

    def __init__(self, config: Snapshot | None = None, seed: int = 1) -> None:
        self.engine = Engine(seed)
        self.now = 1000.0
        self.peers: dict[int, Peer] = {}
        self.dials: list[Peer] = []
        self.served: list[tuple[int, str, Request]] = []
        self.conversing: dict[int, tuple[str, Request]] = {}
        """Conversations, and those of which nothing more is told."""
        self.ended: list[int] = []
        self.gone: list[int] = []
        self.done: dict[int, Response] = {}
        self.answered: dict[int, tuple[int, dict[str, str]]] = {}
        """How streams of the process were answered: status and fields."""
        self.pieces: dict[int, bytes] = {}
        """What they brought so far."""
        self.rooms: list[int] = []
        """Those that were told to go on."""
        self.screened: list[tuple[int, str, Request]] = []
        self.asked: list[tuple[int, str]] = []
        self.wake_at = float("inf")
        self.log: list[str] = []
        self.apply(config or snapshot())

    def apply(self, config: Snapshot) -> None:
        self.do(self.engine.apply(config.to_core(), self.now))

    def connect(self, listener: str = "in") -> Peer:
        conn, actions = self.engine.accepted(listener, "10.9.9.9:5", self.now)
        self.peers[conn] = Peer(self, conn, "client")
        self.do(actions)
        return self.peers[conn]

    def dialled(self, address: str | None = None) -> Peer:
        """Return the oldest connection that was dialled and not opened yet, opened."""
        assert self.dials, self.dialogue()
        peer = self.dials.pop(0)
        assert address in (None, peer.address), self.dialogue()
        peer.opens()
        return peer

    def passes(self, seconds: float) -> None:
        """Let time pass, waking the engine exactly when it asked to be."""
        until = self.now + seconds
        while self.wake_at <= until:
            self.now, self.wake_at = max(self.now, self.wake_at), float("inf")
            self.do(self.engine.tick(self.now))
        self.now = until

    def send(self, path: str = "/", body: bytes = b"", method: str = "GET", **terms: object) -> int:
        exchange, actions = self.engine.send("t", method, "h", path, [], body, self.now, **terms)  # type: ignore[arg-type]
        self.do(actions)
        return exchange

    def call(self, frame: bytes, **terms: object) -> int:
        exchange, actions = self.engine.call("t", frame, self.now, **terms)  # type: ignore[arg-type]
        self.do(actions)
        return exchange

    def open_stream(self, path: str = "/") -> int:
        exchange, actions = self.engine.open_stream("t", "POST", "h", path, [], self.now)
        self.do(actions)
        return exchange

    def feed(self, exchange: int, data: bytes, *, end: bool = False) -> bool:
        """Send more of a stream; return whether there is room for the next."""
        has_room, actions = self.engine.feed(exchange, data, end, self.now)
        self.do(actions)
        return has_room

    def took(self, exchange: int, size: int) -> None:
        self.do(self.engine.took(exchange, size, self.now))

    def begin_answer(self, exchange: int, status: int = 200, fields: Sequence[tuple[str, str]] = ()) -> None:
        self.do(self.engine.begin_answer(exchange, status, fields, self.now))

    def finish_answer(self, exchange: int, trailers: Sequence[tuple[str, str]] = ()) -> None:
        self.do(self.engine.finish_answer(exchange, trailers, self.now))

    def hang_up(self, exchange: int) -> None:
        self.do(self.engine.hang_up(exchange, self.now))

    def cancel(self, exchange: int) -> None:
        self.do(self.engine.cancel(exchange, self.now))

    def reply(self, exchange: int, status: int, body: bytes = b"") -> None:
        self.do(self.engine.reply(exchange, status, [("x-by", "handler")], body, self.now))

    def do(self, actions: Sequence[tuple[object, ...]]) -> None:
        for action in actions:
            self.log.append(repr(action)[:300])
            match action:
                case (int(kind), int(conn), bytes(data)) if kind == WRITE:
                    self.peers[conn].heard += data
                case (int(kind), int(conn), str(), str(address)) if kind == OPEN:
                    self.peers[conn] = Peer(self, conn, address)
                    self.dials.append(self.peers[conn])
                case (int(kind), float(at)) if kind == WAKE:
                    self.wake_at = at
                case (int(kind), int(token), str(), str(subject)) if kind == ASK:
                    self.asked.append((token, subject))
                case (int(kind), int(number), str(name), Request() as request):
                    self._handed_over(kind, number, name, request)
                case (int(kind), int(exchange), Response() as response) if kind == DONE:
                    self.done[exchange] = response
                case (int(kind), int(exchange), int(status), list(fields)) if kind == ANSWERED:
                    self.answered[exchange] = status, dict(fields)
                case (int(kind), int(exchange), bytes(data)) if kind == PIECE:
                    self.pieces[exchange] = self.pieces.get(exchange, b"") + data
                case (int(kind), int(exchange)) if kind in (ROOM, ENDED, GONE):
                    {ROOM: self.rooms, ENDED: self.ended, GONE: self.gone}[kind].append(exchange)
                case (int(kind), int(conn)):
                    names = {PAUSE: "pause", RESUME: "resume", SHUTDOWN: "shutdown", CLOSE: "close", ABORT: "abort"}
                    self.peers[conn].events.append(names[kind])
                case _:
                    raise AssertionError(f"unknown action {action!r}")

    def _handed_over(self, kind: int, number: int, name: str, request: Request) -> None:
        if kind == CONVERSE:
            self.conversing[number] = name, request
        else:
            {SERVE: self.served, SCREEN: self.screened}[kind].append((number, name, request))

    def dialogue(self) -> str:
        return "\n".join(self.log[-30:])


def called(mesh: Playbook, data: bytes) -> tuple[Peer, Peer]:
    """Call on a connection of its own; return the caller and the server that is dialled."""
    caller = mesh.connect()
    caller.says(data)
    return caller, mesh.dialled()
