"""A control plane that others wrote: go-control-plane's cache and server (`tools/go-control-plane`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from tests.peers.tools import tool
from tests.waiting import WAIT_S


class GoControlPlane:
    """The process; `port` is where it serves ADS."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._sent = 0
        self.port = 0

    async def hear(self) -> list[str]:
        """Return the words of the next line that it says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = await self._process.stdout.readline()
        assert line, "the control plane has ended"
        return line.decode().split()

    async def answer_by(self, status: int) -> None:
        """Have the filter `faults` answer all requests by `status`, 0: none; return once that is acknowledged."""
        self._say("faults", str(status))
        # In state of the world what was refused is sent, and refused, over and over until there is something else.
        while await self.hear() != ["faults", str(self._sent)]:
            pass

    async def refusal_of(self, status: int) -> str:
        """The same with a status that the client refuses; return its words."""
        self._say("faults", str(status))
        while (said := await self.hear())[0] != "nack":
            pass
        return " ".join(said[2:])

    def _say(self, *words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(words).encode() + b"\n")
        self._sent += 1

    async def lead_to(self, cluster: str, port: int, kept: Iterable[str] = ()) -> None:
        """Send all requests to `cluster`, keep the clusters `kept`; return once the routes are acknowledged."""
        self._say(cluster, str(port), *kept)
        while (said := await self.hear()) != ["ack", str(self._sent)]:
            assert said[0] != "nack", said


@asynccontextmanager
async def go_control_plane(*flags: str) -> AsyncIterator[GoControlPlane]:
    """Run it until the block ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(tool("go-control-plane"), *flags, stdin=pipe, stdout=pipe)
    running = GoControlPlane(process)
    try:
        _, port = await running.hear()
        running.port = int(port)
        yield running
    finally:
        process.kill()
        await process.communicate()
