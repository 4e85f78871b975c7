"""Motan 2 by its declaration: 64-bit ids, routes by the service and method of the metadata, Motan's own errors."""

from __future__ import annotations

import json
import struct

import pytest

from eventmesh.model.match import HeaderMatch, RouteMatch, TextKind
from tests.unit.core.declared import every_cut, mesh_of, protocol, route
from tests.unit.core.playbook import called

ID = 0xF000_0000_0000_0007
META = {"M_p": "com.weibo.User", "M_m": "rename", "M_g": "group-a"}


def frame(
    id_: int, meta: dict[str, str] | None = None, body: bytes = b"body", *, kind: int = 2, status: int = 8
) -> bytes:
    lines = "".join(f"{key}\n{value}\n" for key, value in (meta or {}).items()).encode()
    head = b"\xf1\xf1" + bytes([kind, status, 6]) + struct.pack(">Q", id_)
    return head + struct.pack(">I", len(lines)) + lines + struct.pack(">I", len(body)) + body


def id_of(data: bytes) -> int:
    return int.from_bytes(data[5:13], "big")


def test_a_call_passes_with_its_id_swapped_and_its_answer_comes_back() -> None:
    caller, server = called(mesh := mesh_of("motan2"), frame(ID, META))
    heard = server.takes()
    assert heard == frame(id_of(heard), META) and id_of(heard) != ID
    server.says(frame(id_of(heard), body=b"done", kind=1))
    caller.hears(frame(ID, body=b"done", kind=1))
    assert mesh.engine.active() == 0


def test_frames_cut_at_every_byte_are_the_same_frames() -> None:
    every_cut(frame(ID, META), "motan2")


def test_routes_are_found_by_service_method_and_any_metadata() -> None:
    match = RouteMatch("/com.weibo.User/rename", headers=(HeaderMatch("m_g", TextKind.EXACT, "group-a"),))
    mesh = mesh_of("motan2", route("two", match), route("one"), domains=("com.weibo.User",))
    caller = mesh.connect()
    caller.says(frame(1, META) + frame(2, META | {"M_g": "group-b"}))
    assert [peer.address for peer in mesh.dials] == ["10.0.0.2:1", "10.0.0.1:1"]


def test_group_and_version_are_conditions_under_the_names_that_every_protocol_has() -> None:
    match = RouteMatch(headers=(HeaderMatch("group", TextKind.EXACT, "a"), HeaderMatch("version", TextKind.EXACT, "2")))
    mesh = mesh_of("motan2", route("two", match), route("one"))
    caller = mesh.connect()
    for id_, (group, version) in enumerate((("a", "2"), ("a", "1"))):
        caller.says(frame(id_, META | {"M_g": group, "M_v": version}))
    assert [peer.address for peer in mesh.dials] == ["10.0.0.2:1", "10.0.0.1:1"]


def test_heartbeats_are_answered_by_the_mesh() -> None:
    mesh = mesh_of("motan2")
    caller = mesh.connect()
    caller.says(frame(ID, body=b"", kind=0x10))
    caller.hears(frame(ID, body=b"", kind=0x11, status=8))
    assert not mesh.dials


def test_a_oneway_call_is_forwarded_and_not_answered() -> None:
    caller, server = called(mesh := mesh_of("motan2"), frame(ID, META, kind=6))
    assert server.takes() and mesh.engine.active() == 0
    server.says(frame(1, kind=1))
    caller.hears(b"")


@pytest.mark.parametrize(("event", "code"), [("timeout", 10003), ("lost", 10001), ("nowhere", 10007)])
def test_errors_of_the_mesh_are_motans_exceptions(event: str, code: int) -> None:
    mesh = mesh_of("motan2", domains=("*",) if event != "nowhere" else ("other",))
    caller = mesh.connect()
    caller.says(frame(ID, META | {"M_tmo": "1500"}))
    if event == "timeout":
        mesh.dialled()
        mesh.passes(1.4)
        caller.hears(b"")
        mesh.passes(0.2)
    elif event == "lost":
        mesh.dialled().vanishes()
    heard = caller.takes()
    ((kind, id_, *_, fields, length),), used = protocol("motan2").frames(heard)
    assert (kind, id_, length, used) == ("failure", ID, len(heard), len(heard))
    length = int.from_bytes(heard[13:17], "big")
    key, error, _ = heard[17 : 17 + length].decode().split("\n")
    assert (key, json.loads(error)["errcode"], fields) == ("M_e", code, [("M_e", error)])


def test_an_exception_of_the_service_counts_as_a_failure() -> None:
    caller, server = called(mesh := mesh_of("motan2"), frame(ID, META))
    answer = frame(id_of(server.takes()), {"M_e": "{}"}, kind=1, status=9)
    server.says(answer)
    assert caller.takes() == answer[:5] + struct.pack(">Q", ID) + answer[13:]
    (log,) = mesh.engine.take_access_log()
    assert b'"rename /com.weibo.User/rename MOTAN2" 500 ' in log[1]
