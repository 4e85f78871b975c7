"""Declared protocols in the engine: what holds for each of them, shown with Thrift's declaration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventmesh.core import Protocol
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import Declaration, Listener, WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import DirectResponse, Forward, HeaderEdits, Route, Serve, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.declared import declaration, listening, mesh_of, route, upstream
from tests.unit.core.playbook import Playbook, called
from tests.unit.core.test_thrift import REPLY, message, seqid_of

THRIFT = declaration("thrift")
UP = upstream("one", "thrift", "10.0.0.1:1")


def config(*clusters: Cluster, declared: Declaration = THRIFT, route: Route | None = None) -> Snapshot:
    return listening(declared, (VirtualHost("host", ("*",), (route or to_one(),)),), *clusters or (UP,))


def to_one(request_headers: HeaderEdits | None = None) -> Route:
    edits = request_headers or HeaderEdits()
    return Route(RouteMatch(), Forward((WeightedCluster("one"),)), request_headers=edits)


def test_a_lost_server_answers_all_who_wait() -> None:
    mesh = mesh_of("thrift")
    caller, server = called(mesh, message("a", 1) + message("b", 2))
    server.vanishes()
    frames, _ = Protocol(THRIFT.text).frames(caller.takes())
    assert sorted(frame[:2] for frame in frames) == [("failure", 1), ("failure", 2)]
    assert caller.events == []


def test_a_broken_server_answers_all_who_wait_and_is_dialled_anew() -> None:
    mesh = mesh_of("thrift")
    caller, server = called(mesh, message("a", 1))
    server.says(b"\0\0\0\x08not thrift")
    assert server.events == ["close"] and b"upstream sent a malformed response" in caller.takes()
    caller.says(message("a", 2))
    assert mesh.dialled().takes().endswith(message("a", 1)[-5:])


def test_a_late_answer_is_dropped_and_the_connection_lives() -> None:
    mesh = mesh_of("thrift", route("one", timeout_s=1.0))
    caller, server = called(mesh, message("a", 1))
    heard = server.takes()
    mesh.passes(1.1)
    assert b"upstream request timeout" in caller.takes()
    server.says(message("a", seqid_of(heard, "a"), REPLY))
    assert (caller.heard, server.events) == (b"", [])
    caller.says(message("a", 2))
    server.says(message("a", seqid_of(server.takes(), "a"), REPLY))
    caller.hears(message("a", 2, REPLY))


def test_a_caller_that_does_not_read_is_cut_off_alone() -> None:
    mesh = mesh_of("thrift")
    slow, server = called(mesh, message("a", 1))
    quick = mesh.connect()
    quick.says(message("b", 1))
    heard = server.takes()
    slow_id, quick_id = seqid_of(heard, "a"), seqid_of(heard[len(message("a", 1)) :], "b")
    slow.is_writable(False)
    server.says(message("a", slow_id, REPLY, b"x" * 9_000_000))
    for number in range(2, 4):
        slow.says(message("a", number))
        server.says(message("a", seqid_of(server.takes(), "a"), REPLY, b"x" * 9_000_000))
        assert "pause" not in server.events
    server.says(message("b", quick_id, REPLY))
    quick.hears(message("b", 1, REPLY))
    assert slow.events == ["abort"] and server.events == []


def test_overload_is_told_in_the_protocols_own_words() -> None:
    busy = replace(UP, max_requests_per_endpoint=1, max_pending=0)
    mesh = Playbook(config(busy))
    caller = mesh.connect()
    caller.says(message("a", 1) + message("b", 2))
    heard = caller.takes()
    assert b"pending request queue full" in heard and seqid_of(heard, "b") == 2


def test_calls_wait_for_capacity_like_any_other() -> None:
    held = replace(UP, endpoints=(), hold=True)
    mesh = Playbook(config(held))
    caller = mesh.connect()
    caller.says(message("a", 7))
    assert mesh.asked[0][1] == "one"
    mesh.apply(config(replace(held, endpoints=UP.endpoints)))
    assert mesh.dialled().takes() == message("a", 1)


@pytest.mark.parametrize(
    "cluster",
    [
        upstream("one", "motan2", "10.0.0.1:1"),
        Cluster("one", (Endpoint("10.0.0.1:1"),)),
        Cluster("one", (Endpoint("10.0.0.1:1"),), protocol=WireProtocol.BOLT),
    ],
)
def test_protocols_do_not_meet(cluster: Cluster) -> None:
    mesh = Playbook(config(cluster))
    caller = mesh.connect()
    caller.says(message("a", 1))
    assert not mesh.dials and b"this protocol cannot be sent to that cluster" in caller.takes()


def test_a_handler_of_this_process_can_only_answer_with_an_error() -> None:
    mesh = Playbook(config(route=Route(RouteMatch(), Serve("admin"))))
    caller = mesh.connect()
    caller.says(message("a", 3))
    ((exchange, _, request),) = mesh.served
    assert (request.protocol, request.method) == ("framed", "a")
    mesh.reply(exchange, 200, b"body that the protocol has no place for")
    (frame,), used = Protocol(THRIFT.text).frames(caller.takes())
    assert frame[:2] == ("failure", 3) and used == frame[-1]
    caller.says(message("a", 4))
    assert len(mesh.served) == 2


def test_callers_of_a_protocol_that_is_declared_otherwise_finish_and_come_back() -> None:
    mesh = Playbook(config())
    idle = mesh.connect()
    busy, server = called(mesh, message("a", 1))
    other = replace(THRIFT, text=THRIFT.text.replace('"default": 6', '"default": 5'))
    mesh.apply(config(declared=other))
    assert idle.events == ["close"] and busy.events == []
    server.says(message("a", seqid_of(server.takes(), "a"), REPLY))
    busy.hears(message("a", 1, REPLY))
    assert busy.events == ["close"]
    again = mesh.connect()
    again.says(message("a", 2))
    mesh.dialled().vanishes()
    assert again.takes().endswith(b"\x08\0\x02\0\0\0\x05\0")
    mesh.apply(config(declared=other))
    assert again.events == [], "the same declaration changes nothing"


def test_protocols_that_nobody_speaks_any_more_make_room() -> None:
    mesh = Playbook(config())
    for number in range(600):
        mesh.apply(
            config(declared=replace(THRIFT, text=THRIFT.text.replace('"default": 6', f'"default": {number + 7}')))
        )
    caller = mesh.connect()
    caller.says(message("a", 1))
    assert mesh.dialled().takes() == message("a", 1)


def test_what_a_listener_cannot_do_is_refused_by_name() -> None:
    listener = config().listeners[0]
    edits = HeaderEdits(set=(("a", "b"),))
    for wrong, what in [
        (
            replace(config(), listeners=(replace(listener, declarations=()),)),
            "has 0; protocol framed takes exactly one",
        ),
        (
            replace(config(), listeners=(replace(listener, protocol=WireProtocol.BOLT),)),
            "are for the protocols framed and auto",
        ),
        (config(declared=replace(THRIFT, name="thrift2")), 'the declaration itself is called "thrift"'),
        (config(declared=replace(THRIFT, text="[]")), "expected struct Declaration"),
        (config(route=to_one(request_headers=edits)), 'virtual host "host" of route table "t" edits heads'),
        (
            replace(
                config(),
                listeners=(
                    listener,
                    replace(
                        listener,
                        name="b",
                        declarations=(replace(THRIFT, text=THRIFT.text.replace('"default": 6', '"default": 9')),),
                    ),
                ),
            ),
            "another listener declares this name otherwise",
        ),
    ]:
        with pytest.raises(ValueError, match="listeners") as error:
            Playbook(wrong)
        assert what in str(error.value)


def test_a_cluster_may_be_there_before_what_it_speaks_is_declared() -> None:
    mesh = Playbook(Snapshot("1", (Listener("in", "", "t"),), (), (UP,)))
    mesh.apply(config())
    caller = mesh.connect()
    caller.says(message("a", 1))
    assert mesh.dialled().takes() == message("a", 1)


def test_a_configured_answer_is_an_error_whose_text_is_bounded() -> None:
    mesh = Playbook(config(route=Route(RouteMatch(), DirectResponse(503, "x" * 2000))))
    caller = mesh.connect()
    caller.says(message("a", 1))
    assert caller.takes().count(b"x") == 1024
