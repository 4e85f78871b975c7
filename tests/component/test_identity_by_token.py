"""A sidecar that gets its certificate in exchange for a token: at the start, again and again, and under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio
from cryptography import x509

from eventmesh.base.tasks import TaskGroup
from tests.component.planes import backend
from tests.component.tls_client import met
from tests.component.token_world import TokenWorld, token_world

WAIT_S = 40.0
ROBOT = "spiffe://cluster.local/ns/default/sa/robot"

ROTATIONS = 1
LIFETIME = timedelta(seconds=16)
"""Of certificates here: they are renewed after 6 to 10 seconds, and then 6 are left for what takes a fifth of one on a
machine that does nothing else. `python -m benchmarks identity` has more rotations, and faster ones."""


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[TokenWorld]:
    async with token_world(tmp_path, LIFETIME) as world:
        yield world


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return found.get_values_for_type(x509.UniformResourceIdentifier)


async def test_a_sidecar_waits_for_its_certificate_and_then_renews_it_under_load_without_a_failure(
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
            await process.hear("serving")
        shown, bundle = world.caller(), world.authority.bundle()
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    first = await met(address, shown, bundle, world.directory / "first")
                    break
                except (OSError, AssertionError):
                    await asyncio.sleep(0.02)
        assert names(first) == [ROBOT]

        async def call_for_ever() -> None:
            while True:
                try:
                    serials.add((await met(address, shown, bundle, world.directory / "caller")).serial_number)
                except (OSError, AssertionError) as error:
                    failed.append(error)

        tasks = TaskGroup("load")
        tasks.spawn("caller", call_for_ever())
        try:
            async with asyncio.timeout(WAIT_S):
                while len(serials) <= ROTATIONS and not failed:
                    await asyncio.sleep(0.02)
        finally:
            await tasks.stop()
        (client,) = world.bench.control.observer.status()["clients"]
    assert failed == []
    assert client["identity"] == ROBOT
    assert world.metrics.certified > ROTATIONS and world.metrics.uncertified["token"] > 0


async def test_a_sidecar_that_waits_for_its_certificate_ends_when_it_is_told_to(world: TokenWorld) -> None:
    async with world.sidecar(1) as (process, _):
        async with asyncio.timeout(WAIT_S):
            await process.hear("no certificate")
            process.process.terminate()
            assert await process.process.wait() == 0
