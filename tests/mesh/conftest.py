"""The meshes of these tests: one for a test that breaks it, or one for a module whose tests only use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.mesh.processes import MeshProcess, gone
from tests.peers.command_line import CommandLine


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[MeshProcess]:
    """A mesh of the test's own; afterwards nothing of it runs."""
    mesh = MeshProcess(tmp_path / "mesh")
    async with mesh.running():
        yield mesh


@pytest.fixture(scope="module")
def shared_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    """One mesh for a module; its tests take names of their own, and any order. Afterwards nothing of it runs."""
    mesh = MeshProcess(tmp_path_factory.mktemp("shared") / "mesh")
    try:
        asyncio.run(mesh.start())
        yield mesh
        started = mesh.descendants()
        asyncio.run(mesh.stop())
        asyncio.run(gone(started))
    finally:
        mesh.close()


@pytest.fixture
def kn(shared_mesh: MeshProcess, tmp_path: Path) -> CommandLine:
    """kn, as a user of the shared mesh."""
    return CommandLine("kn", shared_mesh.kubeconfig, tmp_path)


@pytest.fixture
def kubectl(shared_mesh: MeshProcess, tmp_path: Path) -> CommandLine:
    """kubectl, as a user of the shared mesh."""
    return CommandLine("kubectl", shared_mesh.kubeconfig, tmp_path)
