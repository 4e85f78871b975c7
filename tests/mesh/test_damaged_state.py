"""A data directory that is damaged is named and left as it is; a mesh beside it is none the wiser."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from tests.mesh.processes import EVENTMESH, MeshProcess
from tests.waiting import WAIT_S

BROKER = "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {name: default}\n"
DAMAGE = b"this is no database" * 1_000


async def damaged(mesh: MeshProcess, part: str) -> Path:
    """Start the mesh and stop it again, and spoil one of its databases; return which file that is."""
    try:
        await mesh.start()
        await mesh.stop()
    finally:
        mesh.close()
    (database,) = (mesh.data_dir / part).rglob("*.db")
    for sibling in database.parent.glob(f"{database.name}-*"):
        sibling.unlink()
    database.write_bytes(DAMAGE)
    return database


async def test_a_damaged_database_of_objects_is_named_and_not_written_over(tmp_path: Path) -> None:
    mesh = MeshProcess(tmp_path / "mesh")
    database = await damaged(mesh, "store")

    def up() -> subprocess.CompletedProcess[str]:
        command = [*EVENTMESH, "up", "--data-dir", str(mesh.data_dir), "--port", "0", "--gateway-port", "0"]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)

    ended = await asyncio.get_running_loop().run_in_executor(None, up)
    assert ended.returncode == 3
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("eventmesh: ")
    assert str(database) in last
    assert database.read_bytes() == DAMAGE


async def test_a_mesh_whose_events_are_damaged_takes_none_in_and_goes_on(tmp_path: Path) -> None:
    manifest = tmp_path / "broker.yaml"
    manifest.write_text(BROKER)
    mesh = MeshProcess(tmp_path / "mesh")
    database = await damaged(mesh, "events")
    again = MeshProcess(mesh.data_dir)
    try:
        await again.start()
        assert (await again.get("nobody")).status == 404
        assert (await again.eventmesh("apply", "-f", str(manifest))).code == 0
        sent = await again.eventmesh("send", "--broker", "default", "--type", "t", "--data", "{}")
        assert sent.code != 0
        assert "503" in sent.err
        assert "eventmesh events repair" in sent.err
        await again.stop()
    finally:
        again.close()
    assert database.read_bytes() == DAMAGE
