"""Dubbo's Thrift protocol by its declaration: a 64-bit id behind a text, the kind in the message inside."""

from __future__ import annotations

import struct

from eventmesh.model.match import RouteMatch
from tests.unit.core.declared import every_cut, mesh_of, protocol, route
from tests.unit.core.playbook import called

ID = 0x8000_0000_0000_0005
SERVICE = "com.shop.Orders"


def text(value: str) -> bytes:
    return struct.pack(">I", len(value)) + value.encode()


def frame(id_: int, method: str = "find", kind: int = 1, fields: bytes = b"\0", service: str = SERVICE) -> bytes:
    head = b"\x01" + text(service) + struct.pack(">Q", id_)
    inner = b"\x80\x01\0" + bytes([kind]) + text(method) + bytes(4) + fields
    size = 2 + 4 + 2 + len(head)
    message = b"\xda\xbc" + struct.pack(">IH", size + len(inner), size) + head + inner
    return struct.pack(">I", len(message)) + message


def id_of(data: bytes) -> int:
    (seen,), used = protocol("dubbo-thrift").frames(data)
    assert used == len(data)
    return seen[1]


def test_a_call_passes_with_its_id_swapped_and_its_answer_comes_back() -> None:
    caller, server = called(mesh_of("dubbo-thrift"), frame(ID))
    heard = server.takes()
    assert heard == frame(id_of(heard)) and id_of(heard) != ID
    server.says(frame(id_of(heard), kind=2, fields=b"answer\0"))
    caller.hears(frame(ID, kind=2, fields=b"answer\0"))


def test_frames_cut_at_every_byte_are_the_same_frames() -> None:
    every_cut(frame(ID, fields=b"\x0b\0\x01" + text("x") + b"\0"), "dubbo-thrift")


def test_services_and_methods_choose_the_route() -> None:
    mesh = mesh_of("dubbo-thrift", route("two", RouteMatch(f"/{SERVICE}/find")), route("one"), domains=(SERVICE,))
    caller = mesh.connect()
    caller.says(frame(1) + frame(2, "save"))
    assert [peer.address for peer in mesh.dials] == ["10.0.0.2:1", "10.0.0.1:1"]


def test_errors_of_the_mesh_have_the_shape_of_the_protocol() -> None:
    mesh = mesh_of("dubbo-thrift", domains=("other",))
    caller = mesh.connect()
    caller.says(frame(ID))
    what = b"\x0b\0\x01" + text("no route for this host and path") + b"\x08\0\x02" + struct.pack(">i", 1) + b"\0"
    caller.hears(frame(ID, kind=3, fields=what))


def test_an_exception_of_the_service_counts_as_a_failure() -> None:
    caller, server = called(mesh := mesh_of("dubbo-thrift"), frame(ID))
    server.says(frame(id_of(server.takes()), kind=3))
    caller.hears(frame(ID, kind=3))
    (log,) = mesh.engine.take_access_log()
    assert b'"find /com.shop.Orders/find DUBBO-THRIFT" 500 ' in log[1]
