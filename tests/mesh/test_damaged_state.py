"""A data directory that is damaged is named and left as it is; a mesh beside it is none the wiser."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.mesh.processes import EVENTMESH, MeshProcess

DAMAGE = b"this is no database" * 1_000


@pytest.mark.parametrize("part", ["store", "events"])
async def test_a_damaged_database_is_named_and_not_written_over(tmp_path: Path, part: str) -> None:
    mesh = MeshProcess(tmp_path / "mesh")
    try:
        await mesh.start()
        await mesh.stop()
    finally:
        mesh.close()
    (database,) = (mesh.data_dir / part).rglob("*.db")
    for sibling in database.parent.glob(f"{database.name}-*"):
        sibling.unlink()
    database.write_bytes(DAMAGE)

    def up() -> subprocess.CompletedProcess[str]:
        command = [*EVENTMESH, "up", "--data-dir", str(mesh.data_dir), "--port", "0", "--gateway-port", "0"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=40)

    ended = await asyncio.get_running_loop().run_in_executor(None, up)
    assert ended.returncode == 3
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("eventmesh: ")
    assert str(database) in last
    assert database.read_bytes() == DAMAGE
