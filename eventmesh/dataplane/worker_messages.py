"""What a supervisor and its workers say to each other.

The two are one program, and their channel is a socket pair that nobody else can reach: values travel as pickles.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from eventmesh.dataplane.figures import Figures
from eventmesh.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Apply:
    """To a worker, with its sockets of every listener: put this into force."""

    number: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Applied:
    """From a worker: it is in force, or refused for the reason given; then the former one still is."""

    number: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class AskFigures:
    """To a worker: what have you counted? It answers with Figures."""


@dataclass(frozen=True, slots=True)
class Drain:
    """To a worker: accept no more, finish what is in flight, end within so many seconds."""

    longest_s: float


Message = Apply | Applied | AskFigures | Figures | Drain


def encode(message: Message) -> bytes:
    """Return the message as it travels."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def decode(data: bytes) -> Message:
    """Return the message in `data`, which came from our own process's other half."""
    message: Message = pickle.loads(data)  # noqa: S301  # over our own socket pair; see above
    return message
