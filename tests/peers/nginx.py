"""nginx as a process: its servers are given in its own words, and it is told to reload as its users tell it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from tests.component.processes import program, until_listening
from tests.peers.tools import tool
from tests.waiting import WAIT_S

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    """A running master and its worker."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._master = psutil.Process(process.pid)

    async def reload(self) -> None:
        """Do what `nginx -s reload` does; return when the worker of before has given up its connections and is gone."""
        before = self._master.children()
        assert before, "no worker runs"
        self._master.send_signal(signal.SIGHUP)
        async with asyncio.timeout(WAIT_S):
            while any(worker.is_running() for worker in before):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def nginx(directory: Path, servers: str, ports: Collection[int]) -> AsyncIterator[Nginx]:
    """Run it with what stands in `http { }` for servers that listen on `ports`."""
    file = directory / "nginx.conf"
    folders = "".join(f"{name}_temp_path {directory}/{name};" for name in _TEMPORARY)
    file.write_text(
        f"daemon off; user root; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx.log crit;\n"
        f"events {{}}\nhttp {{ access_log off; client_max_body_size 8m; {folders}\n{servers}}}\n"
    )
    async with program(tool("nginx"), "-c", str(file)) as process:
        for port in ports:
            await until_listening(process, port, WAIT_S)
        try:
            yield Nginx(process)
        finally:
            # A master that is killed leaves its workers.
            process.terminate()
            await process.wait()
