"""A real nats-server with JetStream, that can be killed and started again on the same files and the same port."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.component.processes import until_listening
from tests.free_ports import free_port
from tests.peers.tools import TOOLS

START_S = 60


class NatsServer:
    """One server; `sync` is what its configuration says of `sync_interval`."""

    engine = "nats"

    def __init__(self, directory: Path, *, sync: str = "always", more: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.monitor_port = free_port(), free_port()
        self.process: asyncio.subprocess.Process | None = None
        self._config = directory / "nats.conf"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor_port}"\n{more}\n'
            f'jetstream {{\n  store_dir: "{directory}/data"\n  sync_interval: {sync}\n}}\n'
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    def address(self, stream: str = "eventmesh") -> str:
        """Return the address of a store in a stream of its own."""
        return f"{self.url}/{stream}?monitor={self.monitor}"

    async def start(self, *before: str) -> None:
        """Start it, `before` in front of its command; return when it listens."""
        command = (*before, str(TOOLS / "nats-server"), "-c", str(self._config))
        null = asyncio.subprocess.DEVNULL
        self.process = await asyncio.create_subprocess_exec(*command, stdout=null, stderr=null, start_new_session=True)
        await until_listening(self.process, self.port, START_S)

    async def kill(self) -> None:
        """End it as a crash does."""
        process, self.process = self.process, None
        if process is not None:
            if process.returncode is None:
                # Whatever stands in front of it too.
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()


@asynccontextmanager
async def nats_server(directory: Path, *, sync: str = "always", more: str = "") -> AsyncIterator[NatsServer]:
    """Run a server until the block ends."""
    server = NatsServer(directory, sync=sync, more=more)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
