"""Starting, stopping, dying and coming back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from eventmesh.kube.resources import POD
from tests.mesh.objects import add_function, deploy, service
from tests.mesh.processes import EVENTMESH, MeshProcess, gone
from tests.waiting import WAIT_S


async def test_ctrl_c_stops_every_process_it_started(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
    started = mesh.descendants()
    assert len(started) >= 5  # launcher, gateway, activator, sidecar, function
    assert await mesh.stop(signal.SIGINT) == 0
    await gone(started)


async def test_down_stops_the_mesh_of_its_directory(mesh: MeshProcess) -> None:
    started = {mesh.pid, *mesh.descendants()}
    down = [*EVENTMESH, "down", "--data-dir", str(mesh.data_dir)]
    stopped = await run(down)
    assert (stopped.returncode, stopped.stdout.split(";")[0]) == (0, f"stopped the mesh on {mesh.data_dir}")
    assert await mesh.stop(0) == 0
    await gone(started)
    again = await run(down)
    assert (again.returncode, again.stdout) == (0, f"no mesh runs on {mesh.data_dir}\n")


async def test_kill_9_leaves_nothing_running(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
    started = mesh.descendants()
    await mesh.stop(signal.SIGKILL)
    await gone(started)


async def test_what_was_deployed_answers_again_after_a_restart(tmp_path: Path) -> None:
    mesh = MeshProcess(tmp_path / "mesh")
    try:
        await mesh.start()
        add_function(mesh, tmp_path / "hello")
        async with mesh.api() as api:
            await deploy(api, service("hello", min_scale="1"))
        first = await mesh.get("hello")
        await mesh.stop(signal.SIGKILL)
        await mesh.start()
        async with asyncio.timeout(WAIT_S):
            while (second := await mesh.get("hello")).status != 200:
                await asyncio.sleep(0.02)
        assert second.body != first.body
        assert second.body.split()[0] == first.body.split()[0]
        await mesh.stop()
    finally:
        mesh.close()


async def test_two_meshes_run_side_by_side(mesh: MeshProcess, tmp_path: Path) -> None:
    other = MeshProcess(tmp_path / "other")
    try:
        await other.start()
        for one in (mesh, other):
            add_function(one, tmp_path / "hello")
            async with one.api() as api:
                await deploy(api, service("hello", min_scale="1"))
                (pod,) = (await api.list(POD, "default")).items
                assert pod["status"]["conditions"]
        bodies = {(await mesh.get("hello")).body, (await other.get("hello")).body}
        assert len(bodies) == 2
        await other.stop()
        assert (await mesh.get("hello")).status == 200
    finally:
        other.close()


async def test_a_gateway_that_dies_is_replaced_and_serves_again(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello")
    async with mesh.api() as api:
        await deploy(api, service("hello", min_scale="1"))
    (gateway,) = mesh.named("eventmesh-gatew")
    os.kill(gateway, signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                if (await mesh.get("hello")).status == 200:
                    break
            except OSError:
                await asyncio.sleep(0.02)
    assert mesh.named("eventmesh-gatew") != [gateway]


async def test_a_port_that_is_taken_is_named_with_its_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        command = [*EVENTMESH, "up", "--data-dir", str(tmp_path), "--port", "0", "--gateway-port", port]
        ended = await run(command)
    assert ended.returncode == 3
    assert f"--gateway-port {port}" in ended.stderr


async def test_a_data_directory_in_use_is_named(mesh: MeshProcess) -> None:
    command = [*EVENTMESH, "up", "--data-dir", str(mesh.data_dir), "--port", "0", "--gateway-port", "0"]
    ended = await run(command)
    assert ended.returncode == 3
    assert str(mesh.data_dir) in ended.stderr


async def test_the_gateway_says_what_it_does(mesh: MeshProcess) -> None:
    file = mesh.data_dir / "run" / "gateway.json"
    admin = json.loads(file.read_text())["admin"]["address"]["socket_address"]
    reader, writer = await asyncio.open_connection(admin["address"], admin["port_value"])
    writer.write(b"GET /ready HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
    assert b"200" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    def wait() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)

    return await asyncio.get_running_loop().run_in_executor(None, wait)
