"""Gateways that follow each other by hot restart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.component.processes import DataPlaneProcess, data_plane
from tests.waiting import END_WAIT_S, WAIT_S


def at_port(file: Path, port: int) -> Path:
    """Have the one listener of a bootstrap listen at a port that stays the same from process to process."""
    tree = json.loads(file.read_text())
    (listener,) = tree["static_resources"]["listeners"]
    listener["address"]["socket_address"]["port_value"] = port
    file.write_text(json.dumps(tree))
    return file


class Fleet:
    """All gateways of one bootstrap; the newest serves."""

    def __init__(self, file: Path, path: Path) -> None:
        self._file = file
        self._flags = ("--hot-restart", str(path))

    @asynccontextmanager
    async def next(self, workers: int = 1) -> AsyncIterator[DataPlaneProcess]:
        """Start another one; it is stopped at the end, unless one more has taken over."""
        async with data_plane("gateway", self._file, *self._flags, "--workers", str(workers)) as running:
            async with asyncio.timeout(WAIT_S):
                await running.hear("can be taken over from")
            yield running


async def ended(gateway: DataPlaneProcess) -> int:
    """Return the exit code of a gateway that ends."""
    async with asyncio.timeout(END_WAIT_S):
        await gateway.process.communicate()
    assert gateway.process.returncode is not None
    return gateway.process.returncode
