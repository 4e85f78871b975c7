"""Calls over Bolt and Dubbo that begin in this process: routed, carried and answered as those of a connection."""

from __future__ import annotations

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from tests.unit.core import test_bolt, test_dubbo
from tests.unit.core.frames import FRAMES, Frames
from tests.unit.core.playbook import Playbook

BOLT, DUBBO = FRAMES[0], FRAMES[1]
PROTOCOLS = pytest.mark.parametrize("protocol", [BOLT, DUBBO], ids=lambda protocol: protocol.name)


@PROTOCOLS
def test_a_call_goes_out_as_it_is_under_an_id_of_the_connection(protocol: Frames) -> None:
    mesh = protocol.mesh()
    frame = protocol.call(77, "save", {})
    first, second = mesh.call(frame), mesh.call(frame)
    server = mesh.dialled()
    heard = server.takes()
    assert len(heard) == 2 * len(frame)
    ids = [protocol.id_of(heard), protocol.id_of(heard[len(frame) :])]
    assert ids[0] != ids[1]
    server.says(protocol.answer(ids[1]) + protocol.answer(ids[0]))
    assert {mesh.done[first].status, mesh.done[second].status} == {200}
    assert mesh.done[first].error == ""


def test_what_bolt_says_is_told_with_its_status_and_header_map() -> None:
    mesh = BOLT.mesh()
    exchange = mesh.call(test_bolt.request(1, b"content"))
    server = mesh.dialled()
    server.says(test_bolt.response(test_bolt.id_of(server.takes()), b"busy", status=4))
    done = mesh.done[exchange]
    assert (done.status, done.frame_status, done.body) == (503, 4, b"busy")


def test_what_dubbo_says_is_told_with_its_status() -> None:
    mesh = DUBBO.mesh()
    exchange = mesh.call(test_dubbo.call(1))
    server = mesh.dialled()
    server.says(DUBBO.failure(DUBBO.id_of(server.takes())))
    done = mesh.done[exchange]
    assert done.status >= 500
    assert done.frame_status not in (0, 20)


def test_a_call_is_routed_by_its_interface_and_refused_as_a_request_is() -> None:
    up = Cluster("up", (Endpoint("10.0.0.1:1"),), protocol=WireProtocol.BOLT)
    host = VirtualHost("hello", (test_bolt.SERVICE,), (Route(RouteMatch(), Forward((WeightedCluster("up"),))),))
    mesh = Playbook(Snapshot("1", (), (RouteTable("t", (host,)),), (up,)))
    mesh.call(test_bolt.request(1))
    assert [peer.address for peer in mesh.dials] == ["10.0.0.1:1"]
    lost = mesh.call(test_bolt.request(2, service="com.example.Other:1.0"))
    assert (mesh.done[lost].status, mesh.done[lost].error) == (404, "no_route")


def test_the_shorter_of_the_timeouts_ends_a_call_that_nobody_answers() -> None:
    mesh = BOLT.mesh()
    by_frame = mesh.call(test_bolt.request(1, timeout_ms=3000))
    by_terms = mesh.call(test_bolt.request(2, timeout_ms=3000), timeout_s=1.0)
    mesh.dialled()
    mesh.passes(1.5)
    assert (mesh.done[by_terms].error, by_frame in mesh.done) == ("timeout", False)
    mesh.passes(2.0)
    assert mesh.done[by_frame].error == "timeout"


def test_a_call_does_not_wait_where_it_must_not() -> None:
    mesh = BOLT.mesh(Cluster("up", (), protocol=WireProtocol.BOLT, hold=True))
    exchange = mesh.call(test_bolt.request(1), hold=False)
    assert mesh.done[exchange].error == "no_capacity"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        test_bolt.request(1)[:-1],
        test_bolt.request(1) * 2,
        test_bolt.request(1, kind=2),
        test_bolt.response(1),
        test_bolt.HEARTBEAT,
        test_dubbo.call(1)[:-1],
        test_dubbo.READONLY,
    ],
)
def test_what_is_not_one_whole_request_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match="frame: "):
        BOLT.mesh().call(frame)
