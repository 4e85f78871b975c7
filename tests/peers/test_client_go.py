"""An informer of client-go, on which Kubernetes' own controllers stand, against the embedded API."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from eventmesh.cluster.api.server import ApiServer
from eventmesh.kube.api import Object
from eventmesh.kube.resources import CONFIG_MAP
from tests.component.embedded_api import Served, served
from tests.component.processes import program
from tests.peers.tools import tool
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

THERE_BEFORE = 600
"""More than a page of five hundred."""
PIPE = asyncio.subprocess.PIPE


def config_map(name: str, value: str = "1") -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}}


async def line(process: asyncio.subprocess.Process) -> list[str]:
    """Return the words of the next line."""
    assert process.stdout is not None
    async with asyncio.timeout(WAIT_S):
        return (await process.stdout.readline()).decode().split()


async def test_an_informer_has_what_there_is_and_hears_of_every_change(tmp_path: Path) -> None:
    async with served(tmp_path) as cluster:
        api = cluster.api.in_process()
        names = [f"m-{number:03}" for number in range(THERE_BEFORE)]
        for name in names:
            await api.create(CONFIG_MAP, config_map(name), "default")
        async with informer(cluster) as process:
            assert await line(process) == ["synced", *(f"default/{name}" for name in names)]
            await api.create(CONFIG_MAP, config_map("new"), "default")
            assert await line(process) == ["added", "new"]
            await api.patch(CONFIG_MAP, "new", {"data": {"a": "2"}}, "default")
            assert await line(process) == ["updated", "new"]
            await api.delete(CONFIG_MAP, "new", "default")
            assert await line(process) == ["deleted", "new"]


@pytest.mark.parametrize("forgotten", [False, True])
async def test_an_informer_hears_after_a_restart_of_what_it_has_missed(
    tmp_path: Path, forgotten: bool, unused_tcp_port: int
) -> None:
    async with served(tmp_path, unused_tcp_port) as cluster:
        api = cluster.api.in_process()
        await api.create(CONFIG_MAP, config_map("goes"), "default")
        async with informer(cluster) as process:
            assert await line(process) == ["synced", "default/goes"]
            await cluster.server.stop()
            await api.delete(CONFIG_MAP, "goes", "default")
            await api.create(CONFIG_MAP, config_map("comes"), "default")
            if forgotten:
                # Then its version is gone (410), and it begins with a list.
                cluster.api.store.compact(cluster.api.store.revision)
            again = ApiServer(cluster.api, ("127.0.0.1", unused_tcp_port), tmp_path / "tls")
            await again.start()
            try:
                assert sorted([await line(process), await line(process)]) == [["added", "comes"], ["deleted", "goes"]]
            finally:
                await again.stop()


def informer(cluster: Served) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    """Run `tools/kubectl/informer` on the namespace `default`."""
    return program(tool("client-go-informer"), str(cluster.kubeconfig), "default", stdin=PIPE, stdout=PIPE)
