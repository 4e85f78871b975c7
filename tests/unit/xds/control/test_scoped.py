"""Sidecars that see the same are told the same objects, and what follows change by change is what is made anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from eventmesh.xds.control.builder import ResourceBuilder, ResourceSets
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.mtls import MeshMtls
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.snapshot_cache import differences
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.authority import OwnAuthority
from eventmesh.xds.identity.issuer import Identities
from eventmesh.xds.identity.roots import RootFiles
from tests.manual_clock import ManualClock
from tests.unit.xds.control.dialogue import CDS, EDS, RDS
from tests.unit.xds.control.views import (
    ingress,
    namespace,
    path,
    pod,
    rule,
    serverless,
    service,
    slice_,
    split,
    within,
)

SERVICES = 40
TEAMS = ("shop", "bank", "dock")
NAMES = ("a", "b", "c")
STEPS = 40
BOLT = {"eventmesh.io/service-interfaces": "com.bank.Ledger:1.0"}


class Mesh:
    """A builder whose changes are taken in one by one, with identities."""

    def __init__(self, directory: Path) -> None:
        self.identities = Identities(OwnAuthority(RootFiles(directory), ManualClock()), ManualClock(), "cluster.local")
        self.watcher = Watcher()
        self.builder = self.empty()

    def empty(self) -> ResourceBuilder:
        return ResourceBuilder(Settings(), mtls=MeshMtls(self.identities))

    def audience(self, where: str, *, proves: bool, **labels: str) -> Audience:
        identity = self.identities.of(where, "default") if proves else None
        return Audience(Role.SIDECAR, where, labels=frozenset(labels.items()), identity=identity)

    def publish(self) -> None:
        self.builder.update(self.watcher.of, self.watcher.take_changed())


def large(directory: Path) -> Mesh:
    """Return a mesh of one namespace."""
    mesh = Mesh(directory)
    for number in range(SERVICES):
        mesh.watcher.service(None, within("shop", service(f"s-{number}", selector={"app": f"s-{number}"})))
        mesh.watcher.pod(None, within("shop", pod(f"p-{number}", app=f"s-{number}")))
        mesh.watcher.slice(None, within("shop", slice_(f"s-{number}", "10.0.0.1")))
    mesh.publish()
    return mesh


@pytest.mark.parametrize("proves", [False, True], ids=["no certificate", "a certificate"])
def test_sidecars_that_differ_in_their_labels_alone_are_told_the_same_objects(tmp_path: Path, proves: bool) -> None:
    mesh = large(tmp_path)
    one, other = (mesh.builder.sets(mesh.audience("shop", proves=proves, app=app)) for app in ("s-1", "s-2"))
    for type_ in (CDS, EDS, RDS):
        assert one[type_] is other[type_]


@pytest.mark.parametrize("proves", [False, True], ids=["no certificate", "a certificate"])
def test_a_moved_endpoint_is_all_that_a_sidecar_is_told(tmp_path: Path, proves: bool) -> None:
    mesh = large(tmp_path)
    audience = mesh.audience("shop", proves=proves)
    before = mesh.builder.sets(audience)
    mesh.watcher.slice(None, within("shop", slice_("s-7", "10.0.0.2")))
    mesh.builder.update(mesh.watcher.of, mesh.watcher.take_touched())
    assert mesh.builder.affects(audience)
    after = mesh.builder.sets(audience)
    assert differences(before[EDS], after[EDS]) == {"shop/s-7:80"}
    assert after[CDS] is before[CDS] and after[RDS] is before[RDS]


def test_a_namespace_whose_sidecars_have_gone_is_built_anew_for_those_who_come(tmp_path: Path) -> None:
    mesh = large(tmp_path)
    audience = mesh.audience("shop", proves=False)
    before = mesh.builder.sets(audience)
    for address in ("10.0.0.2", "10.0.0.3"):
        mesh.watcher.slice(None, within("shop", slice_("s-7", address)))
        mesh.builder.update(mesh.watcher.of, mesh.watcher.take_touched())
    after = mesh.builder.sets(audience)
    assert after[RDS] is not before[RDS], "nobody has asked in between: what was known is forgotten"
    assert differences(before[EDS], after[EDS]) == {"shop/s-7:80"}


def _steps(watcher: Watcher) -> list[Callable[[str, str, int], object]]:
    """Return what may happen in a namespace, to an object, with some number."""

    def routed(where: str, name: str, number: int) -> None:
        # Some hosts are wanted in several namespaces, and some Services are led to that come and go.
        host = f"{NAMES[number % 3]}.test" if number % 5 else f"{name}.{where}.test"
        one = rule(host, paths=[path(split(name if number % 7 else f"{name}-1"))], external=bool(number % 2))
        watcher.ingress(None, within(where, ingress(name, one, created=f"2026-01-0{number % 9 + 1}T00:00:00Z")))

    def gone(where: str, name: str, number: int) -> None:
        take, kind = [
            (watcher.ingress, ingress(name)),
            (watcher.service, service(name)),
            (watcher.slice, slice_(name)),
            (watcher.pod, pod(name, app=name)),
            (watcher.serverless, serverless(f"{name}-1")),
        ][number % 5]
        take(within(where, kind), None)

    def called_by_interface(where: str, name: str, number: int) -> None:
        port = {"name": "bolt", "port": 12200}
        watcher.service(None, within(where, service(name, port, annotations=BOLT, selector={"app": name})))

    return [
        routed,
        gone,
        lambda where, name, number: watcher.service(None, within(where, service(name, selector={"app": name}))),
        called_by_interface,
        lambda where, name, number: watcher.slice(None, within(where, slice_(name, f"10.0.0.{number % 250 + 1}"))),
        lambda where, name, number: watcher.serverless(None, within(where, serverless(f"{name}-1"))),
        lambda where, name, number: watcher.pod(None, within(where, pod(name, sidecar=bool(number % 3), app=name))),
        lambda where, name, number: watcher.namespace(
            None, namespace(where, ("", "bank/*", "bank/a, dock/b", "*/*")[number % 4])
        ),
    ]


def versions(sets: ResourceSets) -> dict[str, dict[str, str]]:
    return {type_.short: {name: one.version for name, one in sets[type_].items()} for type_ in (CDS, EDS, RDS)}


@pytest.mark.parametrize("seed", range(6))
def test_what_follows_change_by_change_is_what_is_made_anew(tmp_path: Path, seed: int) -> None:
    chance, mesh = Random(seed), Mesh(tmp_path)
    audiences = [mesh.audience(where, proves=proves) for where in TEAMS for proves in (False, True)]
    audiences += [Audience(Role.GATEWAY), Audience(Role.GATEWAY, identity=mesh.identities.parts.gateway)]
    audiences += [Audience(Role.ACTIVATOR)]
    known = {audience: mesh.builder.sets(audience) for audience in audiences}
    steps = _steps(mesh.watcher)
    for _ in range(STEPS):
        for _ in range(chance.randint(1, 3)):
            chance.choice(steps)(chance.choice(TEAMS), chance.choice(NAMES), chance.randrange(1_000))
        if chance.random() < 0.3:
            mesh.builder.update(mesh.watcher.of, mesh.watcher.take_touched())
            known |= {one: mesh.builder.sets(one) for one in filter(mesh.builder.affects, audiences)}
        mesh.publish()
        # As the publisher does: who is not concerned keeps what it had.
        known |= {one: mesh.builder.sets(one) for one in filter(mesh.builder.affects, audiences)}
        anew = mesh.empty()
        anew.update(mesh.watcher.of, mesh.watcher.everything())
        assert mesh.builder.conflicts == anew.conflicts
        for audience in audiences:
            assert versions(known[audience]) == versions(anew.sets(audience)), audience
