"""Meshes that speak the declared protocols of `docs/protocols/declarations`."""

from __future__ import annotations

from pathlib import Path

from eventmesh.core import Protocol
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.protocols.declaration import read_declaration
from tests.unit.core.playbook import Playbook

FOLDER = Path(__file__).parents[3] / "docs" / "protocols" / "declarations"


def declaration(name: str) -> Declaration:
    return read_declaration(FOLDER / f"{name}.yaml", name)


def protocol(name: str) -> Protocol:
    return Protocol(declaration(name).text)


def upstream(name: str, declared: str, address: str) -> Cluster:
    return Cluster(name, (Endpoint(address),), protocol=WireProtocol.FRAMED, declaration=declared)


def route(cluster: str, match: RouteMatch | None = None, timeout_s: float = 15.0) -> Route:
    return Route(match or RouteMatch(), Forward((WeightedCluster(cluster),), timeout_s=timeout_s), name=cluster)


def listening(declared: Declaration, hosts: tuple[VirtualHost, ...], *clusters: Cluster) -> Snapshot:
    listener = Listener("in", "", "t", WireProtocol.FRAMED, (declared,), access_log="log")
    return Snapshot("1", (listener,), (RouteTable("t", hosts),), clusters)


def mesh_of(name: str, *routes: Route, domains: tuple[str, ...] = ("*",)) -> Playbook:
    """One listener of the protocol; clusters `one` and `two`; every route given, or all to `one`."""
    clusters = (upstream("one", name, "10.0.0.1:1"), upstream("two", name, "10.0.0.2:1"))
    hosts = (VirtualHost("host", domains, routes or (route("one"),)),)
    return Playbook(listening(declaration(name), hosts, *clusters))


def every_cut(frame: bytes, name: str) -> None:
    """Assert that a mesh passes the frame on alike, cut at every byte: only the id differs."""
    for cut in range(1, len(frame)):
        mesh = mesh_of(name)
        caller = mesh.connect()
        caller.says(frame[:cut])
        assert not mesh.dials
        caller.says(frame[cut:])
        heard = mesh.dialled().takes()
        (seen,), used = protocol(name).frames(heard)
        assert (used, seen[1]) == (len(frame), 1)
        assert sum(a != b for a, b in zip(heard, frame, strict=True)) <= 8
