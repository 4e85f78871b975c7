"""Endpoints, limits and queues: who is served by whom, who waits, and what ends a wait. Virtual time."""

from __future__ import annotations

import pytest

from eventmesh.model.cluster import Balancing, Cluster, Endpoint
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, TWO, status

# ---- endpoints, limits, queues


def test_round_robin_takes_turns() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO)))
    for _ in range(4):
        mesh.connect().says(GET)
    assert sorted(peer.address for peer in mesh.dials) == ["10.0.0.1:80"] * 2 + ["10.0.0.2:80"] * 2


def test_the_connection_used_last_is_used_next() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1])))
    clients = [mesh.connect() for _ in range(2)]
    for client in clients:
        client.says(GET)
    first, second = mesh.dialled(), mesh.dialled()
    second.says(OK)
    first.says(OK)
    first.takes()
    clients[0].says(GET)
    assert first.heard


def test_requests_beyond_an_endpoints_limit_wait_in_order() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], max_requests_per_endpoint=1, max_pending=2)))
    clients = [mesh.connect() for _ in range(4)]
    for number, client in enumerate(clients):
        client.says(GET.replace(b"/ ", b"/%d " % number))
    assert mesh.engine.capacity("up") == (0, 1, 2)
    heard = clients[3].takes()
    assert heard.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in heard
    upstream = mesh.dialled()
    for number in range(3):
        assert upstream.takes().startswith(b"GET /%d " % number)
        upstream.says(OK)
        assert status(clients[number]) == 200
    assert mesh.engine.capacity("up") == (1, 0, 0) and not mesh.dials


def test_whoever_is_next_is_passed_over_until_it_has_a_free_slot() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO, max_requests_per_endpoint=1)))
    clients = [mesh.connect() for _ in range(4)]
    for client in clients[:2]:
        client.says(GET)
    free, busy = mesh.dialled(), mesh.dialled()
    assert free.address != busy.address
    # Turns alone would send every other of these to the busy one.
    for client in (clients[0], clients[2], clients[3]):
        free.says(OK)
        client.says(GET)
    assert mesh.engine.capacity("up") == (0, 2, 0) and not mesh.dials
    clients[0].says(GET)
    assert mesh.engine.capacity("up") == (0, 2, 1)


SHUFFLED = tuple(Endpoint(f"10.0.0.{number}:80") for number in (3, 1, 2))


def filled_first(slots: int, *endpoints: Endpoint) -> Snapshot:
    balancing = Balancing.FIRST_AVAILABLE
    return snapshot(Cluster("up", endpoints or SHUFFLED, balancing=balancing, max_requests_per_endpoint=slots))


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_the_first_pod_by_address_is_filled_before_the_next_is_used(slots: int) -> None:
    mesh = Playbook(filled_first(slots))
    for number in range(3 * slots):
        mesh.connect().says(GET)
        assert mesh.dials[-1].address == f"10.0.0.{number // slots + 1}:80"
    mesh.connect().says(GET)
    assert mesh.engine.capacity("up") == (0, 3 * slots, 1) and len(mesh.dials) == 3 * slots


def test_whoever_waits_gets_the_slot_that_is_free_first_whichever_pod_is_slow() -> None:
    mesh = Playbook(filled_first(1))
    clients = [mesh.connect() for _ in range(6)]
    for client in clients:
        client.says(GET)
    slow, quick, third = mesh.dialled(), mesh.dialled(), mesh.dialled()
    for client in clients[1:2] + clients[3:]:
        quick.says(OK)
        assert status(client) == 200
    assert mesh.engine.capacity("up") == (1, 2, 0)
    clients[1].says(GET)
    third.says(OK)
    slow.says(OK)
    assert [status(client) for client in (clients[0], clients[2])] == [200, 200]
    clients[0].says(GET)
    assert slow.takes().count(b"GET ") == 2, "the first by address is free again, and first again"


def test_a_pod_that_comes_takes_from_the_queue_and_one_that_goes_finishes_what_it_has() -> None:
    mesh = Playbook(filled_first(1, SHUFFLED[0]))
    clients = [mesh.connect() for _ in range(3)]
    for client in clients:
        client.says(GET)
    leaving = mesh.dialled()
    mesh.apply(filled_first(1, SHUFFLED[1]))
    coming = mesh.dialled()
    assert coming.address == "10.0.0.1:80" and mesh.engine.capacity("up")[2] == 1
    leaving.says(OK)
    assert status(clients[0]) == 200 and mesh.engine.capacity("up")[2] == 1, "its slot is nobody's any more"
    coming.says(OK)
    coming.says(OK)
    assert [status(client) for client in clients[1:]] == [200, 200]


def test_a_queue_is_announced_once_however_many_wait() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], hold=True, max_requests_per_endpoint=1)))
    for _ in range(5):
        mesh.connect().says(GET)
    assert [subject for _, subject in mesh.asked] == ["up"]
    upstream = mesh.dialled()
    for _ in range(5):
        upstream.says(OK)
    for _ in range(3):
        mesh.connect().says(GET)
    assert len(mesh.asked) == 2, "and once more when the next one begins"


def test_a_waiting_client_that_leaves_frees_its_place() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], max_requests_per_endpoint=1)))
    clients = [mesh.connect() for _ in range(3)]
    for client in clients:
        client.says(GET)
    clients[1].vanishes()
    assert mesh.engine.capacity("up") == (0, 1, 1)
    upstream = mesh.dialled()
    upstream.says(OK)
    upstream.says(OK)
    assert status(clients[2]) == 200


def test_a_cluster_has_no_more_connections_than_allowed() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], max_connections=1)))
    clients = [mesh.connect() for _ in range(2)]
    for client in clients:
        client.says(GET)
    assert len(mesh.dials) == 1
    upstream = mesh.dialled()
    upstream.says(OK)
    upstream.says(OK)
    assert [status(client) for client in clients] == [200, 200]


def test_an_idle_connection_makes_room_for_another_endpoint() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO, max_connections=1)))
    client = mesh.connect()
    client.says(GET)
    first = mesh.dialled()
    first.says(OK)
    client.takes()
    client.says(GET)
    assert first.events == ["close"]
    second = mesh.dialled()
    assert second.address != first.address
    second.says(OK)
    assert status(client) == 200


def test_a_connection_that_nobody_wants_any_more_serves_who_waits() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], max_connections=1)))
    one, two = mesh.connect(), mesh.connect()
    one.says(GET)
    two.says(GET)
    one.vanishes()
    upstream = mesh.dialled()
    upstream.says(OK)
    assert status(two) == 200


def held(**limits: int | float) -> Cluster:
    return Cluster("up", hold=True, **limits)  # type: ignore[arg-type]


def test_a_held_request_goes_on_when_an_endpoint_appears() -> None:
    mesh = Playbook(snapshot(held()))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\nContent-Length: 3\r\n\r\nabc")
    assert mesh.asked == [(mesh.asked[0][0], "up")] and mesh.engine.capacity("up") == (0, 0, 1)
    mesh.apply(snapshot(Cluster("up", TWO[:1], hold=True)))
    upstream = mesh.dialled()
    upstream.hears(b"POST / HTTP/1.1\r\nhost: h\r\nx-request-id: 1\r\ncontent-length: 3\r\n\r\nabc")
    upstream.says(OK)
    assert status(client) == 200 and mesh.engine.capacity("up") == (1, 0, 0)


def test_a_held_request_is_answered_in_time() -> None:
    mesh = Playbook(snapshot(held(hold_timeout_s=2), routes=(forward("up", timeout_s=0),)))
    client = mesh.connect()
    client.says(GET)
    mesh.passes(3)
    assert status(client) == 503 and mesh.engine.capacity("up") == (0, 0, 0)


def test_where_requests_can_wait_a_refused_connection_is_tried_again() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], hold=True)))
    clients = [mesh.connect(), mesh.connect()]
    clients[0].says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
    mesh.dials.pop().refuses()
    clients[1].says(GET)
    assert mesh.dials == [] and mesh.engine.capacity("up") == (0, 0, 2)
    mesh.passes(0.11)
    upstream, second = mesh.dialled(), mesh.dialled()
    assert upstream.takes().endswith(b"abc")
    for server, client in zip((upstream, second), clients, strict=True):
        server.says(OK)
        assert status(client) == 200


def test_an_endpoint_that_refuses_for_ever_holds_a_request_no_longer_than_any_other() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], hold=True, hold_timeout_s=2), routes=(forward("up", timeout_s=0),)))
    client = mesh.connect()
    client.says(GET)
    dials = 0
    while not client.heard:
        while mesh.dials:
            mesh.dials.pop().refuses()
            dials += 1
        mesh.passes(0.05)
        assert mesh.now < 1003
    assert status(client) == 503 and 10 <= dials <= 21


def test_while_one_endpoint_refuses_another_one_is_taken() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO, hold=True)))
    client = mesh.connect()
    client.says(GET)
    refusing = mesh.dials.pop()
    refusing.refuses()
    for _ in range(3):
        upstream = mesh.dialled()
        assert upstream.address != refusing.address
        upstream.says(OK)
        assert status(client) == 200
        upstream.vanishes()
        client.says(GET)


def test_a_held_request_can_be_answered_by_whoever_was_asked() -> None:
    mesh = Playbook(snapshot(held()))
    client = mesh.connect()
    client.says(GET)
    mesh.do(mesh.engine.answer(mesh.asked[0][0], ("reply", 503, "it cannot start"), mesh.now))
    assert client.takes().endswith(b"it cannot start")


def test_held_bytes_are_bounded() -> None:
    mesh = Playbook(snapshot(held(max_held_bytes=10)))
    clients = [mesh.connect() for _ in range(2)]
    for client in clients:
        client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabcdef")
    assert clients[0].heard == b"" and status(clients[1]) == 503
    mesh.apply(snapshot(Cluster("up", TWO[:1], hold=True)))
    assert mesh.dialled().takes().endswith(b"abcdef")


def test_a_held_body_pauses_its_client() -> None:
    mesh = Playbook(snapshot(held()))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 70_000)
    assert client.events == ["pause"]
