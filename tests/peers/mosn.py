"""MOSN, the sidecar in Go that SOFARPC's users have, as a process before one server of Bolt.

No registry has it, built or as a Go module, so `make peers` cannot bring it: who has one says where.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.component.processes import program, until_listening
from tests.free_ports import free_port
from tests.waiting import WAIT_S


def found() -> str | None:
    """Return the path of MOSN from $EVENTMESH_MOSN or PATH; None when it is not at hand."""
    return os.environ.get("EVENTMESH_MOSN") or shutil.which("mosn")


def configuration(directory: Path, port: int, server_port: int, service: str | None = None) -> Path:
    """Write what MOSN reads: Bolt on `port` goes to `server_port`, of `service` or of any that names one.

    It routes by the frame's header map, as our listeners do. Connections that it gives up are told by its GoAway.
    """
    # It opens no port of administration unless it is told one.
    match = {"name": "service", "value": service} if service else {"name": "service", "value": ".*", "regex": True}
    route = {"match": {"headers": [match]}, "route": {"cluster_name": "server", "timeout": "20s"}}
    host = {"name": "all", "domains": ["*"], "routers": [route]}
    proxy = {
        "downstream_protocol": "bolt",
        "router_config_name": "bolt",
        "extend_config": {"bolt": {"enable_bolt_goaway": True}},
    }
    listener = {
        "name": "bolt",
        "address": f"127.0.0.1:{port}",
        "bind_port": True,
        "filter_chains": [{"filters": [{"type": "proxy", "config": proxy}]}],
    }
    server = {
        "default_log_path": str(directory / "mosn.log"),
        "default_log_level": "ERROR",
        "routers": [{"router_config_name": "bolt", "virtual_hosts": [host]}],
        "listeners": [listener],
    }
    hosts = [{"address": f"127.0.0.1:{server_port}"}]
    cluster = {"name": "server", "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN", "hosts": hosts}
    files = {"pid": str(directory / "mosn.pid"), "uds_dir": str(directory)}
    tree = {"disable_upgrade": True, **files, "servers": [server], "cluster_manager": {"clusters": [cluster]}}
    file = directory / "mosn.json"
    file.write_text(json.dumps(tree))
    return file


@dataclass(frozen=True, slots=True)
class Mosn:
    """A running MOSN."""

    process: asyncio.subprocess.Process
    port: int

    @property
    def address(self) -> str:
        """Where callers dial it."""
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def mosn(directory: Path, server_port: int) -> AsyncIterator[Mosn]:
    """Run it before the server at `server_port`, with its files in `directory`, until the block ends."""
    path, port = found(), free_port()
    assert path, "MOSN is neither on PATH nor in $EVENTMESH_MOSN"
    directory.mkdir()
    arguments = ("start", "--config", str(configuration(directory, port, server_port)))
    with (directory / "output.log").open("wb") as log:
        async with program(path, *arguments, stdout=log.fileno(), stderr=log.fileno()) as process:
            await until_listening(process, port, WAIT_S)
            yield Mosn(process, port)
