"""`eventmesh up` as a process of its own, and a look at every process below it."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from eventmesh.kube.client import HttpApi
from eventmesh.kube.config import load_config
from tests.peers.command_line import Output
from tests.waiting import END_WAIT_S, WAIT_S

EVENTMESH = (sys.executable, "-m", "eventmesh.cli.main")

START_WAIT_S = 120.0
"""A start takes four seconds of processor time, which a machine busy with a build hands out slowly."""


@dataclass(frozen=True)
class Answer:
    """What the gateway answered."""

    status: int
    via: str
    body: str


class MeshProcess:
    """One `eventmesh up` on free ports."""

    def __init__(self, data_dir: Path, prefix: tuple[str, ...] = ()) -> None:
        """`prefix`: a command that executes ours in other surroundings."""
        self.data_dir = data_dir
        self._program = (*prefix, *EVENTMESH)
        self.output = data_dir.with_suffix(".out")
        self.gateway_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Return when it says that it is ready."""
        with open(self.output, "wb") as output:
            self._process = subprocess.Popen(
                [*self._program, "up", "--data-dir", str(self.data_dir), "--port", "0", "--gateway-port", "0"],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        async with asyncio.timeout(START_WAIT_S):
            while "Ctrl-C stops" not in (text := self.output.read_text()):
                assert self._process.poll() is None, text
                await asyncio.sleep(0.02)
        found = re.search(r"NAMESPACE\.localhost:(\d+)", text)
        assert found is not None
        self.gateway_port = int(found[1])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have it run meanwhile; afterwards nothing of it does."""
        try:
            await self.start()
            yield
            started = self.descendants()
            await self.stop()
            await gone(started)
        finally:
            self.close()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """Return the exit code once the process has ended by itself, or was killed."""
        assert self._process is not None
        return await asyncio.get_running_loop().run_in_executor(None, self._process.wait, END_WAIT_S)

    def close(self) -> None:
        """Leave nothing running, whatever a test did."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def descendants(self) -> set[int]:
        """Return every process that this mesh has started, and what those have started."""
        found = {self.pid}
        while more := {pid for parent in found for pid in _children(parent)} - found:
            found |= more
        return found - {self.pid}

    def names(self) -> list[str]:
        """Return the descendants as `ps` shows them."""
        return sorted(filter(None, map(_name, self.descendants())))

    def name(self, pid: int) -> str:
        """Return what `ps` shows of a process; nothing when it is gone."""
        return _name(pid)

    def named(self, name: str) -> list[int]:
        """Return the descendants that `ps` shows as `name`."""
        return [pid for pid in self.descendants() if _name(pid) == name]

    def add_image(self, name: str, directory: Path) -> None:
        """Run `eventmesh images add`."""
        command = [*self._program, "images", "add", name, str(directory), "--data-dir", str(self.data_dir)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    async def eventmesh(self, *words: str) -> Output:
        """Run one of our own commands against this mesh."""

        def run() -> Output:
            flags = ("--data-dir", str(self.data_dir), "--kubeconfig", str(self.kubeconfig))
            done = subprocess.run([*self._program, *words, *flags], capture_output=True, text=True, timeout=WAIT_S)
            return Output(done.returncode, done.stdout, done.stderr)

        return await asyncio.get_running_loop().run_in_executor(None, run)

    @asynccontextmanager
    async def api(self) -> AsyncIterator[HttpApi]:
        """The API over its port, as a client with the kubeconfig sees it."""
        api = HttpApi(await load_config(self.kubeconfig))
        try:
            yield api
        finally:
            await api.close()

    async def get(self, service: str, path: str = "/", timeout_s: float = WAIT_S) -> Answer:
        """Send a request for a service of the default namespace to the gateway; raises TimeoutError."""
        (answer,) = await self.get_many(service, 1, path, timeout_s)
        return answer

    async def get_many(self, service: str, count: int, path: str = "/", timeout_s: float = WAIT_S) -> list[Answer]:
        """Send the same request `count` times on one connection, one after the other."""
        return await self.ask(f"{service}.default.localhost", count, path, timeout_s)

    async def ask(
        self, host: str, count: int = 1, path: str = "/", timeout_s: float = WAIT_S, **headers: str
    ) -> list[Answer]:
        """Send the same request `count` times for a host; `X_Name` in `headers` is the header `X-Name`."""
        sent = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}

        def exchanges() -> list[Answer]:
            connection = http.client.HTTPConnection("127.0.0.1", self.gateway_port, timeout=timeout_s)
            try:
                return [exchange(connection) for _ in range(count)]
            finally:
                connection.close()

        def exchange(connection: http.client.HTTPConnection) -> Answer:
            connection.request("GET", path, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, response.getheader("via") or "", response.read().decode())

        return await asyncio.get_running_loop().run_in_executor(None, exchanges)


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a corpse that nobody has collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between open and read
        return False


async def gone(pids: set[int]) -> None:
    """Return when none of the processes is left."""
    async with asyncio.timeout(END_WAIT_S):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


async def called(pid: int, name: str) -> None:
    """Return once `ps` shows the process so: the kernel tells of an exec, by its closed pipe, a moment before."""
    async with asyncio.timeout(WAIT_S):
        while _name(pid) != name:
            await asyncio.sleep(0.005)


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found |= {int(word) for word in Path(f"/proc/{pid}/task/{task}/children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
