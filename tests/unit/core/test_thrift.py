"""Framed Thrift by its declaration: 32-bit sequence numbers, routes by method name, TApplicationException."""

from __future__ import annotations

import struct

from eventmesh.model.match import RouteMatch
from tests.unit.core.declared import every_cut, mesh_of, protocol, route
from tests.unit.core.playbook import called

CALL, REPLY, EXCEPTION, ONEWAY = 1, 2, 3, 4


def text(value: str) -> bytes:
    return struct.pack(">I", len(value)) + value.encode()


def message(name: str, seqid: int, kind: int = CALL, fields: bytes = b"\0") -> bytes:
    body = b"\x80\x01\0" + bytes([kind]) + text(name) + struct.pack(">I", seqid) + fields
    return struct.pack(">I", len(body)) + body


def exception(name: str, seqid: int, what: str, kind: int) -> bytes:
    fields = b"\x0b\0\x01" + text(what) + b"\x08\0\x02" + struct.pack(">i", kind) + b"\0"
    return message(name, seqid, EXCEPTION, fields)


def seqid_of(data: bytes, name: str) -> int:
    return int.from_bytes(data[12 + len(name) : 16 + len(name)], "big")


def test_clients_that_all_use_the_same_number_share_one_connection() -> None:
    mesh = mesh_of("thrift")
    one, server = called(mesh, message("ping", 0))
    two = mesh.connect()
    two.says(message("ping", 0))
    assert not mesh.dials
    heard = server.takes()
    size = len(message("ping", 0))
    first, second = seqid_of(heard, "ping"), seqid_of(heard[size:], "ping")
    assert first != second
    server.says(message("ping", second, REPLY, b"two\0") + message("ping", first, REPLY, b"one\0"))
    one.hears(message("ping", 0, REPLY, b"one\0"))
    two.hears(message("ping", 0, REPLY, b"two\0"))


def test_frames_cut_at_every_byte_are_the_same_frames() -> None:
    every_cut(message("orders:find", 0x7FFF_FFF0, fields=b"\x08\0\x01\0\0\0\x05\0"), "thrift")


def test_methods_and_multiplexed_services_choose_the_route() -> None:
    mesh = mesh_of("thrift", route("two", RouteMatch("/ping")), route("one"))
    caller = mesh.connect()
    caller.says(message("ping", 1) + message("find", 2))
    assert [peer.address for peer in mesh.dials] == ["10.0.0.2:1", "10.0.0.1:1"]
    mesh = mesh_of("thrift", route("one", RouteMatch("/orders/find")), domains=("orders",))
    caller = mesh.connect()
    caller.says(message("orders:find", 1) + message("users:find", 2))
    assert len(mesh.dials) == 1
    caller.hears(exception("users:find", 2, "no route for this host and path", 1))


def test_a_lost_server_and_a_deadline_are_application_exceptions() -> None:
    caller, server = called(mesh_of("thrift"), message("ping", 5))
    server.vanishes()
    (frame,), _ = protocol("thrift").frames(heard := caller.takes())
    assert frame[:2] == ("failure", 5) and b"connection termination" in heard
    mesh = mesh_of("thrift", route("one", timeout_s=2.0))
    caller, _ = called(mesh, message("ping", 6))
    mesh.passes(2.1)
    caller.hears(exception("ping", 6, "upstream request timeout", 6))


def test_oneway_calls_are_never_answered() -> None:
    mesh = mesh_of("thrift", domains=("nothing",))
    caller = mesh.connect()
    caller.says(message("log", 9, ONEWAY))
    caller.hears(b"")
    assert caller.events == [] and mesh.engine.active() == 0


def test_what_is_not_strict_binary_thrift_is_refused_by_its_first_bytes() -> None:
    caller = mesh_of("thrift").connect()
    caller.says(struct.pack(">I", 20) + b"\x82")
    assert caller.events == ["close"]
