"""A request, its answer and two endpoints: what the engine's tests talk about."""

from __future__ import annotations

from eventmesh.model.cluster import Endpoint
from tests.unit.core.playbook import Peer

GET = b"GET / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
TWO = (Endpoint("10.0.0.1:80"), Endpoint("10.0.0.2:80"))


def status(peer: Peer) -> int:
    """Return the status of what the peer was sent last."""
    heard = peer.takes()
    assert heard, peer.mesh.dialogue()
    return int(heard.split(b" ", 2)[1])
