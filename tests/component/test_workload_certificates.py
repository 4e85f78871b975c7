"""Two data planes with certificates of an authority between them: who is served, who is refused, and what a rotation
costs while requests go on."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.plane import DataPlane
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tls import ClientTls, MatchKind, NameKind, NameMatch, ServerTls, TlsCertificate
from eventmesh.xds.identity.authority import Issued, OwnAuthority
from eventmesh.xds.identity.roots import RootFiles
from eventmesh.xds.identity.rotation import LIFETIME
from eventmesh.xds.identity.spiffe import SpiffeId
from tests.component.planes import ask, backend, proxy, running
from tests.component.tls_client import met
from tests.waiting import WAIT_S

SHOP, BANK = SpiffeId("cluster.local", "shop", "cart"), SpiffeId("cluster.local", "bank", "loans")
ROTATIONS = 20
CALLERS = 4


class Authorities:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.own = self.made("own")

    def made(self, name: str, lifetime: timedelta = LIFETIME) -> OwnAuthority:
        return OwnAuthority(RootFiles(self.directory / name), SystemClock(), lifetime)

    @property
    def bundle(self) -> str:
        return self.own.bundle()

    def expired(self, spiffe_id: SpiffeId) -> Issued:
        return self.made("own", timedelta(seconds=-1)).issue(spiffe_id)


@pytest.fixture
def authorities(tmp_path: Path) -> Authorities:
    return Authorities(tmp_path)


def certificate(issued: Issued) -> TlsCertificate:
    return TlsCertificate(issued.chain, issued.key)


def serving(upstream: str, issued: Issued, bundle: str) -> Snapshot:
    """Return the workload's own side: mTLS with anybody of the trust domain."""
    anybody = NameMatch(NameKind.URI, MatchKind.PREFIX, "spiffe://cluster.local/")
    tls = ServerTls((certificate(issued),), client_ca=bundle, require_client_certificate=True, client_names=(anybody,))
    plain = proxy(upstream)
    return dataclasses.replace(plain, listeners=(dataclasses.replace(plain.listeners[0], tls=tls),))


def calling(upstream: str, issued: Issued, bundle: str, wanted: SpiffeId = SHOP) -> Snapshot:
    """Return the caller's side: it shows `issued` and wants to meet `wanted`."""
    name = NameMatch(NameKind.URI, MatchKind.EXACT, str(wanted))
    tls = ClientTls(ca=bundle, names=(name,), certificate=certificate(issued))
    plain = proxy(upstream)
    return dataclasses.replace(plain, clusters=(dataclasses.replace(plain.clusters[0], tls=tls),))


def edge(plane: DataPlane) -> str:
    return plane.addresses()["edge"]


async def status(authorities: Authorities, shown_by_server: Issued, shown_by_client: Issued, bundle: str) -> int:
    """Return what a caller is answered across the two."""
    async with (
        backend() as function,
        running(serving(function, shown_by_server, bundle)) as workload,
        running(calling(edge(workload), shown_by_client, authorities.bundle)) as caller,
    ):
        return (await ask(edge(caller))).status


async def test_who_is_who_they_must_be_is_served(authorities: Authorities) -> None:
    shop, bank = authorities.own.issue(SHOP), authorities.own.issue(BANK)
    assert await status(authorities, shop, bank, authorities.bundle) == 200


async def test_a_certificate_that_has_expired_is_refused_on_both_sides(authorities: Authorities) -> None:
    own, bundle = authorities.own, authorities.bundle
    assert await status(authorities, authorities.expired(SHOP), own.issue(BANK), bundle) == 503
    assert await status(authorities, own.issue(SHOP), authorities.expired(BANK), bundle) == 503


async def test_another_workload_in_its_place_is_refused(authorities: Authorities) -> None:
    own = authorities.own
    assert await status(authorities, own.issue(BANK), own.issue(BANK), authorities.bundle) == 503


async def test_a_caller_of_another_trust_domain_is_refused(authorities: Authorities) -> None:
    foreign = authorities.own.issue(SpiffeId("other.mesh", "bank", "loans"))
    assert await status(authorities, authorities.own.issue(SHOP), foreign, authorities.bundle) == 503


async def test_a_root_that_is_not_trusted_any_more_is_refused(authorities: Authorities) -> None:
    own, old = authorities.own, authorities.made("old")
    assert await status(authorities, old.issue(SHOP), own.issue(BANK), authorities.bundle) == 503
    assert await status(authorities, own.issue(SHOP), old.issue(BANK), authorities.bundle) == 503
    both = authorities.bundle + old.bundle()
    assert await status(authorities, own.issue(SHOP), old.issue(BANK), both) == 200


async def test_twenty_rotations_under_load_fail_no_handshake(authorities: Authorities, tmp_path: Path) -> None:
    own = authorities.own
    answered: list[int] = []

    async def count(request: web.Request) -> web.Response:
        answered.append(1)
        return web.Response(text="here")

    async with backend(count) as function, running(serving(function, own.issue(SHOP), authorities.bundle)) as workload:
        shown = certificate(own.issue(BANK))
        address = edge(workload)
        failed: list[object] = []
        serials: set[int] = set()

        async def call_for_ever(number: int) -> None:
            while True:
                try:
                    certificate = await met(address, shown, authorities.bundle, tmp_path / str(number))
                    serials.add(certificate.serial_number)
                except (OSError, AssertionError) as error:
                    failed.append(error)

        tasks = TaskGroup("load")
        for number in range(CALLERS):
            tasks.spawn("caller", call_for_ever(number))
        for _ in range(ROTATIONS):
            shown = certificate(own.issue(BANK))
            renewed = serving(function, own.issue(SHOP), authorities.bundle)
            seen = len(serials)
            await workload.apply(dataclasses.replace(renewed, version=f"{seen}"))
            async with asyncio.timeout(WAIT_S):
                while len(serials) == seen:
                    await asyncio.sleep(0.001)
        await tasks.stop()
    assert failed == []
    assert len(serials) >= ROTATIONS and len(answered) >= ROTATIONS
