"""What is hashed of a request, and that what is hashed alike goes to one endpoint. Virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.model.cluster import Balancing, Cluster
from eventmesh.model.listener import WireProtocol
from eventmesh.model.policy import HashOn, HashPart
from tests.unit.core.balanced import MANY, asked, hashing
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.test_bolt import SERVICE, id_of, request, response

USER = HashOn(HashPart.HEADER, "x-user")
FIRST, SECOND = HashOn(HashPart.HEADER, "x-a"), HashOn(HashPart.HEADER, "x-b")


@pytest.mark.parametrize("policy", [Balancing.RING_HASH, Balancing.MAGLEV])
@pytest.mark.parametrize(
    ("part", "field", "path"),
    [
        (USER, "X-User: {}", "/"),
        (HashOn(HashPart.COOKIE, "session"), 'Cookie: a=b; session="{}"', "/"),
        (HashOn(HashPart.QUERY, "user"), "X-Other: 1", "/p?a=b&user={}"),
    ],
)
def test_what_is_hashed_alike_goes_to_one_endpoint_and_all_get_some(
    policy: Balancing, part: HashOn, field: str, path: str
) -> None:
    mesh = hashing(Cluster("up", MANY, balancing=policy), part)
    homes = {user: asked(mesh, field.format(user), path=path.format(user)) for user in range(60)}
    assert set(homes.values()) == {endpoint.address for endpoint in MANY}
    assert all(asked(mesh, field.format(user), path=path.format(user)) == home for user, home in homes.items())


def test_the_client_s_address_can_be_hashed() -> None:
    mesh = hashing(Cluster("up", MANY, balancing=Balancing.MAGLEV), HashOn(HashPart.SOURCE_IP))
    assert len({asked(mesh) for _ in range(10)}) == 1


def test_parts_are_mixed() -> None:
    mixed = hashing(Cluster("up", MANY, balancing=Balancing.RING_HASH), FIRST, SECOND)
    assert len({asked(mixed, "X-A: 1", f"X-B: {n}") for n in range(20)}) > 1


def test_a_terminal_part_ends_the_mixing_where_a_request_has_it() -> None:
    terminal = HashOn(HashPart.HEADER, "x-a", terminal=True)
    ended = hashing(Cluster("up", MANY, balancing=Balancing.RING_HASH), terminal, SECOND)
    assert len({asked(ended, "X-A: 1", f"X-B: {n}") for n in range(20)}) == 1
    assert len({asked(ended, f"X-B: {n}") for n in range(20)}) > 1


def test_without_anything_to_hash_endpoints_are_drawn() -> None:
    mesh = hashing(Cluster("up", MANY, balancing=Balancing.RING_HASH), USER)
    assert len({asked(mesh) for _ in range(40)}) == len(MANY)


def test_grpc_calls_are_hashed_by_their_headers() -> None:
    mesh = hashing(Cluster("up", MANY, balancing=Balancing.MAGLEV, protocol=WireProtocol.HTTP2), USER)
    client = Http2Peer(mesh.connect(), is_client=True)
    for _ in range(5):
        client.request("/s/m", method="POST", fields=(("x-user", "7"), ("content-type", "application/grpc")), body=b"")
    assert len(mesh.dials) == 1


def test_bolt_requests_are_hashed_by_their_headers_however_these_are_capitalized() -> None:
    mesh = hashing(Cluster("up", MANY, balancing=Balancing.MAGLEV, protocol=WireProtocol.BOLT), USER)
    caller = mesh.connect()
    pairs: dict[str, Any] = {"service": SERVICE, "X-User": "7"}
    for _ in range(5):
        caller.says(request(1, **pairs))
    server = mesh.dialled()
    assert not mesh.dials
    server.says(response(id_of(server.takes())))
    caller.hears(response(1))
