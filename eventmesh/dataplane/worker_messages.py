"""What a supervisor and its workers say to each other.

The two are one program, and their channel is a socket pair that nobody else can reach: values travel as pickles.
"""

from __future__ import annotations

import pickle

from eventmesh.base.frozen import frozen
from eventmesh.dataplane.figures import Figures
from eventmesh.model.snapshot import Snapshot


@frozen
class Apply:
    """To a worker, with its sockets of every listener: put this into force."""

    snapshot: Snapshot


@frozen
class Applied:
    """From a worker: it is in force, or refused for the reason given; then the former one still is."""

    refusal: str = ""


@frozen
class AskFigures:
    """To a worker: what have you counted? It answers with Figures, and says them once more, unasked, before it ends."""


@frozen
class AskStatuses:
    """To a worker: how do clusters and endpoints fare? It answers with Statuses."""


@frozen
class Statuses:
    """From a worker: what `Engine.cluster_statuses` returns."""

    rows: bytes


@frozen
class Look:
    """To a worker: look at exchanges as they pass, on these terms (`Engine.tap`)."""

    terms: bytes


@frozen
class LookAway:
    """To a worker: look no more."""


@frozen
class AskSeen:
    """To a worker: what have you seen since I asked last? It answers with Seen."""


@frozen
class Seen:
    """From a worker: what `Engine.take_tap` returns."""

    rows: list[bytes]
    lost: int
    is_over: bool


@frozen
class Moved:
    """With the connection of a client, accepted at `address`, on which nothing is under way: to a worker that is to go
    on with it, and from one that leaves to a successor."""

    address: str


@frozen
class Drain:
    """To a worker: accept no more, finish what is in flight, end within so many seconds. After Leave: there is no
    successor any more."""

    longest_s: float


@frozen
class Leave:
    """To a worker: accept no more, give up every connection that can be moved, finish the others, end within so many
    seconds."""

    longest_s: float


Question = Apply | AskFigures | AskStatuses | AskSeen
Order = Look | LookAway | Moved | Drain | Leave
Answer = Applied | Figures | Statuses | Seen
Message = Question | Order | Answer


def encode(message: Message) -> bytes:
    """Return the message as it travels."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def decode(data: bytes) -> Message:
    """Return the message in `data`, which came from our own process's other half."""
    message: Message = pickle.loads(data)  # noqa: S301  # over our own socket pair; see above
    return message
