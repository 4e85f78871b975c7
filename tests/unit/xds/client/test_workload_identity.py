"""A certificate is replaced in time, or when somebody asks; a key that cannot be made is tried again."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cli.control.bootstraps import Exchange, client_bootstrap
from eventmesh.model.tls import TlsCertificate
from eventmesh.xds.bootstrap import load_bootstrap
from eventmesh.xds.client.workload_identity import RENEW_FLOOR_S, Obtained, WorkloadIdentity, _new_key
from eventmesh.xds.translate.identity import OWN_SECRET
from eventmesh.xds.translate.tls import Secrets
from tests.manual_clock import ManualClock

HALF_LIFE_S = 100.0


class Exchanged(WorkloadIdentity):
    """One whose certificates are numbers, and last for ever."""

    made = 0

    async def _exchange(self, secrets: Secrets) -> Obtained:
        self.made += 1
        return Obtained(TlsCertificate(str(self.made), "key"), "roots", self._clock.monotonic() + HALF_LIFE_S)


class World:
    def __init__(self, identity: Exchanged, clock: ManualClock) -> None:
        self.identity = identity
        self.clock = clock
        self.brought: list[str] = []

    async def bring(self, secrets: Secrets) -> None:
        certificate = secrets[OWN_SECRET].certificate
        assert certificate is not None
        self.brought.append(certificate.chain)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    exchange = Exchange("127.0.0.1:18003", str(tmp_path / "token"), str(tmp_path / "roots"), strict=True)
    (tmp_path / "roots").write_text("")
    made = client_bootstrap("sidecar", "pod-1", "127.0.0.1:18002", "127.0.0.1:0", "default", exchange)
    (tmp_path / "b.json").write_text(json.dumps(made))
    bootstrap = load_bootstrap(tmp_path / "b.json")
    assert bootstrap.identity is not None
    world = World(Exchanged(bootstrap, bootstrap.identity, clock), clock)
    await world.identity.begin()
    tasks = TaskGroup("test")
    tasks.spawn("identity", world.identity.run(dict, world.bring))
    await clock.advance(0)
    yield world
    await tasks.stop()


async def test_a_certificate_is_replaced_at_half_of_its_life_and_not_before(world: World) -> None:
    await world.clock.advance(HALF_LIFE_S - 1)
    assert world.brought == []
    await world.clock.advance(1)
    assert world.brought == ["2"]
    await world.clock.advance(HALF_LIFE_S)
    assert world.brought == ["2", "3"]


async def test_a_certificate_is_replaced_when_somebody_asks_and_half_a_life_after_that(world: World) -> None:
    world.identity.renew()
    await world.clock.advance(0)
    assert world.brought == ["2"]
    await world.clock.advance(HALF_LIFE_S - 1)
    assert world.brought == ["2"]
    await world.clock.advance(1)
    assert world.brought == ["2", "3"]


async def test_the_authority_is_not_asked_for_more_than_one_certificate_a_second(world: World) -> None:
    for _ in range(50):
        world.identity.renew()
        await world.clock.advance(RENEW_FLOOR_S / 10)
    assert 5 <= len(world.brought) <= 6


async def test_a_process_that_cannot_be_started_is_a_failure_that_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(UnavailableError, match="no key was made: No such file"):
        await _new_key("spiffe://cluster.local/ns/shop/sa/robot")


async def test_a_process_that_makes_no_key_says_why_in_its_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho first >&2\necho out of entropy >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(UnavailableError, match="no key was made: out of entropy"):
        await _new_key("spiffe://cluster.local/ns/shop/sa/robot")
