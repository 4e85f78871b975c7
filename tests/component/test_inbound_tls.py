"""How a workload's own listeners come to speak TLS as the listener `inbound` says, in a real data plane."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from eventmesh.base.clock import SystemClock
from eventmesh.base.errors import MeshError
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.access import AccessStep, Rbac, RuleAction, Rules
from eventmesh.model.listener import Listener
from eventmesh.model.policy import Filters
from eventmesh.model.route import RouteTable
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ServerTls, TlsCertificate
from eventmesh.xds.client.inbound import INBOUND, InboundTerms, on_terms
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.component.planes import LOOPBACK

OWN = Snapshot("", (Listener("inbound", LOOPBACK, "mine"), Listener("stat", LOOPBACK, "mine")), (RouteTable("mine"),))


def chosen(listener: str) -> bool:
    return listener.startswith("inbound")


class World:
    def __init__(self, directory: Path) -> None:
        self.authority = OwnAuthority(RootFiles(directory), SystemClock())
        self.first = self.tls()
        self.plane = DataPlane(SystemClock(), {}, own=on_terms(OWN, chosen, self.terms(self.first)))
        self.inbound = InboundTerms(self.plane, OWN, chosen, self.terms(self.first))

    def terms(self, tls: ServerTls) -> Listener:
        return Listener(INBOUND, "203.0.113.1:15006", INBOUND, tls=tls)

    def tls(self, *, permissive: bool = True) -> ServerTls:
        issued = self.authority.issue(SpiffeId("cluster.local", "shop", "cart"))
        return ServerTls((TlsCertificate(issued.chain, issued.key),), permissive=permissive)

    def spoken(self) -> dict[str, ServerTls | None]:
        return {listener.name: listener.tls for listener in self.plane.snapshot.listeners}


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.plane.start()
    yield world
    await world.plane.stop()


def told(tls: ServerTls | None, *more: Listener) -> Snapshot:
    """Return what control says: how inbound listeners speak, at an address where nobody could listen."""
    inbound = Listener(INBOUND, "203.0.113.1:15006", INBOUND, tls=tls)
    return Snapshot("1", (inbound, *more), (RouteTable(INBOUND),))


async def test_the_bootstraps_terms_hold_from_the_first_moment_and_for_chosen_listeners_alone(world: World) -> None:
    assert world.spoken() == {"inbound": world.first, "stat": None}


async def test_control_changes_them_and_nothing_listens_where_it_says(world: World) -> None:
    where = world.plane.addresses()
    strict = world.tls(permissive=False)
    await world.inbound.apply(told(strict))
    assert world.spoken() == {"inbound": strict, "stat": None}
    assert world.plane.addresses() == where


async def test_whom_control_lets_through_holds_for_chosen_listeners_alone(world: World) -> None:
    filters = Filters(access=(AccessStep("allow", Rbac(Rules(RuleAction.ALLOW))),))
    inbound = dataclasses.replace(world.terms(world.first), filters=filters)
    await world.inbound.apply(Snapshot("1", (inbound,), (RouteTable(INBOUND),)))
    assert {one.name: one.filters for one in world.plane.snapshot.listeners} == {"inbound": filters, "stat": None}


async def test_listeners_that_control_brings_for_the_function_speak_likewise(world: World) -> None:
    renewed = world.tls()
    await world.inbound.apply(told(renewed, Listener("inbound-frames", LOOPBACK, "mine")))
    assert world.spoken() == {"inbound": renewed, "inbound-frames": renewed, "stat": None}


async def test_they_stay_when_control_says_nothing_of_them_and_when_the_process_adds_something(world: World) -> None:
    renewed = world.tls()
    await world.inbound.apply(told(renewed))
    await world.inbound.apply(Snapshot("2"))
    assert world.spoken()["inbound"] == renewed
    more = dataclasses.replace(OWN, listeners=(*OWN.listeners, Listener("inbound-more", LOOPBACK, "mine")))
    await world.inbound.extend(more)
    assert world.spoken() == {"inbound": renewed, "stat": None, "inbound-more": renewed}


async def test_terms_that_the_engine_refuses_leave_the_former_ones_in_force(world: World) -> None:
    broken = ServerTls((TlsCertificate("no chain", "no key"),))
    with pytest.raises(MeshError):
        await world.inbound.apply(told(broken))
    await world.inbound.extend(OWN)
    assert world.spoken() == {"inbound": world.first, "stat": None}


def access(world: World) -> list[AccessStep]:
    (filters,) = (one.filters for one in world.plane.snapshot.listeners if one.name == "inbound")
    return list(filters.access) if filters is not None else []


NAMED, NOTHING = frozenset({INBOUND}), frozenset[str]()


async def test_first_terms_that_are_refused_let_nobody_in_until_others_are_live_or_none_are_said(world: World) -> None:
    await world.inbound.refused(NAMED, NOTHING)
    nobody = [AccessStep("closed", Rbac(Rules(RuleAction.ALLOW)))]
    assert access(world) == nobody and world.spoken()["inbound"] == world.first
    await world.inbound.apply(Snapshot("1"))
    await world.inbound.extend(OWN)
    await world.inbound.refused(NOTHING, NAMED)
    assert access(world) == nobody, "better ones are there, and wait for what they name"
    await world.inbound.refused(NOTHING, NOTHING)
    assert access(world) == [] and not world.inbound.is_closed


async def test_first_terms_that_wait_and_are_then_refused_let_nobody_in(world: World) -> None:
    await world.inbound.refused(NOTHING, NAMED)
    assert access(world) == []
    await world.inbound.refused(NAMED, NAMED)
    assert access(world) and world.inbound.is_closed
    await world.inbound.apply(told(world.first))
    assert access(world) == [] and not world.inbound.is_closed


@pytest.mark.parametrize("said_nothing", [True, False])
async def test_terms_that_are_refused_later_leave_the_former_ones_in_force(world: World, said_nothing: bool) -> None:
    if said_nothing:
        await world.inbound.refused(NOTHING, NOTHING)
    else:
        await world.inbound.apply(told(world.first))
    await world.inbound.refused(NAMED, NOTHING)
    assert access(world) == [] and not world.inbound.is_closed
