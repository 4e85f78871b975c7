"""The Java SOFABolt service and caller (tests/peers/java) as processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

JAR = Path(__file__).parent / "java" / "target" / "bolt-peer-1.jar"
ANSWER_WITHIN_S = 60
"""Longer than anything asked for here takes."""
LONGEST_LINE_BYTES = 1_048_576


class LineProcess:
    """A running program: a line in, a line out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read(self) -> str:
        """Return the next line that the program writes."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_WITHIN_S):
            line = await self._process.stdout.readline()
        assert line, "the program has ended"
        return line.decode().rstrip("\n")

    async def ask(self, line: str) -> str:
        """Write a line and return the one that answers it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        return await self.read()

    async def kill(self) -> None:
        """End it as a crash would."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def java(
    jar: Path, program: str, *arguments: str, properties: dict[str, str] | None = None
) -> AsyncIterator[LineProcess]:
    """Run a program of a peer's jar, whose libraries lie beside it."""
    assert jar.exists(), f"{jar} has not been built; run `make peers`"
    flags = ["-XX:TieredStopAtLevel=1", *(f"-D{name}={value}" for name, value in (properties or {}).items())]
    classes = ("-cp", f"{jar}:{jar.parent}/lib/*", f"eventmesh.peers.{program}")
    async with by_lines("java", *flags, *classes, *arguments) as running:
        yield running


@asynccontextmanager
async def by_lines(*command: str, env: Mapping[str, str] | None = None) -> AsyncIterator[LineProcess]:
    """Run a program that says READY, and is then driven by lines, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        limit=LONGEST_LINE_BYTES,
    )
    running = LineProcess(process)
    try:
        assert (await running.read()).startswith("READY")
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def service(port: int) -> AsyncIterator[LineProcess]:
    """Run the service on 127.0.0.1:PORT."""
    async with java(JAR, "BoltServer", str(port)) as running:
        yield running


@asynccontextmanager
async def caller(address: str, interface: str, *, heartbeat_ms: int = 15_000) -> AsyncIterator[LineProcess]:
    """Run a caller of `interface` that dials `address` and sends a heartbeat after `heartbeat_ms` of silence."""
    properties = {"bolt.tcp.heartbeat.interval": str(heartbeat_ms)}
    async with java(JAR, "BoltCaller", address, interface, properties=properties) as running:
        yield running
