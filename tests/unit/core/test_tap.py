"""Looking at exchanges as they pass: which, how many, how much of them. Virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.requests import OK

MILLION = 1_000_000


def terms(**more: object) -> bytes:
    return json.dumps({"millionths": MILLION, "most": 100, **more}).encode()


def tapped(**more: object) -> Playbook:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", via="gateway")))
    mesh.engine.tap(terms(**more))
    return mesh


def ask(mesh: Playbook, head: str = "GET /a?q HTTP/1.1", answer: bytes = OK, body: bytes = b"") -> None:
    client = mesh.connect()
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    client.says(f"{head}\r\nHost: shop:80\r\nX-User: bob\r\nx-request-id: 7\r\n{length}\r\n".encode() + body)
    for peer in mesh.dials[:]:
        mesh.dialled(peer.address)
    next(peer for peer in mesh.peers.values() if peer.address != "client" and peer.heard).takes()
    next(peer for peer in mesh.peers.values() if peer.address != "client").says(answer)
    client.takes()


def rows(mesh: Playbook) -> list[dict[str, Any]]:
    return [json.loads(row) for row in mesh.engine.take_tap()[0]]


def test_an_exchange_is_seen_whole() -> None:
    mesh = tapped(body_bytes=3)
    ask(mesh, "POST /a?q HTTP/1.1", b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello", b"12345")
    (row,) = rows(mesh)
    assert (row["method"], row["host"], row["path"], row["status"], row["flags"]) == (
        *("POST", "shop:80", "/a?q", 201),
        "-",
    )
    assert (row["listener"], row["peer"], row["cluster"], row["upstream"], row["route"]) == (
        *("in", "10.9.9.9:5", "up", "10.0.0.1:80"),
        "all",
    )
    assert (row["request_body"], row["response_body"], row["bytes_in"], row["bytes_out"]) == ("123", "hel", 5, 5)
    assert ["x-user", "bob"] in row["request_headers"] and ["x-a", "1"] in row["response_headers"]
    assert rows(mesh) == []


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        ({}, True),
        ({"method": "GET"}, True),
        ({"method": "POST"}, False),
        ({"host": "SHOP"}, True),
        ({"host": "sho"}, False),
        ({"path": "/a"}, True),
        ({"path": "/b"}, False),
        ({"headers": [["X-User", "bob"]]}, True),
        ({"headers": [["X-User", ""]]}, True),
        ({"headers": [["X-User", "eve"]]}, False),
        ({"headers": [["X-Other", ""]]}, False),
        ({"statuses": [200, 299]}, True),
        ({"statuses": [500, 599]}, False),
        ({"millionths": 0}, False),
        ({"without": ["in"]}, False),
    ],
)
def test_only_what_is_wanted_is_seen(wanted: dict[str, object], seen: bool) -> None:
    mesh = tapped(**wanted)
    ask(mesh)
    assert bool(rows(mesh)) is seen


def test_a_look_is_over_after_so_many_exchanges_and_unwanted_ones_do_not_count() -> None:
    mesh = tapped(most=2, statuses=[200, 200])
    ask(mesh, answer=b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
    for _ in range(3):
        assert mesh.engine.take_tap()[2] is False
        ask(mesh)
        if mesh.engine.take_tap()[2]:
            break
    assert mesh.engine.take_tap() == ([], 0, True)
    ask(mesh)
    assert rows(mesh) == []


def test_what_nobody_takes_is_bounded_and_the_loss_is_told() -> None:
    mesh = tapped(most=10_000, body_bytes=4096)
    for _ in range(300):
        ask(mesh, "POST /a HTTP/1.1", OK, bytes(4096))
    seen, lost, over = mesh.engine.take_tap()
    assert sum(map(len, seen)) <= 1024 * 1024 and len(seen) + lost == 300 and lost > 0 and not over


def test_answers_of_the_mesh_itself_are_seen_too() -> None:
    mesh = Playbook(snapshot(Cluster("up")))
    mesh.engine.tap(terms())
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    (row,) = rows(mesh)
    assert (row["status"], row["flags"], row["response_headers"]) == (503, "UH", [])


def test_a_tap_that_is_closed_or_replaced_leaves_exchanges_under_way_alone() -> None:
    mesh = tapped()
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    mesh.engine.untap()
    mesh.dialled().says(OK)
    assert mesh.engine.take_tap() == ([], 0, True)
    mesh.engine.tap(terms(most=1))
    assert mesh.engine.take_tap() == ([], 0, False)


@pytest.mark.parametrize("wrong", [b"{", b'{"no": 1}', terms(body_bytes=4097), terms(most=-1)])
def test_wrong_terms_are_refused_and_open_nothing(wrong: bytes) -> None:
    mesh = Playbook()
    with pytest.raises(ValueError, match="tap|body_bytes"):
        mesh.engine.tap(wrong)
    assert mesh.engine.take_tap() == ([], 0, True)
