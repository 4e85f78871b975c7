"""Bolt through the engine: frames as Java and Python peers send them, and what happens when things go wrong."""

from __future__ import annotations

import struct
import zlib

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import HeaderMatch, RouteMatch, TextKind
from eventmesh.model.route import (
    Converse,
    DirectResponse,
    Forward,
    HeaderEdits,
    Route,
    RouteTable,
    VirtualHost,
    WeightedCluster,
)
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.playbook import Playbook, called, forward, snapshot

HEARTBEAT = bytes.fromhex("01010000010000000501ffffffff0000000000000000")
HEARTBEAT_ACK = bytes.fromhex("0100000001000000050100000000000000000000")
SERVICE = "com.example.HelloService:1.0"
UP = Cluster("up", (Endpoint("10.0.0.1:12200"),), protocol=WireProtocol.BOLT)


def header_map(pairs: dict[str, str]) -> bytes:
    texts = [text.encode() for pair in pairs.items() for text in pair]
    return b"".join(struct.pack(">i", len(text)) + text for text in texts)


def request(id_: int, content: bytes = b"body", *, timeout_ms: int = 3000, kind: int = 1, **pairs: str) -> bytes:
    headers = header_map(pairs or {"service": SERVICE})
    lengths = struct.pack(">iHHi", timeout_ms, 4, len(headers), len(content))
    return bytes([1, kind, 0, 1, 1]) + struct.pack(">I", id_) + b"\x0b" + lengths + b"Clas" + headers + content


def response(id_: int, content: bytes = b"answer", status: int = 0) -> bytes:
    lengths = struct.pack(">HHHi", status, 3, 0, len(content))
    return bytes([1, 0, 0, 2, 1]) + struct.pack(">I", id_) + b"\x0b" + lengths + b"Cls" + content


def error(id_: int, status: int) -> bytes:
    return bytes([1, 0, 0, 2, 1]) + struct.pack(">I", id_) + b"\x0b" + struct.pack(">HHHi", status, 0, 0, 0)


def id_of(frame: bytes) -> int:
    return int.from_bytes(frame[5:9], "big")


def test_only_the_id_changes_on_the_way_and_comes_back_as_it_was() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(0xFFFFFFFE))
    heard = server.takes()
    assert heard == request(id_of(heard)) and id_of(heard) != 0xFFFFFFFE
    server.says(response(id_of(heard)))
    caller.hears(response(0xFFFFFFFE))
    assert mesh.engine.active() == 0


def test_callers_share_one_connection_and_answers_find_their_way_in_any_order() -> None:
    mesh = Playbook(snapshot(UP))
    one, server = called(mesh, request(7, b"one"))
    two = mesh.connect()
    two.says(request(7, b"two") + request(8, b"three"))
    assert not mesh.dials
    heard = server.takes()
    size = len(request(7, b"one"))
    ids = [id_of(heard), id_of(heard[size:]), id_of(heard[2 * size :])]
    assert len(set(ids)) == 3
    for upstream_id in reversed(ids):
        server.says(response(upstream_id, b"to %d" % upstream_id))
    one.hears(response(7, b"to %d" % ids[0]))
    two.hears(response(8, b"to %d" % ids[2]) + response(7, b"to %d" % ids[1]))


@pytest.mark.parametrize("cut", range(1, len(request(1)) + 3))
def test_frames_cut_anywhere_are_the_same_frames(cut: int) -> None:
    mesh = Playbook(snapshot(UP))
    stream = request(1) + HEARTBEAT + request(2)
    caller = mesh.connect()
    caller.says(stream[:cut])
    caller.says(stream[cut:])
    caller.hears(HEARTBEAT_ACK)
    heard = mesh.dialled().takes()
    size = len(request(1))
    assert heard == request(id_of(heard)) + request(id_of(heard[size:]))


def test_heartbeats_are_answered_on_both_sides_and_never_forwarded() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(1))
    server.takes()
    server.says(HEARTBEAT)
    server.hears(HEARTBEAT_ACK)
    caller.says(HEARTBEAT)
    caller.hears(HEARTBEAT_ACK)
    server.says(HEARTBEAT_ACK)
    assert server.heard == b"" and caller.heard == b""


def test_oneway_is_forwarded_and_never_answered() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(1, kind=2, timeout_ms=-1))
    heard = server.takes()
    assert heard == request(id_of(heard), kind=2, timeout_ms=-1)
    assert mesh.engine.active() == 0
    server.says(response(id_of(heard)))
    assert caller.heard == b"" and server.events == []
    nowhere = Playbook(snapshot(UP, routes=(forward("none"),)))
    caller = nowhere.connect()
    caller.says(request(1, kind=2))
    assert caller.heard == b"" and caller.events == []


def test_the_service_and_its_header_map_choose_the_route() -> None:
    other = Cluster("other", (Endpoint("10.0.0.2:12200"),), protocol=WireProtocol.BOLT)
    to_other = Forward((WeightedCluster("other"),))
    by_method = RouteMatch(headers=(HeaderMatch("sofa_head_method_name", TextKind.EXACT, "slow"),))
    host = VirtualHost("hello", (SERVICE,), (Route(by_method, to_other), forward("up")))
    config = Snapshot("1", (Listener("in", "", "t"),), (RouteTable("t", (host,)),), (UP, other))
    mesh = Playbook(config)
    caller = mesh.connect()
    caller.says(request(1, service=SERVICE, sofa_head_method_name="slow"))
    caller.says(request(2, service=SERVICE, sofa_head_method_name="fast"))
    assert [peer.address for peer in mesh.dials] == ["10.0.0.2:12200", "10.0.0.1:12200"]
    caller.says(request(3, service="com.example.Unknown:1.0"))
    caller.hears(error(3, 6))


def test_an_edited_header_map_keeps_the_frame_consistent() -> None:
    edits = HeaderEdits(set=(("zone", "a"),), remove=("old",))
    route = Route(RouteMatch(), Forward((WeightedCluster("up"),)), request_headers=edits)
    mesh = Playbook(snapshot(UP, routes=(route,)))
    _, server = called(mesh, request(1, service=SERVICE, old="x"))
    heard = server.takes()
    assert heard == request(id_of(heard), service=SERVICE, zone="a")


@pytest.mark.parametrize(("timeout_ms", "route_s", "after"), [(1000, 15.0, 1.0), (30_000, 2.0, 2.0), (-1, 3.0, 3.0)])
def test_the_shorter_of_the_frames_and_the_routes_timeout_counts(timeout_ms: int, route_s: float, after: float) -> None:
    mesh = Playbook(snapshot(UP, routes=(forward("up", timeout_s=route_s),)))
    caller, server = called(mesh, request(1, timeout_ms=timeout_ms))
    heard = server.takes()
    mesh.passes(after - 0.1)
    assert caller.heard == b""
    mesh.passes(0.2)
    caller.hears(error(1, 7))
    server.says(response(id_of(heard)))
    assert caller.heard == b"" and server.events == [], "the late answer is dropped, the connection lives"


def test_a_lost_server_answers_all_who_wait() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(1) + request(2))
    server.vanishes()
    heard = caller.takes()
    assert sorted([heard[:20], heard[20:]]) == [error(1, 0x10), error(2, 0x10)]
    assert caller.events == []


def test_no_endpoint_no_connection_and_overload_have_their_own_status() -> None:
    mesh = Playbook(snapshot(Cluster("up", protocol=WireProtocol.BOLT)))
    caller = mesh.connect()
    caller.says(request(1))
    caller.hears(error(1, 0x10))
    mesh = Playbook(snapshot(UP))
    caller = mesh.connect()
    caller.says(request(1))
    mesh.dials.pop().refuses()
    caller.hears(error(1, 0x10))
    busy = Cluster("up", UP.endpoints, protocol=WireProtocol.BOLT, max_requests_per_endpoint=1, max_pending=0)
    mesh = Playbook(snapshot(busy))
    caller = mesh.connect()
    caller.says(request(1) + request(2))
    caller.hears(error(2, 4))


def test_a_configured_answer_is_content() -> None:
    mesh = Playbook(snapshot(UP, routes=(Route(RouteMatch(), DirectResponse(200, "hi")),)))
    caller = mesh.connect()
    caller.says(request(1))
    caller.hears(error(1, 0)[:-4] + b"\x00\x00\x00\x02hi")


def test_garbage_closes_the_connection_and_harms_no_other() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(1))
    heard = server.takes()
    bad = mesh.connect()
    bad.says(request(1) + b"\x07garbage")
    assert bad.events == ["close"]
    server.says(response(id_of(heard)))
    caller.hears(response(1))
    assert mesh.engine.active() == 0


def test_a_frame_larger_than_allowed_is_refused_by_its_first_bytes() -> None:
    mesh = Playbook(snapshot(UP))
    caller = mesh.connect()
    caller.says(request(1)[:18] + struct.pack(">i", 8 * 1024 * 1024 + 1))
    assert caller.events == ["close"]


def test_a_caller_that_does_not_read_is_cut_off_alone() -> None:
    mesh = Playbook(snapshot(UP))
    slow, server = called(mesh, request(1, b"slow"))
    quick = mesh.connect()
    quick.says(request(1, b"fast"))
    heard = server.takes()
    slow.is_writable(False)
    slow_id, quick_id = id_of(heard), id_of(heard[len(request(1, b"slow")) :])
    server.says(response(slow_id, b"x" * 7_000_000))
    for number in range(2, 5):
        slow.says(request(number))
        server.says(response(id_of(server.takes()), b"x" * 7_000_000))
        assert "pause" not in server.events
    server.says(response(quick_id))
    quick.hears(response(1))
    assert slow.events == ["abort"] and server.events == []


def test_bolt_waits_for_capacity_like_any_other() -> None:
    held = Cluster("up", protocol=WireProtocol.BOLT, hold=True)
    mesh = Playbook(snapshot(held))
    caller = mesh.connect()
    caller.says(request(1))
    assert mesh.asked[0][1] == "up"
    mesh.apply(snapshot(Cluster("up", UP.endpoints, protocol=WireProtocol.BOLT, hold=True)))
    heard = mesh.dialled().takes()
    assert heard == request(id_of(heard))


def test_http_and_bolt_do_not_meet() -> None:
    mesh = Playbook(snapshot(UP))
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert client.takes().startswith(b"HTTP/1.1 502 ")


def test_header_fields_are_bounded() -> None:
    mesh = Playbook(snapshot(UP))
    caller = mesh.connect()
    pairs = {f"k{number}": "" for number in range(257)}
    caller.says(request(1, b"", timeout_ms=0, kind=1, **pairs))
    assert caller.events == ["close"] and not mesh.dials


def test_requests_on_one_connection_are_bounded() -> None:
    wide = Cluster("up", UP.endpoints, protocol=WireProtocol.BOLT, max_requests=0, max_connections=1, max_pending=1)
    mesh = Playbook(snapshot(wide))
    caller = mesh.connect()
    caller.says(request(0, b""))
    mesh.dialled()
    caller.says(b"".join(request(number, b"") for number in range(1, 65_537)))
    assert mesh.engine.capacity("up")[1:] == (65_536, 0)
    assert caller.takes()[:12] == error(65_536, 4)[:12], "on the caller's own connection"
    other = mesh.connect()
    other.says(request(1, b"") + request(2, b""))
    assert mesh.engine.capacity("up")[1:] == (65_536, 1)
    other.hears(error(2, 4))


def v2_request(id_: int, version: int = 2, switch: int = 1, content: bytes = b"body") -> bytes:
    headers = header_map({"service": SERVICE})
    head = bytes([2, version, 1, 0, 1, 1]) + struct.pack(">IBB", id_, 11, switch)
    frame = head + struct.pack(">iHHi", 3000, 4, len(headers), len(content)) + b"Clas" + headers + content
    return frame + (struct.pack(">I", zlib.crc32(frame)) if version == 2 and switch & 1 else b"")


def v2_error(id_: int, status: int, version: int = 2) -> bytes:
    return bytes([2, version, 0, 0, 2, 1]) + struct.pack(">IBBHHHi", id_, 11, 0, status, 0, 0, 0)


def test_versions_share_a_listener_and_never_a_connection_to_a_server() -> None:
    mesh = Playbook(snapshot(UP))
    caller = mesh.connect()
    frames = [request(5), v2_request(5, version=1), v2_request(5), v2_request(6)]
    caller.says(b"".join(frames))
    one, two, checked = mesh.dialled(), mesh.dialled(), mesh.dialled()
    assert not mesh.dials
    assert one.takes() == request(1)
    assert two.takes() == v2_request(1, version=1)
    assert checked.takes() == v2_request(1) + v2_request(2)


def test_a_wrong_checksum_fails_all_who_wait_and_never_becomes_a_right_one() -> None:
    mesh = Playbook(snapshot(UP))
    caller = mesh.connect()
    caller.says(v2_request(5) + v2_request(6))
    server = mesh.dialled()
    answer = bytes([2, 2, 0, 0, 2, 1]) + struct.pack(">IBBHHHi", 1, 11, 1, 0, 0, 0, 2) + b"ok"
    server.says(answer + struct.pack(">I", zlib.crc32(answer) ^ 1))
    assert server.events == ["close"]
    heard = caller.takes()
    assert sorted([heard[:22], heard[22:]]) == [v2_error(5, 9), v2_error(6, 9)]
    bad = mesh.connect()
    bad.says(v2_request(1)[:-1] + b"\0")
    assert bad.events == ["close"] and not mesh.dials


def test_an_error_of_sofarpc_counts_as_a_failure_in_every_version() -> None:
    mesh = Playbook(snapshot(UP, listener=Listener("in", "", "t", access_log="log")))
    caller = mesh.connect()
    caller.says(v2_request(5))
    server = mesh.dialled()
    headers = header_map({"sofa_head_response_error": "true"})
    answer = bytes([2, 2, 0, 0, 2, 1]) + struct.pack(">IBBHHHi", 1, 11, 1, 0, 0, len(headers), 2) + headers + b"no"
    server.says(answer + struct.pack(">I", zlib.crc32(answer)))
    theirs = answer[:6] + struct.pack(">I", 5) + answer[10:]
    caller.hears(theirs + struct.pack(">I", zlib.crc32(theirs)))
    ((_, log),) = mesh.engine.take_access_log()
    assert b' BOLT/2" 500 ' in log


def test_a_large_frame_in_pieces_is_never_waited_for_with_closed_ears() -> None:
    """Behind a request of HTTP/1 reading stops; a frame that is larger than what may lie there must go on."""
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(1))
    first = id_of(server.takes())
    large = b"x" * 300_000
    for piece in pieces(request(2, large)):
        caller.says(piece)
        assert "pause" not in caller.events
    second = id_of(server.takes())
    for piece in pieces(response(second, large)):
        server.says(piece)
        assert "pause" not in server.events
    caller.hears(response(2, large))
    server.says(response(first))
    caller.hears(response(1))


def test_a_large_frame_to_a_server_that_does_not_read_stops_its_caller_until_it_does() -> None:
    mesh = Playbook(snapshot(UP))
    caller, server = called(mesh, request(1))
    server.is_writable(False)
    caller.says(request(2, b"x" * 300_000))
    assert caller.events == ["pause"]
    server.is_writable(True)
    assert caller.events == ["pause", "resume"]


def test_a_frame_is_not_answered_piece_by_piece() -> None:
    mesh = Playbook(snapshot(UP, routes=(Route(RouteMatch(), Converse("talk")),)))
    caller = mesh.connect()
    caller.says(request(1))
    assert not mesh.conversing
    caller.hears(error(1, 6))


def pieces(frame: bytes) -> list[bytes]:
    return [frame[at : at + 50_000] for at in range(0, len(frame), 50_000)]
