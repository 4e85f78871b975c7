"""Does what the engine's actions say, on uvloop.

One driver per engine. What a read makes the engine write leaves without a line of this file (`core.Receiver`);
everything here runs per connection, per failure, or per exchange that ends in this process. This is one of the
places where a broad `except` may stand: it answers, counts and goes on.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
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
    Action,
    Headers,
    StreamAction,
)
from eventmesh.transport.address import UnixAddress, parse_address
from eventmesh.transport.connection import AcceptedConnection, Connection, DialledConnection, PromptConnection
from eventmesh.transport.conversation import Conversations
from eventmesh.transport.dialer import Dialer, Guard
from eventmesh.transport.exchange import Caller, ExchangeHandler
from eventmesh.transport.failures import Failures
from eventmesh.transport.netns import HostNetwork, SocketFactory
from eventmesh.transport.serving import Serving

if TYPE_CHECKING:
    from eventmesh.core import Engine
    from eventmesh.core._core import Request

MAX_CONNECTIONS: Final = 50_000
"""Open connections of one process; one more is closed at once. A connection costs about 30 KiB with its kernel
buffers when idle: 1.5 GiB, what a gateway's machine has to spare and an attacker must not exceed."""

RESERVED_FILES: Final = 128
"""File descriptors that connections may not use up: listeners, logs, the loop itself, ADS. Without them accept(2) fails
with EMFILE, and the event loop would try it again and again."""

_TIMER_STEP_S: Final = 0.001
"""libuv's timers count whole milliseconds: ring one later, never too early."""

_RETRY_TICK_S: Final = 1.0

QuestionHandler = Callable[[int, str, str], None]
"""Takes an ASK: (token, question, subject)."""


ScreenHandler = Callable[[int, str, "Request"], None]
"""Takes a SCREEN: (token, filter, request)."""


@frozen
class Upstream:
    """How a cluster is dialled."""

    network: SocketFactory
    connect_timeout_s: float = 5.0
    is_prompt: bool = False
    """Acknowledge each read at once (`PromptConnection`)."""
    guard: Guard | None = None
    """Looks at each address before it is dialled."""


def connection_limit(files: int) -> int:
    """Return how many connections a process that may open `files` files can hold."""
    return max(min(MAX_CONNECTIONS, files - RESERVED_FILES), 1)


class Driver:
    """The engine's hands: sockets, timers, handlers."""

    def __init__(
        self,
        engine: Engine,
        handlers: Mapping[str, ExchangeHandler],
        clock: Clock,
        *,
        on_question: QuestionHandler | None = None,
    ) -> None:
        """Must be called in a running event loop, which it keeps."""
        self.loop = asyncio.get_running_loop()
        self.engine = engine
        self.now = clock.monotonic
        self.caller = Caller(engine, clock, self.perform)
        self.failures = Failures()
        self.conversations = Conversations(engine, self.now, self.perform, self.failures.bug)
        self._on_question = on_question
        self._dialer = Dialer(clock)
        self.screen: ScreenHandler = lambda token, _filter, _request: self.undecided(token)
        self._upstreams: Mapping[str, Upstream] = {}
        self._elsewhere = Upstream(HostNetwork())
        self.connections: dict[int, Connection] = {}
        """By the engine's number of each; a connection's compiled half looks up here whom to write to."""
        self._dials: dict[int, asyncio.Task[None]] = {}
        self._accepted = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = TaskGroup("transport")
        self.serving = Serving(engine, handlers, self._tasks, self._tell, self.failures)
        self.max_connections = connection_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    @property
    def accepted_connections(self) -> int:
        """Connections that clients hold, those that linger included."""
        return self._accepted

    def configure(self, upstreams: Mapping[str, Upstream]) -> None:
        """Dial clusters as `upstreams` says from now on."""
        self._upstreams = upstreams

    def perform(self, actions: Iterable[Action]) -> None:
        """Do `actions` in order. Whatever an action sets off comes back through the event loop, never from inside."""
        connections = self.connections
        for action in actions:
            if action[0] == WRITE:
                connection = connections.get(action[1])
                if connection is not None:
                    connection.write(action[2])
            else:
                self._order(action)

    def _order(self, action: Action) -> None:
        """Do one of the orders that are rarer than WRITE."""
        if action[0] == OPEN:
            _, number, cluster, address = action
            self._dials[number] = self._tasks.spawn(f"dial {address}", self._dial(number, cluster, address))
        elif action[0] == WAKE:
            self._wake(action[1])
        elif action[0] == ASK:
            if self._on_question is not None:
                self.loop.call_soon(self._ask, self._on_question, *action[1:])
        elif action[0] == SERVE:
            self.serving.serve(action[1], action[2], action[3])
        elif action[0] == SCREEN:
            self.loop.call_soon(self.screen, *action[1:])
        elif action[0] == DONE:
            self.caller.done(action[1], action[2])
        elif action[0] == ANSWERED or action[0] == PIECE or action[0] == ROOM:
            self._tell_stream(action)
        elif action[0] == CONVERSE or action[0] == ENDED or action[0] == GONE:
            self.conversations.told(action)
        elif action[0] != WRITE:
            self._steer(action[0], action[1])

    def _tell_stream(self, action: StreamAction) -> None:
        if action[0] == ANSWERED:
            stream = self.caller.stream(action[1])
            if stream is not None:
                stream.answered(action[2], action[3])
            return
        either = self.caller.stream(action[1]) or self.conversations.of(action[1])
        if either is None:
            return  # given up meanwhile
        if action[0] == PIECE:
            either.piece(action[2])
        else:
            either.room()

    def _steer(self, order: int, number: int) -> None:
        """Do one of the orders that name nothing but a connection."""
        connection = self.connections.get(number)
        if connection is None:
            if order in (CLOSE, ABORT) and (dial := self._dials.pop(number, None)) is not None:
                dial.cancel()
        elif order == PAUSE:
            connection.pause_reading()
        elif order == RESUME:
            connection.resume_reading()
        elif order == SHUTDOWN:
            connection.shutdown()
        elif order == CLOSE:
            del self.connections[number]
            connection.close()
        elif order == ABORT:
            del self.connections[number]
            connection.abort()

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(max(at - self.now(), 0.0) + _TIMER_STEP_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if not self._tell(self.engine.tick):
            # The engine's deadlines hang on this timer: whatever it stumbled over, it has to be asked again.
            self._wake(self.now() + _RETRY_TICK_S)

    def _tell(self, event: Callable[..., Sequence[Action]], *arguments: object) -> bool:
        """Tell the engine of something that is rarer than a read; return whether it took that without a bug."""
        try:
            self.perform(event(*arguments, self.now()))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a bug, the core's panics included: what it concerned is lost, no more
            self.failures.bug(error)
            return False
        return True

    def _ask(self, handler: QuestionHandler, token: int, question: str, subject: str) -> None:
        try:
            handler(token, question, subject)
        except Exception as error:
            self.failures.bug(error, question=question, subject=subject)

    # Connections

    def accepted(self, connection: Connection, listener: str) -> None:
        """Register a client's connection; above the limit, or when its listener is gone, it is reset."""
        self._accepted += 1
        if len(self.connections) >= self.max_connections:
            self.failures.refused_connections += 1
            connection.abort()
            return
        try:
            number, actions = self.engine.accepted(listener, connection.peer(), self.now())
        except (KeyError, OSError):  # the listener was removed, or the client was gone before we looked
            self.failures.refused_connections += 1
            connection.abort()
            return
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a bug, the core's panics included
            self.failed(connection, error)
            return
        connection.number = number
        self.connections[number] = connection
        self.perform(actions)

    def opened(self, connection: Connection, number: int) -> None:
        """Register a connection that the engine asked for, unless it has been called off meanwhile."""
        if self._dials.pop(number, None) is None:
            connection.abort()
            return
        connection.number = number
        self.connections[number] = connection
        self._tell(self.engine.opened, number)

    def writable(self, connection: Connection, yes: bool) -> None:
        """Pass back-pressure on."""
        if connection.number:
            self._tell(self.engine.writable, connection.number, yes, connection.transport.get_write_buffer_size())

    def ended(self, connection: Connection) -> None:
        """Pass a peer's half-close on."""
        self._tell(self.engine.eof, connection.number)

    def lost(self, connection: Connection, error: Exception | None) -> None:
        """Forget a connection, and tell the engine unless the engine itself let it go."""
        if connection.is_accepted:
            self._accepted -= 1
        number, connection.number = connection.number, 0
        if self.connections.pop(number, None) is not None:
            self._tell(self.engine.lost, number, str(error or "closed by peer"))

    def failed(self, connection: Connection, error: BaseException) -> None:
        """Cut a connection whose bytes met a bug, and go on with the others."""
        self.failures.bug(error, connection=connection.number)
        number = connection.number
        connection.abort()
        if self.connections.pop(number, None) is not None:
            self._tell(self.engine.lost, number, "internal error")

    async def _dial(self, number: int, cluster: str, address: str) -> None:
        upstream = self._upstreams.get(cluster, self._elsewhere)
        try:
            parsed = parse_address(address)
            is_unix = isinstance(parsed, UnixAddress)

            def connection() -> DialledConnection:
                if upstream.is_prompt and not is_unix:
                    return PromptConnection(self, number)
                return DialledConnection(self, number, is_unix=is_unix)

            await self._dialer.dial(parsed, upstream.network, connection, upstream.connect_timeout_s, upstream.guard)
        except (OSError, ConfigError) as error:
            if number in self._dials:
                self._tell(self.engine.open_failed, number, str(error) or "timed out")
        finally:
            self._dials.pop(number, None)

    def clients(self) -> list[AcceptedConnection]:
        """Return the clients' connections that the engine has."""
        return [one for one in self.connections.values() if isinstance(one, AcceptedConnection)]

    def move_out(self, connection: AcceptedConnection) -> socket.socket | None:
        """Return the socket of a connection that another process can go on to serve, and forget it; None: not now.

        Until then nothing more is read from it than it takes to come to such a moment.
        """
        number = connection.number
        match self.engine.standing(number):
            case "free" if connection.is_flushed:
                _, actions = self.engine.move_out(number)
                given = connection.give_away()
                del self.connections[number]
                self.perform(actions)
                return given
            case "free" | "whole":
                connection.hold()
        return None

    # Questions

    def undecided(self, token: int) -> None:
        """Answer a SCREEN: its failure policy decides."""
        self._tell(self.engine.undecided, token)

    def let_through(self, token: int, headers: Headers, remove: Sequence[str]) -> None:
        """Answer a SCREEN. Raises ValueError for what cannot be sent, TypeError for a `remove` that is one text; the
        request then still waits."""
        self.perform(self.engine.let_through(token, headers, remove, self.now()))

    def turn_away(self, token: int, status: int, headers: Headers, body: bytes) -> None:
        """Answer a SCREEN. Raises ValueError for what cannot be sent; the request then still waits."""
        self.perform(self.engine.turn_away(token, status, headers, body, self.now()))

    def answer(self, token: int, decision: tuple[object, ...]) -> None:
        """Answer an ASK."""
        self._tell(self.engine.answer, token, decision)

    async def stop(self) -> None:
        """Cut every connection and every handler still at work."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.stop()
        await self.conversations.stop()
        for connection in list(self.connections.values()):
            connection.abort()
        self.connections.clear()
