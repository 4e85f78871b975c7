"""The orders an engine gives. Each is a plain tuple whose first item is one of these numbers.

Tuples and not objects: this is the one place where Python runs per read, and a tuple is what costs least.

    (WRITE, conn, data)                 write bytes; order within one connection is kept
    (OPEN, conn, cluster, address)      dial; then call `opened` or `open_failed`
    (PAUSE, conn) (RESUME, conn)        stop, go on reading
    (SHUTDOWN, conn)                    half-close the write side once everything written is flushed
    (CLOSE, conn)                       flush, then close; `lost` is not called for it
    (ABORT, conn)                       reset at once; `lost` is not called for it
    (WAKE, at)                          call `tick` at this monotonic time or soon after; replaces an earlier order
    (ASK, token, question, subject)     a decision is wanted or a fact is announced (`QUESTION_*`)
    (SERVE, exchange, handler, request) a whole request for a handler of this process; answer with `reply`
    (DONE, exchange, response)          the whole response to a `send`, or the end of a stream and its trailers
    (ANSWERED, exchange, status, headers) the answer to a stream begins
    (PIECE, exchange, data)             it goes on, or a conversation's request does; give the credit back with `took`
    (ROOM, exchange)                    a stream or conversation whose `feed` said so may go on
    (CONVERSE, exchange, handler, request) the head of a request for a handler of this process; PIECE, ENDED and GONE
                                        follow, `begin_answer`, `feed` and `finish_answer` answer
    (ENDED, exchange)                   the request of a conversation has come whole
    (GONE, exchange)                    nobody waits for its answer any more: nothing more is told of it
    (SCREEN, token, filter, request)    a filter (`PythonFilter.asked_as`) is to look at the head of a request;
                                        `let_through`, `turn_away` or `undecided` answers
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from eventmesh.core._core import Request, Response

WRITE: Final = 0
OPEN: Final = 1
PAUSE: Final = 2
RESUME: Final = 3
SHUTDOWN: Final = 4
CLOSE: Final = 5
ABORT: Final = 6
WAKE: Final = 7
ASK: Final = 8
SERVE: Final = 9
DONE: Final = 10
ANSWERED: Final = 11
PIECE: Final = 12
ROOM: Final = 13
SCREEN: Final = 14
CONVERSE: Final = 15
ENDED: Final = 16
GONE: Final = 17

QUESTION_NEED_CAPACITY: Final = "need_capacity"
"""A request is the first to wait in a cluster with `hold` where nobody has room; `subject` is the cluster's name. It
goes on by itself as soon as an endpoint has room; `answer(token, ("reply", status, text))` ends the wait."""

Headers = Sequence[tuple[str, str]]
"""Header fields as they are given to an engine: names in any case, values in Latin-1."""

LoadRow = tuple[str, float, int, float, int]
"""A row of `Engine.take_load`."""

StreamAction = (
    tuple[Literal[11], int, int, list[tuple[str, str]]] | tuple[Literal[12], int, bytes] | tuple[Literal[13], int]
)
"""What is told of a stream of this process."""

ConversationAction = tuple[Literal[15], int, str, "Request"] | tuple[Literal[16, 17], int]
"""What is told of a conversation alone; it hears the last two of a stream's as well."""

Action = (
    tuple[Literal[0], int, bytes]
    | tuple[Literal[1], int, str, str]
    | tuple[Literal[2, 3, 4, 5, 6], int]
    | tuple[Literal[7], float]
    | tuple[Literal[8], int, str, str]
    | tuple[Literal[9], int, str, "Request"]
    | tuple[Literal[10], int, "Response"]
    | tuple[Literal[14], int, str, "Request"]
    | StreamAction
    | ConversationAction
)
"""Told apart by the first item; mypy narrows on it, so the driver needs no cast."""
