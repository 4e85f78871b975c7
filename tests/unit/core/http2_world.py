"""A mesh of HTTP/2, a caller, and the servers it dials. Virtual time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.route import Route
from eventmesh.model.tracing import Tracing
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, forward, snapshot

MANY = tuple(f"10.0.0.{number}:1" for number in range(1, 6))


def cluster(name: str = "up", *addresses: str, **terms: object) -> Cluster:
    endpoints = tuple(map(Endpoint, addresses or MANY[:1]))
    return Cluster(name, endpoints, protocol=WireProtocol.HTTP2, **terms)  # type: ignore[arg-type]


class World:
    """A mesh, a caller, and whatever servers it dials."""

    def __init__(self, *clusters: Cluster, routes: Sequence[Route] = (), tracing: Tracing | None = None) -> None:
        listener = Listener("in", "", "t", WireProtocol.HTTP2, access_log="log", tracing=tracing)
        chosen = tuple(routes) or (forward(clusters[0].name),)
        config = snapshot(routes=chosen, listener=listener)
        self.mesh = Playbook(dataclasses.replace(config, clusters=clusters))
        self.caller = Http2Peer(self.mesh.connect(), is_client=True)
        self.servers: dict[str, Http2Peer] = {}
        self.answered: set[tuple[str, int]] = set()

    def asks(self, path: str = "/", **fields: str) -> int:
        """Send a request; return its stream."""
        return self.caller.request(path, fields=tuple(fields.items()), body=b"")

    def asked(self) -> list[tuple[str, int]]:
        """Return who has been asked what and not answered yet: address and stream."""
        while self.mesh.dials:
            fresh = self.mesh.dialled()
            self.servers[fresh.address] = Http2Peer(fresh, is_client=False)
        for server in self.servers.values():
            server.exchange()
        streams = [(address, number) for address, server in self.servers.items() for number in server.streams]
        return [one for one in streams if one not in self.answered]

    def answers(self, one: tuple[str, int], status: int = 200) -> None:
        """Answer a request, and let the caller hear it."""
        self.answered.add(one)
        self.servers[one[0]].respond(one[1], status, body=b"answer")
        self.caller.exchange()

    def one_at_a_time(self, count: int, path: str = "/", **fields: str) -> list[str]:
        """Send requests one after the other, each answered; return who was asked."""
        found = []
        for _ in range(count):
            stream = self.asks(path, **fields)
            (one,) = self.asked()
            self.answers(one)
            assert self.status(stream) == 200
            found.append(one[0])
        return found

    def status(self, stream: int) -> int:
        """Return what a request has been answered, or 0."""
        self.caller.exchange()
        heard = self.caller.streams.get(stream)
        return int(heard.head[":status"]) if heard and heard.head else 0
