"""Roots in a Secret: one for all replicas, written by the one that leads."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from eventmesh.base.errors import UnavailableError
from eventmesh.base.x509 import key_pem
from eventmesh.kube.api import Api
from eventmesh.kube.resources import SECRET
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.root_secret import NAME, RootSecret
from eventmesh.xds.identity.roots import make_root
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE, SpiffeId
from tests.component.embedded_api import embedded
from tests.manual_clock import ManualClock
from tests.waiting import WAIT_S

ROBOT = SpiffeId("cluster.local", "shop", "robot")
HOUR_S = 3600.0


class Replica:
    """One process's authority, and the Secret as it knows it."""

    def __init__(self, api: Api, roots: RootSecret, clock: ManualClock, leading: list[bool]) -> None:
        self.api = api
        self.roots = roots
        self.leading = leading
        self.authority = OwnAuthority(roots, clock)

    @classmethod
    async def of(cls, api: Api, clock: ManualClock, *, leads: bool = False) -> Replica:
        leading = [leads]
        return cls(api, await RootSecret.open(api, clock, lambda: leading[0]), clock, leading)

    async def hears(self) -> bool:
        """Learn what is stored, as from a watch; return whether who is trusted differs by it."""
        stored = await self.api.get(SECRET, NAME, SYSTEM_NAMESPACE)
        assert self.roots.changed(None, stored)
        return self.authority.turn()


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with embedded(tmp_path) as running:
        yield running.in_process()


async def stored_numbers(api: Api, expected: int) -> list[str]:
    """Return the certificates in the Secret as soon as there are so many."""
    async with asyncio.timeout(WAIT_S):
        while True:
            data = (await api.get(SECRET, NAME, SYSTEM_NAMESPACE))["data"]
            names = sorted(name for name in data if name.endswith(".crt"))
            if len(names) == expected:
                return names
            await asyncio.sleep(0)


async def test_replicas_that_start_at_once_have_one_root(api: Api) -> None:
    clock = ManualClock()
    replicas = await asyncio.gather(*(Replica.of(api, clock) for _ in range(3)))
    assert len({replica.authority.bundle() for replica in replicas}) == 1
    signed = x509.load_pem_x509_certificate(replicas[0].authority.issue(ROBOT).chain.encode())
    signed.verify_directly_issued_by(x509.load_pem_x509_certificate(replicas[2].authority.bundle().encode()))


async def test_the_leader_replaces_the_root_and_the_others_follow(api: Api) -> None:
    clock = ManualClock()
    leader, follower = await Replica.of(api, clock, leads=True), await Replica.of(api, clock)
    with pytest.raises(UnavailableError, match="the one that holds the lease"):
        follower.authority.replace_root()
    old = follower.authority.bundle()
    leader.authority.replace_root()
    assert await stored_numbers(api, 2) == ["root-1.crt", "root-2.crt"]
    assert await follower.hears() and follower.authority.bundle() == leader.authority.bundle() != old
    await clock.advance(36 * HOUR_S)
    assert leader.authority.turn()
    assert await stored_numbers(api, 1) == ["root-2.crt"]
    await follower.hears()
    assert follower.authority.bundle() == leader.authority.bundle()
    assert old not in follower.authority.bundle()


async def test_who_becomes_the_leader_does_what_is_due(api: Api) -> None:
    clock = ManualClock()
    replica = await Replica.of(api, clock)
    due = replica.authority.next_turn()
    await clock.advance((due - clock.now()).total_seconds())
    assert not replica.authority.turn()
    replica.leading[0] = True
    assert replica.authority.turn()
    assert await stored_numbers(api, 2) == ["root-1.crt", "root-2.crt"]


async def test_a_root_that_could_not_be_stored_is_let_go(api: Api) -> None:
    clock = ManualClock()
    leader = await Replica.of(api, clock, leads=True)
    stored = await api.get(SECRET, NAME, SYSTEM_NAMESPACE)
    await api.replace(SECRET, {**stored, "metadata": {**stored["metadata"], "labels": {"touched": "yes"}}})
    old = leader.authority.bundle()
    leader.authority.replace_root()
    async with asyncio.timeout(WAIT_S):
        while not (leader.authority.turn() or leader.authority.bundle() == old):
            await asyncio.sleep(0)
    assert leader.authority.bundle() == old and await stored_numbers(api, 1) == ["root-1.crt"]
    await leader.hears()
    leader.authority.replace_root()
    assert await stored_numbers(api, 2) == ["root-1.crt", "root-2.crt"]


async def test_of_two_that_both_think_they_lead_the_first_one_wins_and_the_other_follows(api: Api) -> None:
    clock = ManualClock()
    first, second = await Replica.of(api, clock, leads=True), await Replica.of(api, clock, leads=True)
    first.authority.replace_root()
    await stored_numbers(api, 2)
    second.authority.replace_root()
    assert second.authority.bundle() != first.authority.bundle()
    async with asyncio.timeout(WAIT_S):
        while not second.authority.turn():
            await asyncio.sleep(0)
    await second.hears()
    assert second.authority.bundle() == first.authority.bundle()


async def test_a_damaged_secret_is_named_at_the_start_and_kept_out_later(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    replica = await Replica.of(api, clock)
    stored = await api.get(SECRET, NAME, SYSTEM_NAMESPACE)
    damaged = {**stored, "data": {**stored["data"], "root-1.key": base64.b64encode(b"no key").decode()}}
    damaged = await api.replace(SECRET, damaged)
    assert not replica.roots.changed(stored, damaged) and "former roots are kept" in caplog.text
    assert not replica.authority.turn()
    with pytest.raises(UnavailableError, match=r"eventmesh-system/eventmesh-ca: root-1\.key is no unencrypted PEM"):
        await Replica.of(api, clock)
    other = base64.b64encode(key_pem(make_root(7, clock.now()).key)).decode()
    damaged = await api.replace(SECRET, {**damaged, "data": {**stored["data"], "root-1.key": other}})
    with pytest.raises(UnavailableError, match=r"root-1\.crt is not the certificate of the key beside it"):
        await Replica.of(api, clock)
    await api.replace(SECRET, {**damaged, "data": {}})
    with pytest.raises(UnavailableError, match="holds no root"):
        await Replica.of(api, clock)
