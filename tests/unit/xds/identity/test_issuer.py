"""Certificates in use, in virtual time: renewed in time, for those alone who want them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest_asyncio

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.identity.authority import Issued, OwnAuthority
from eventmesh.xds.identity.issuer import CONTROL_HOST, RETRY_S, Identities, Renewed
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.manual_clock import ManualClock

HOUR_S = 3600.0


class Fallible(OwnAuthority):
    """An authority that may be out of order."""

    broken = False

    def issue(self, spiffe_id: SpiffeId, host_names: tuple[str, ...] = ()) -> Issued:
        if self.broken:
            raise UnavailableError("out of order")
        return super().issue(spiffe_id, host_names)


class World:
    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.authority = Fallible(RootFiles(directory), self.clock)
        self.identities = Identities(self.authority, self.clock, "cluster.local", draw=lambda: 0.5)
        self.robot = self.identities.of("shop", "robot")
        self.wanted = {self.robot}
        self.told: list[tuple[float, Renewed]] = []
        self.identities.listen(
            lambda renewed: self.told.append((self.clock.monotonic() / HOUR_S, renewed)), self.wanted.__contains__
        )
        self.tasks = TaskGroup("test")
        self.tasks.spawn("identities", self.identities.run())


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.tasks.stop()


async def test_a_certificate_is_made_once_and_renewed_at_half_its_life(world: World) -> None:
    first = world.identities.current(world.robot)
    assert world.identities.current(world.robot) is first
    await world.clock.advance(12 * HOUR_S - 1)
    assert world.told == [] and world.identities.current(world.robot) is first
    await world.clock.advance(1)
    assert world.told == [(12.0, Renewed(frozenset({world.robot})))]
    second = world.identities.current(world.robot)
    assert second.issued_at - first.issued_at == timedelta(hours=12)
    assert (world.identities.renewals, world.identities.expiry(world.robot)) == (1, second.expires_at)
    await world.clock.advance(12 * HOUR_S)
    assert [at for at, _ in world.told] == [12.0, 24.0]


async def test_what_nobody_wants_any_more_is_let_go_and_made_anew_for_who_asks_next(world: World) -> None:
    first = world.identities.current(world.robot)
    world.wanted.clear()
    await world.clock.advance(12 * HOUR_S)
    assert world.told == [] and world.identities.expiry(world.robot) is None
    assert world.identities.current(world.robot).serial != first.serial


async def test_an_authority_out_of_order_is_asked_again_while_the_old_certificate_serves(world: World) -> None:
    first = world.identities.current(world.robot)
    world.authority.broken = True
    await world.clock.advance(13 * HOUR_S)
    assert world.told == [] and world.identities.current(world.robot) is first
    world.authority.broken = False
    await world.clock.advance(RETRY_S)
    assert len(world.told) == 1 and world.identities.current(world.robot) is not first


async def test_a_new_root_is_told_to_everybody_when_it_comes_and_when_the_old_one_goes(world: World) -> None:
    world.identities.current(world.robot)
    world.identities.replace_root()
    assert world.told == [(0.0, Renewed(roots=True))]
    world.told.clear()
    await world.clock.advance(48 * HOUR_S)
    assert [at for at, renewed in world.told if renewed.roots] == [12.0, 36.0]
    assert len([at for at, renewed in world.told if renewed.identities]) == 4


async def test_every_certificate_can_be_replaced_at_once(world: World) -> None:
    first, another = world.identities.current(world.robot), world.identities.of("shop", "other")
    world.identities.current(another)
    assert await world.identities.replace_certificates() == 2
    assert world.told == [(0.0, Renewed(frozenset({world.robot, another})))]
    assert world.identities.current(world.robot).serial != first.serial
    await world.clock.advance(11 * HOUR_S)
    assert len(world.told) == 1


async def test_control_is_known_by_a_host_name_too(world: World) -> None:
    issued = world.identities.current(world.identities.parts.control)
    assert CONTROL_HOST.encode() in _der(issued)


def _der(issued: Issued) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificate(issued.chain.encode()).public_bytes(Encoding.DER)
