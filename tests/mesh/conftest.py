"""Each test has a mesh of its own, and afterwards nothing of it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.mesh.processes import MeshProcess, gone


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[MeshProcess]:
    mesh = MeshProcess(tmp_path / "mesh")
    await mesh.start()
    try:
        yield mesh
        started = mesh.descendants()
        await mesh.stop()
        await gone(started)
    finally:
        mesh.close()
