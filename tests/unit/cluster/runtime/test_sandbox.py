"""What a pod takes from its host, and gives back when it cannot have all of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from eventmesh.base.errors import UnavailableError
from eventmesh.cluster.runtime.adoption import left_pods
from eventmesh.cluster.runtime.cgroups import ControlGroups
from eventmesh.cluster.runtime.host import Host
from eventmesh.cluster.runtime.network import PodAddresses
from eventmesh.cluster.runtime.networks import NetworkStock
from eventmesh.cluster.runtime.notify import NotifySockets
from eventmesh.cluster.runtime.podspec import SIDECAR
from eventmesh.cluster.runtime.process import Process, ProcessLauncher, Survivor
from eventmesh.cluster.runtime.ready_groups import ReadyGroups
from eventmesh.cluster.runtime.sandbox import PodSandbox
from tests.manual_clock import ManualClock
from tests.waiting import WAIT_S

POD = {"metadata": {"name": "p", "uid": "u1"}, "spec": {"containers": [{"name": "app"}]}}


@asynccontextmanager
async def host(directory: Path, network_note: str) -> AsyncIterator[Host]:
    """A host whose launcher is gone, so that it has no namespaces, and that has one address left."""
    clock, launcher, addresses, notify = ManualClock(), ProcessLauncher.start(), PodAddresses.reserve(), NotifySockets()
    await launcher.stop()
    networks = NetworkStock(launcher, clock)
    last = addresses.take()
    with pytest.raises(UnavailableError):
        while True:
            addresses.take()
    addresses.give_back(last)
    unasked: Any = None
    try:
        yield Host(
            api=unasked,
            clock=clock,
            launcher=launcher,
            networks=networks,
            addresses=addresses,
            images=unasked,
            notify=notify,
            references=unasked,
            recorder=unasked,
            bootstrap=unasked,
            directory=directory,
            network_note=network_note,
            groups=ControlGroups({}),
            ready_groups=ReadyGroups(ControlGroups({}), launcher, clock),
        )
    finally:
        await networks.stop()
        notify.stop()
        addresses.close()


async def test_a_pod_that_finds_no_namespace_keeps_no_address(tmp_path: Path) -> None:
    async with host(tmp_path, "") as here:
        for _ in range(2):
            sandbox = PodSandbox(here, POD)
            with pytest.raises(UnavailableError, match="launcher"):
                await sandbox.open(lambda ready: None)
            await sandbox.close()
        here.addresses.take()


async def test_what_a_pod_has_is_for_the_next_when_it_is_gone(tmp_path: Path) -> None:
    async with host(tmp_path, "no namespaces here") as here:
        one, two = PodSandbox(here, POD), PodSandbox(here, POD)
        await one.open(lambda ready: None)
        assert Path(one.notify).is_socket() and one.network_of("app") is None
        assert [len(one.keep(name, (1, 2)).descriptors) for name in ("app", SIDECAR)] == [2, 3]
        with pytest.raises(UnavailableError):
            await two.open(lambda ready: None)
        await one.close()
        assert not Path(one.notify).exists()
        await two.open(lambda ready: None)
        assert two.place.address == one.place.address
        await two.close()


async def test_the_next_runtime_finds_the_pod_where_it_is_and_hears_what_was_told_meanwhile(tmp_path: Path) -> None:
    told: list[bool] = []
    async with host(tmp_path, "no namespaces here") as before, host(tmp_path, "no namespaces here") as here:
        one, two = PodSandbox(before, POD), PodSandbox(here, POD)
        await one.open(lambda ready: None)
        keep = one.keep(SIDECAR, ())
        # As the launcher has them: copies, which stay open when their first owner is gone.
        left = left_pods([Survivor(Process(0), keep.label, tuple(map(os.dup, keep.descriptors)))])["u1"]
        asyncio.get_running_loop().remove_reader(keep.descriptors[0])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sidecar:
            sidecar.sendto(b"READY=1", one.notify)
        two.adopt(left, told.append)
        async with asyncio.timeout(WAIT_S):
            while not told:
                await asyncio.sleep(0)
        assert (told, two.place, two.notify) == ([True], one.place, one.notify)
        await two.close()
        assert not Path(one.notify).exists()
