"""Requests over HTTP/1.1, one after the other, and who was asked. Virtual time."""

from __future__ import annotations

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import HashOn, Labels
from eventmesh.model.route import Forward, Route, WeightedCluster
from tests.unit.core.playbook import Peer, Playbook, snapshot
from tests.unit.core.requests import OK, status

MANY = tuple(Endpoint(f"10.0.0.{number}:80") for number in range(1, 6))


def hashing(cluster: Cluster, *parts: HashOn, subset: Labels = ()) -> Playbook:
    action = Forward((WeightedCluster(cluster.name, subset=subset),), hash_on=parts)
    return Playbook(snapshot(cluster, routes=(Route(RouteMatch(), action),)))


def asked(mesh: Playbook, *fields: str, path: str = "/") -> str:
    """Send one request and answer it; return who was asked."""
    client = mesh.connect()
    head = "".join(f"{field}\r\n" for field in fields)
    client.says(f"GET {path} HTTP/1.1\r\nHost: h\r\n{head}\r\n".encode())
    server = mesh.dialled() if mesh.dials else _busy(mesh)
    server.takes()
    server.says(OK)
    assert status(client) == 200
    client.half_closes()
    return server.address


def _busy(mesh: Playbook) -> Peer:
    return next(peer for peer in mesh.peers.values() if peer.heard and peer.address != "client")
