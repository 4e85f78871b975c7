"""A sidecar that has stopped answering is named, and holds nobody up."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from eventmesh.kube.api import Object
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import KINGRESS, POD
from eventmesh.kube.status import condition, is_ready
from tests.component.planes import ask
from tests.mesh.objects import add_function
from tests.mesh.processes import MeshProcess
from tests.peers.command_line import CommandLine
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer


async def lagging(api: HttpApi, name: str) -> Object | None:
    """Return the condition that names who lags behind, of a KIngress that is Ready."""
    obj = await api.get(KINGRESS, name, "default")
    return condition(obj, "DataPlaneLagging") if is_ready(obj) else None


async def subscribed(admin: str) -> None:
    """Return when a sidecar has all that control has to say."""
    async with asyncio.timeout(WAIT_S):
        while (await ask(admin, "/ready")).status != 200:
            await asyncio.sleep(0.05)


async def test_kn_creates_a_service_while_a_sidecar_is_stopped(mesh: MeshProcess, tmp_path: Path) -> None:
    kn = CommandLine("kn", mesh.kubeconfig, tmp_path)
    add_function(mesh, tmp_path / "hello")
    await kn("service", "create", "stopped", "--image", "dev.local/hello", "--scale-min", "1")
    assert (await mesh.get("stopped")).status == 200
    async with mesh.api() as api:
        (pod,) = (await api.list(POD, "default")).items
        await subscribed(f"{pod['status']['podIP']}:15000")
        (sidecar,) = mesh.named("eventmesh-sidec")
        os.kill(sidecar, signal.SIGSTOP)
        try:
            printed = await kn("service", "create", "other", "--image", "dev.local/hello")
            assert "Ready to serve." in printed
            assert (await mesh.get("other")).status == 200
            async with asyncio.timeout(WAIT_S):
                while (found := await lagging(api, "other")) is None:
                    await asyncio.sleep(0.05)
            assert (found["status"], found["severity"]) == ("True", "Info")
            assert pod["metadata"]["name"] in found["message"]
        finally:
            os.kill(sidecar, signal.SIGCONT)
        async with asyncio.timeout(WAIT_S):
            while await lagging(api, "other") is not None:
                await asyncio.sleep(0.05)
