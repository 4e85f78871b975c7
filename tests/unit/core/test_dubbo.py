"""Dubbo 2 through the engine: calls as Java and dubbo2.js write them, and what happens when things go wrong."""

from __future__ import annotations

import struct

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import HeaderMatch, RouteMatch, TextKind
from eventmesh.model.route import Forward, HeaderEdits, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.playbook import Playbook, called, forward, snapshot

SERVICE = "com.shop.Orders"
ID = 0xF000_0000_0000_0001
UP = Cluster("up", (Endpoint("10.0.0.1:20880"),), protocol=WireProtocol.DUBBO)
READONLY = bytes.fromhex("dabba2000000000000000003000000020152")


def text(value: str) -> bytes:
    long = len(value) > 31
    return (bytes([0x30 | len(value) >> 8, len(value) & 0xFF]) if long else bytes([len(value)])) + value.encode()


def frame(flags: int, id_: int, body: bytes, status: int = 0) -> bytes:
    return b"\xda\xbb" + struct.pack(">BBQI", flags, status, id_, len(body)) + body


def call(id_: int, *, version: str = "1.0", method: str = "find", flags: int = 0xC2, **attachments: str) -> bytes:
    strings = ("2.0.2", SERVICE, version, method, "Ljava/lang/String;", "x")
    pairs = b"".join(text(word) for pair in attachments.items() for word in pair)
    return frame(flags, id_, b"".join(map(text, strings)) + b"H" + pairs + b"Z")


def value(id_: int, status: int = 20) -> bytes:
    return frame(0x02, id_, b"\x91" + text("answer"), status)


def error(id_: int, status: int, what: str) -> bytes:
    return frame(0x02, id_, b"S" + struct.pack(">H", len(what)) + what.encode(), status)


def id_of(data: bytes) -> int:
    return int.from_bytes(data[4:12], "big")


@pytest.mark.parametrize("cut", range(1, len(call(1)) + 1))
def test_calls_cut_anywhere_pass_with_their_id_swapped_and_come_back(cut: int) -> None:
    mesh = Playbook(snapshot(UP))
    caller = mesh.connect()
    caller.says(call(ID)[:cut])
    caller.says(call(ID)[cut:])
    server = mesh.dialled()
    heard = server.takes()
    assert heard == call(id_of(heard)) and id_of(heard) != ID
    server.says(value(id_of(heard))[:cut])
    server.says(value(id_of(heard))[cut:])
    caller.hears(value(ID))
    assert mesh.engine.active() == 0


def test_interface_method_version_and_group_choose_the_route() -> None:
    def to(address: str, *headers: HeaderMatch, path: str = "/") -> tuple[Route, Cluster]:
        route = Route(RouteMatch(path, headers=headers), Forward((WeightedCluster(address),)))
        return route, Cluster(address, (Endpoint(address),), protocol=WireProtocol.DUBBO)

    choices = [
        to("group", HeaderMatch("group", TextKind.EXACT, "b")),
        to("version", HeaderMatch("version", TextKind.PREFIX, "2.")),
        to("method", path=f"/{SERVICE}/save"),
        to("rest"),
    ]
    host = VirtualHost("orders", (SERVICE,), tuple(route for route, _ in choices))
    mesh = Playbook(
        Snapshot("1", (Listener("in", "", "t"),), (RouteTable("t", (host,)),), tuple(cluster for _, cluster in choices))
    )
    caller = mesh.connect()
    for data in (call(1, group="b"), call(2, version="2.1"), call(3, method="save"), call(4)):
        caller.says(data)
    assert [peer.address for peer in mesh.dials] == ["group", "version", "method", "rest"]


def test_readonly_is_obeyed_by_the_whole_endpoint_while_there_is_another() -> None:
    two = Cluster("up", (Endpoint("a"), Endpoint("b")), protocol=WireProtocol.DUBBO)
    mesh = Playbook(snapshot(two))
    caller = mesh.connect()
    caller.says(call(1) + call(2))
    servers = [mesh.dialled(), mesh.dialled()]
    going, staying = servers
    going.says(READONLY)
    waiting = going.takes()
    for number in range(3, 9):
        caller.says(call(number))
    assert going.heard == b"" and not mesh.dials and len(staying.takes()) == 7 * len(call(1))
    going.says(value(id_of(waiting)))
    assert id_of(caller.takes()) in (1, 2), "what was in flight is answered"
    assert going.events == ["close"]
    mesh.passes(10.1)
    caller.says(call(9) + call(10))
    assert [peer.address for peer in mesh.dials] == [going.address]


def test_the_only_endpoint_is_dialled_anew_after_readonly() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, call(1))
    server.says(READONLY)
    caller.says(call(2))
    assert mesh.dialled().takes() == call(1)


def test_a_drained_caller_is_told_to_go() -> None:
    mesh = Playbook(snapshot(UP, listener=Listener("in", "", "t", WireProtocol.DUBBO)))
    caller, server = called(mesh, call(1))
    mesh.do(mesh.engine.drain(mesh.now))
    caller.hears(frame(0xA2, 0, b"\x01R"))
    server.says(value(id_of(server.takes())))
    caller.hears(value(1))
    mesh.passes(1)
    assert caller.events == ["close"]


@pytest.mark.parametrize(
    ("event", "status", "what"),
    [
        ("nowhere", 60, "no route for this host and path"),
        ("late", 31, "upstream request timeout"),
        ("refused", 80, "upstream connect error or disconnect/reset before headers. reset reason: connection failure"),
        ("full", 100, "pending request queue full"),
        ("broken", 50, "upstream sent a malformed response"),
    ],
)
def test_errors_are_dubbos_statuses_with_a_text(event: str, status: int, what: str) -> None:
    limits = Cluster("up", UP.endpoints, protocol=WireProtocol.DUBBO, max_requests_per_endpoint=1, max_pending=0)
    routes = (forward("up") if event != "nowhere" else Route(RouteMatch("/other"), Forward((WeightedCluster("up"),))),)
    mesh = Playbook(snapshot(limits if event == "full" else UP, routes=routes))
    caller = mesh.connect()
    caller.says(call(ID, timeout="800"))
    match event:
        case "late":
            mesh.dialled()
            mesh.passes(0.7)
            assert caller.heard == b""
            mesh.passes(0.2)
        case "refused":
            mesh.dials.pop().refuses()
        case "broken":
            mesh.dialled().says(b"telnet\r\n")
        case "full":
            caller.says(call(ID + 1))
            return caller.hears(error(ID + 1, status, what))
    caller.hears(error(ID, status, what))


def test_oneway_calls_and_mock_events_are_not_answered() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, call(1, flags=0x82))
    assert server.takes() and mesh.engine.active() == 0
    caller.says(frame(0xA2, 3, b"\x01H"))
    caller.hears(b"")


def test_other_serializations_take_the_default_route() -> None:
    host = VirtualHost("any", (SERVICE,), (forward("up"),))
    mesh = Playbook(Snapshot("1", (Listener("in", "", "t"),), (RouteTable("t", (host,)),), (UP,)))
    caller = mesh.connect()
    caller.says(call(1, flags=0xD7))
    caller.hears(error(1, 60, "no route for this host and path"))
    mesh = Playbook(snapshot(UP))
    _, server = called(mesh, call(1, flags=0xD7))
    assert server.takes() == call(1, flags=0xD7)


def test_what_a_frame_cannot_carry_is_refused() -> None:
    edited = Route(RouteMatch(), Forward((WeightedCluster("up"),)), request_headers=HeaderEdits(set=(("a", "b"),)))
    with pytest.raises(ValueError, match="edits heads"):
        Playbook(snapshot(UP, routes=(edited,), listener=Listener("in", "", "t", WireProtocol.DUBBO)))
