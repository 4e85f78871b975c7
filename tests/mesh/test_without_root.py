"""A mesh of somebody who is not root: namespaces by user namespaces, and what is told of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from eventmesh.kube.resources import POD
from eventmesh.kube.status import condition
from tests.component.processes import program
from tests.mesh.objects import add_function, deploy, service
from tests.mesh.processes import EVENTMESH, MeshProcess
from tests.waiting import WAIT_S

SOMEBODY = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
"""To the kernel, one who owns root's files and has no capability; tests that do not run as root are one already."""

PROGRAM = """
import http.server, os
open("/tmp/eventmesh-mine", "x").close()
with open("/proc/self/status") as file:
    status = dict(line.split(":", 1) for line in file)
found = f"{os.listdir('/tmp')} {status['NoNewPrivs'].strip()}"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(found.encode())
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest_asyncio.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[MeshProcess]:
    mesh = MeshProcess(tmp_path / "mesh", SOMEBODY)
    async with mesh.running():
        yield mesh


async def test_a_function_is_ready_answers_and_is_as_confined_as_with_root(mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(mesh, tmp_path / "hello", program=PROGRAM)
    async with mesh.api() as api:
        await deploy(api, service("hello"))
        answer = await mesh.get("hello")
        (pod,) = (await api.list(POD, "default")).items
    assert answer.status == 200 and "'eventmesh-mine'" in answer.body and answer.body.endswith("] 1")
    assert not Path("/tmp/eventmesh-mine").exists()  # noqa: S108
    isolated = condition(pod, "eventmesh.io/NetworkIsolated")
    assert isolated is not None and isolated["status"] == "True"
    # Of the machine, and not of a cluster that a kubeconfig names.
    check = program(*SOMEBODY, *EVENTMESH, "check", "--data-dir", str(mesh.data_dir), stdout=asyncio.subprocess.PIPE)
    async with check as process, asyncio.timeout(WAIT_S):
        out, _ = await process.communicate()
    told = out.decode()
    assert "by user namespaces" in told and "no pasta or slirp4netns" in told
