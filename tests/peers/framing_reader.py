"""What a server makes of a stream, asked over a connection of its own; many at once, each at the cost of a few calls.

When a server has answered all that it will is known, and not guessed from the clock: who has understood the whole
stream closes after its end. Who says nothing more is taken to wait for the rest of a message once another connection,
opened later, has been served from its first byte to its last, and this one has still heard nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, cast
from urllib.parse import urlsplit

from tests.peers.framing_streams import END
from tests.waiting import WAIT_S

LOOK_S: Final = 0.2
"""A server that has said nothing for so long may be waiting for more of a message: then it is looked closer."""


_ROW: Final = re.compile(rb"@@(\{.*?\})@@")

Seen = tuple[str, str, str]
"""Method, path with query, body in hexadecimal."""


class _Talk(asyncio.Protocol):
    """One connection: what was sent on it is written, what comes back is kept."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.said = bytearray()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        self.said += data

    def eof_received(self) -> bool:
        return False  # close: nothing more will come

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    async def is_closed(self, within_s: float) -> bool:
        """Return whether the connection ends within a time."""
        done, _ = await asyncio.wait([self.closed], timeout=within_s)
        return bool(done)

    def abort(self) -> None:
        """Give the connection up."""
        self._transport.abort()


@dataclass(frozen=True)
class Reader:
    """A server, or a proxy before one, that tells of each request by an answer."""

    name: str
    path: str
    """Of its unix socket: a stream a connection would use up the ports of the loopback."""

    async def sees(self, sent: bytes) -> list[Seen]:
        """Return the requests it took out of a stream, in order. Raises TimeoutError when it serves nobody any more."""
        talk = await self._say(sent)
        while not await talk.is_closed(LOOK_S):
            heard = len(talk.said)
            if not await (await self._say(END)).is_closed(WAIT_S):
                talk.abort()
                raise TimeoutError(f"{self.name} does not answer a request within {WAIT_S} s")
            if len(talk.said) == heard:
                talk.abort()
                break
        return [_seen(row) for row in _ROW.findall(talk.said)]

    async def _say(self, sent: bytes) -> _Talk:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    _, talk = await loop.create_unix_connection(lambda: _Talk(sent), self.path)
                except BlockingIOError:  # its backlog is full
                    await asyncio.sleep(0.01)
                else:
                    return talk


@lru_cache(4_096)
def _seen(row: bytes) -> Seen:
    told = json.loads(row)
    parts = urlsplit(told["p"])
    return told["m"], (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), told["b"]
