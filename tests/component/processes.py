"""Real `eventmesh` processes for tests: started, waited for by what they say, ended by the test."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_NETWORK_FILTERS = "type.googleapis.com/envoy.extensions.filters.network"

START_TIMEOUT_S = 60
"""A process that has not said that it serves by then never will, on the slowest machine."""


class DataPlaneProcess:
    """A running `eventmesh sidecar` or `eventmesh gateway`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.addresses: dict[str, str] = {}
        self.lines: list[dict[str, str]] = []

    @property
    def pid(self) -> int:
        return self.process.pid

    async def hear(self, message: str) -> dict[str, str]:
        """Return the next log line whose message is `message`."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"msg": line.decode()}
            self.lines.append(entry)
            if entry.get("msg") == message:
                return dict(entry)
        raise AssertionError(f"the process ended without saying {message!r}: {self.lines}")

    def memory_kib(self, row: str) -> int:
        """Return a row of /proc/PID/status in KiB: VmRSS, VmHWM."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{row}:"):
                return int(line.split()[1])
        raise AssertionError(f"no {row} of process {self.pid}")


@asynccontextmanager
async def data_plane(
    command: str, bootstrap: Path, *flags: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[DataPlaneProcess]:
    """Run a data plane command until the block ends; it serves when the block begins."""
    process = await spawn(command, "--bootstrap", str(bootstrap), *flags, env=env)
    running = DataPlaneProcess(process)
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            entry = await running.hear("serving")
        running.addresses = {name: where for name, where in entry.items() if name not in ("ts", "level", "msg")}
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def program(
    *command: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command until the block ends; it is killed and its pipes are read out however the block ends.

    A process left behind by a test that is over is told as a failure of whichever test runs when it is collected.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def spawn(*words: str, env: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """Start `eventmesh WORDS` with its standard error piped."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "eventmesh.cli.main",
        *words,
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "EVENTMESH_LOG_FORMAT": "json", **(env or {})},
    )


def write_bootstrap(path: Path, upstream: str, *, access_log: str = "", http2: bool = False) -> Path:
    """Write an Envoy bootstrap that proxies one listener to `upstream`, with an admin port; return its path."""
    host, _, port = upstream.rpartition(":")
    manager: dict[str, object] = {
        "@type": f"{_NETWORK_FILTERS}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "route_config": {
            "name": "edge",
            "virtual_hosts": [
                {
                    "name": "any",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend", "timeout": "0s"}}],
                }
            ],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    if access_log:
        manager["access_log"] = [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": access_log,
                },
            }
        ]
    tree: dict[str, Any] = {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [
                {
                    "name": "edge",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                    "filter_chains": [
                        {
                            "filters": [
                                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "backend",
                    "type": "STATIC",
                    "connect_timeout": "10s",
                    "load_assignment": {
                        "cluster_name": "backend",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {
                                        "endpoint": {
                                            "address": {"socket_address": {"address": host, "port_value": int(port)}}
                                        }
                                    }
                                ]
                            }
                        ],
                    },
                }
            ],
        },
    }
    if http2:
        tree["static_resources"]["clusters"][0]["http2_protocol_options"] = {}
    path.write_text(json.dumps(tree))
    return path


async def until_listening(process: asyncio.subprocess.Process, port: int, within_s: float) -> None:
    """Return when somebody listens on `port`; a `process` that ends before that has failed."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                assert process.returncode is None, f"process {process.pid} ended with exit code {process.returncode}"
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
