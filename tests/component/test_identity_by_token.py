"""A sidecar that gets its certificate in exchange for a token: at the start, again and again, and under load."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from cryptography import x509

from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.client.workload_identity import RENEW_PAGE
from tests.component.planes import ask, backend
from tests.component.tls_client import met
from tests.component.token_world import TokenWorld, token_world
from tests.waiting import WAIT_S

ROBOT = "spiffe://cluster.local/ns/default/sa/robot"

IS_SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
ROTATIONS = 20 if IS_SOAK else 4
PAUSE_S = 3.0 if IS_SOAK else 1.0
"""Between two of them. Nothing hangs on it: the next one begins when the last has been met."""

LIFETIME = timedelta(hours=1)
"""Of certificates here, which are replaced because somebody asks for it and not because they end."""


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[TokenWorld]:
    async with token_world(tmp_path, LIFETIME) as world:
        yield world


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.UniformResourceIdentifier)


async def test_a_sidecar_waits_for_its_certificate_and_replaces_it_under_load_without_a_failed_handshake(
    world: TokenWorld,
) -> None:
    failed: list[object] = []
    serials: set[int] = set()
    async with backend() as user, world.sidecar(int(user.rpartition(":")[2])) as (process, address):
        async with asyncio.timeout(WAIT_S):
            # No token is there yet; then one for somebody else; then the right one.
            assert "cannot be read" in (await process.hear("no certificate"))["why"]
            await world.mount_token("somebody-else")
            while "audience eventmesh-ca" not in (await process.hear("no certificate"))["why"]:
                pass
            await world.mount_token()
            admin = (await process.hear("serving"))["admin"]
        shown, bundle = world.caller(), world.authority.bundle()
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    first = await met(address, shown, bundle, world.directory / "first")
                    break
                except (OSError, AssertionError):
                    await asyncio.sleep(0.02)
        assert names(first) == [ROBOT]
        serials.add(first.serial_number)

        async def call_for_ever() -> None:
            while True:
                try:
                    serials.add((await met(address, shown, bundle, world.directory / "caller")).serial_number)
                except (OSError, AssertionError) as error:
                    failed.append(error)

        tasks = TaskGroup("load")
        tasks.spawn("caller", call_for_ever())
        try:
            async with asyncio.timeout(WAIT_S + ROTATIONS * (PAUSE_S + WAIT_S)):
                for _ in range(ROTATIONS):
                    seen = len(serials)
                    assert (await ask(admin, f"/{RENEW_PAGE}", method="POST")).status == 200
                    while len(serials) == seen and not failed:
                        await asyncio.sleep(0.02)
                    await asyncio.sleep(PAUSE_S)
                assert (await ask(admin, f"/{RENEW_PAGE}")).status == 405
        finally:
            await tasks.stop()
        (client,) = world.bench.control.observer.status()["clients"]
    assert failed == []
    assert client["identity"] == ROBOT
    assert len(serials) > ROTATIONS
    assert world.metrics.certified > ROTATIONS and world.metrics.uncertified["token"] > 0


async def test_a_sidecar_that_waits_for_its_certificate_ends_when_it_is_told_to(world: TokenWorld) -> None:
    async with world.sidecar(1) as (process, _):
        async with asyncio.timeout(WAIT_S):
            await process.hear("no certificate")
            process.process.terminate()
            assert await process.process.wait() == 0
