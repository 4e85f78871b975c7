"""Who has acknowledged what: Ready is a promise that every gateway and activator has the routes.

Pure bookkeeping. Gateways and activators are waited for without limit (a Ready that some gateway does not know
about would be a lie); sidecars at most `SIDECAR_WAIT_S`, then they are named and hold nobody up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.scope import Audience, audience_of
from eventmesh.xds.control.status import Connection
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Refusal
from eventmesh.xds.identity.spiffe import SpiffeId
from eventmesh.xds.resource_types import ResourceType

SIDECAR_WAIT_S = 5.0
"""A sidecar that has not answered by then is named in the condition DataPlaneLagging; design, law 6."""

RESOLUTION_S = 0.001
"""A wait that has less than this to go is over: timers and sums of floats are not exact."""

RECONNECT_WAIT_S = 1.0
"""After a start, data planes that served before are given this long to come back before nobody counts as everybody:
a revision must not lose its pods because control was restarted in between. Ours are back after 0.1 s, Envoy 0.5."""

_REQUIRED = (Role.GATEWAY, Role.ENVOY, Role.ACTIVATOR)


@frozen
class Nack:
    """A refusal and who spoke it."""

    node: str
    role: Role
    refusal: Refusal
    audience: Audience
    """Whose configuration it refuses."""


@frozen
class Acks:
    """How far a generation has come."""

    waiting: tuple[str, ...]
    """Gateways and activators that have not acknowledged it yet, by node id."""
    lagging: tuple[str, ...]
    """Sidecars that have not, by node id."""
    overdue: bool
    """The sidecars had `SIDECAR_WAIT_S`."""
    again_after_s: float | None = None
    """When time alone may change the verdict, the seconds until then."""

    @property
    def ready(self) -> bool:
        """True when the promise may be made."""
        return not self.waiting and (not self.lagging or self.overdue)


class AckTracker:
    """The acknowledged generation of every open stream."""

    def __init__(self, clock: Clock, routes: Callable[[Role], frozenset[str]]) -> None:
        """`routes` names the route tables a role's listeners refer to."""
        self._clock = clock
        self._routes = routes
        self._peers: dict[int, Connection] = {}
        self._told_by_name: set[int] = set()
        self._done: dict[int, int] = {}
        self._words: dict[int, str] = {}
        self._behind_since: dict[int, float] = {}
        """Since when a sidecar has owed an answer, in monotonic seconds."""
        self.opened_at = float("-inf")
        """When clients could first connect, in monotonic seconds."""
        self._returning_until = float("-inf")
        self._elsewhere: Callable[[int], Sequence[str]] = lambda generation: ()
        self._on_progress: Callable[[], None] = lambda: None
        self._on_refusal: Callable[[Nack], None] = lambda nack: None

    def listen(self, on_progress: Callable[[], None], on_refusal: Callable[[Nack], None]) -> None:
        """Call `on_progress` whenever a promise may have come true, `on_refusal` at every NACK."""
        self._on_progress, self._on_refusal = on_progress, on_refusal

    def count_in(self, elsewhere: Callable[[int], Sequence[str]]) -> None:
        """Have `elsewhere` name the gateways and activators of other replicas that lack a generation."""
        self._elsewhere = elsewhere

    def opened(self) -> None:
        """Take note that clients can connect from now on, and that some may be on their way back."""
        self.opened_at = self._clock.monotonic()
        self._returning_until = self.opened_at + RECONNECT_WAIT_S

    def joined(self, stream: Stream, peer: str, identity: SpiffeId | None = None) -> None:
        """Count `stream` in, whose client has proved to be `identity`; from now on it is waited for."""
        self._peers[id(stream)] = Connection(stream, peer, self._clock.monotonic(), identity)
        self._done[id(stream)] = -1
        if stream.node.role in _REQUIRED:
            self._on_progress()

    def left(self, stream: Stream) -> None:
        """Count `stream` out."""
        self._peers.pop(id(stream), None)
        self._told_by_name.discard(id(stream))
        self._words.pop(id(stream), None)
        self._behind_since.pop(id(stream), None)
        if self._done.pop(id(stream), None) is not None:
            self._on_progress()

    def progressed(self, stream: Stream) -> bool:
        """Take note that `stream` has been sent or has answered something; return whether it lacks nothing now."""
        self._note_names(stream)
        done = stream.acknowledged(self._routes(stream.node.role))
        if self._done.get(id(stream), done) != done:
            self._done[id(stream)] = done
            self._words.pop(id(stream), None)
            self._behind_since.pop(id(stream), None)
            self._on_progress()
        return done >= stream.configuration.generation

    def _note_names(self, stream: Stream) -> None:
        if stream.subscription(ResourceType.EXTENSION).names and id(stream) in self._peers:
            self._told_by_name.add(id(stream))
        else:
            self._told_by_name.discard(id(stream))

    def refused(self, stream: Stream, refusal: Refusal) -> None:
        """Pass a NACK on, and keep the client's words until it acknowledges something again."""
        self._words[id(stream)] = refusal.message
        audience = dataclasses.replace(audience_of(stream.node), identity=self._peers[id(stream)].identity)
        self._on_refusal(Nack(stream.node.id, stream.node.role, refusal, audience))

    def connections(self) -> list[Connection]:
        """Return every open stream, the oldest first."""
        return list(self._peers.values())

    def told_by_name(self) -> list[Connection]:
        """Return the streams that ask for filters by name, which few do; looked at with each answer of anybody."""
        return [self._peers[key] for key in self._told_by_name]

    def clients(self, role: Role) -> int:
        """Return how many streams of `role` are open."""
        return sum(peer.stream.node.role is role for peer in self._peers.values())

    def required(self) -> int:
        """Return how many gateways and activators are connected here."""
        return len(self._required())

    def waiting(self, generation: int) -> list[str]:
        """Return which of them have not acknowledged `generation` yet, by name."""
        return sorted(self._name(key) for key in self._required() if not self._has(key, generation))

    def _required(self) -> list[int]:
        return [key for key, peer in self._peers.items() if peer.stream.node.role in _REQUIRED]

    def _name(self, key: int) -> str:
        peer = self._peers[key]
        name = peer.stream.node.id or peer.peer
        return f"{name} (refused: {self._words[key]})" if key in self._words else name

    def proves(self, generation: int) -> bool:
        """True when there are gateways or activators, and each has acknowledged `generation`."""
        required = self._required()
        return bool(required) and all(self._has(key, generation) for key in required)

    def _has(self, key: int, generation: int) -> bool:
        # Publications that change nothing for a client are not sent to it: its newest one stands for them.
        return self._done[key] >= min(generation, self._peers[key].stream.configuration.generation)

    def of(self, generation: int, published_at: float) -> Acks:
        """Return who has not acknowledged `generation`, published at that monotonic time, yet."""
        waiting, lagging, now = self.waiting(generation), [], self._clock.monotonic()
        waiting += self._elsewhere(generation)
        left_s = float("-inf")
        for key, peer in self._peers.items():
            if peer.stream.node.role is Role.SIDECAR and not self._has(key, generation):
                lagging.append(self._name(key))
                # One that has been silent for long does not hold up every change anew.
                since = self._behind_since.setdefault(key, published_at)
                left_s = max(left_s, min(since, published_at) + SIDECAR_WAIT_S - now)
        overdue = left_s <= RESOLUTION_S
        again = [left_s] if lagging and not overdue else []
        returning_s = self._returning_until - now
        if returning_s > RESOLUTION_S and not self._required():
            waiting.append("data planes that may come back")
            again.append(returning_s)
        return Acks(tuple(sorted(waiting)), tuple(sorted(lagging)), overdue, min(again, default=None))
