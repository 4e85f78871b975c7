"""Active health checks: how endpoints are asked, what of their answers counts, who then gets requests. Virtual time."""

from __future__ import annotations

import dataclasses

import pytest

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import WireProtocol
from eventmesh.model.policy import GrpcProbe, HealthCheck, HttpProbe, TcpProbe
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook, snapshot
from tests.unit.core.requests import GET, OK, TWO, status
from tests.unit.core.test_retries import counters

HTTP = HealthCheck(
    HttpProbe("/well"), 1.0, 10.0, 2.0, unhealthy_threshold=2, healthy_threshold=2, no_traffic_interval_s=60.0
)
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


def mesh_with(check: HealthCheck, cluster: Cluster | None = None) -> Playbook:
    mesh = Playbook(snapshot(dataclasses.replace(cluster or Cluster("up", TWO[:1]), health_check=check)))
    mesh.passes(0.001)
    mesh.cancel(mesh.send(hold=False))  # there has been traffic
    return mesh


def probed(mesh: Playbook, server: Peer | None = None) -> Peer:
    """Return the endpoint, which is being asked for its health."""
    server = server or mesh.dialled()
    heard = server.takes()
    assert heard.startswith(b"GET /well HTTP/1.1\r\nhost: up\r\nuser-agent: eventmesh/health-check\r\n"), heard
    return server


def is_well(mesh: Playbook) -> bool:
    return counters(mesh)["health_check_healthy"] == 1


def test_an_endpoint_gets_requests_from_its_first_good_check_on() -> None:
    mesh = mesh_with(HTTP)
    client = mesh.connect()
    client.says(GET)
    assert status(client) == 503
    server = probed(mesh)
    server.says(OK)
    client.says(GET)
    assert server.takes() == GET.replace(b"Host", b"host") and not mesh.dials
    server.says(OK)
    assert status(client) == 200
    counted = counters(mesh)
    assert (counted["health_check_attempt"], counted["health_check_success"], counted["upstream_rq_total"]) == (1, 1, 3)


def test_where_no_request_has_come_yet_checks_are_rare() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], health_check=HTTP)))
    mesh.passes(0.001)
    server = probed(mesh)
    server.says(OK)
    mesh.passes(59.9)
    assert server.heard == b""
    mesh.passes(0.2)
    probed(mesh, server)


def test_checks_come_at_the_interval_of_the_state() -> None:
    mesh = mesh_with(HTTP)
    server = probed(mesh)
    server.says(OK)
    mesh.passes(9.9)
    assert server.heard == b""
    mesh.passes(0.2)
    probed(mesh, server).says(BUSY)
    assert not is_well(mesh)
    for _ in range(2):
        assert not is_well(mesh)
        mesh.passes(2.01)
        probed(mesh, server).says(OK)
    assert is_well(mesh)


def test_a_wrong_status_is_enough_and_silence_needs_its_threshold() -> None:
    mesh = mesh_with(HTTP)
    server = probed(mesh)
    server.says(OK)
    mesh.passes(10)
    probed(mesh, server)
    mesh.passes(1)
    assert server.events == ["abort"] and is_well(mesh)
    mesh.passes(10)
    probed(mesh).vanishes()
    assert not is_well(mesh)
    counted = counters(mesh)
    assert (counted["health_check_failure"], counted["health_check_network_failure"]) == (2, 2)


def test_the_statuses_that_are_well_can_be_chosen() -> None:
    mesh = mesh_with(dataclasses.replace(HTTP, probe=HttpProbe("/well", expected=((500, 504),))))
    probed(mesh).says(BUSY)
    assert is_well(mesh)


def test_an_endpoint_that_cannot_be_reached_is_not_well() -> None:
    mesh = mesh_with(HTTP)
    mesh.dials.pop().refuses()
    assert not is_well(mesh) and not mesh.dials
    mesh.passes(2.01)
    server = probed(mesh)
    server.says(OK)
    assert not is_well(mesh), "it has been checked before: now two good checks are needed"
    mesh.passes(2.01)
    probed(mesh, server).says(OK)
    assert is_well(mesh)


def test_who_fails_its_check_gets_no_requests_and_in_a_panic_all_get_them() -> None:
    for panic, statuses in ((0.0, [200, 200]), (60.0, [200, 503])):
        mesh = mesh_with(HTTP, Cluster("up", TWO, panic_percent=panic))
        one, two = probed(mesh), probed(mesh)
        one.says(OK)
        two.says(BUSY)
        client = mesh.connect()
        seen = []
        for _ in range(2):
            client.says(GET)
            server = one if one.heard else two
            server.takes()
            server.says(OK if server is one else BUSY)
            seen.append(status(client))
        assert sorted(seen) == statuses


def test_a_connection_is_all_that_a_tcp_check_wants() -> None:
    mesh = mesh_with(dataclasses.replace(HTTP, probe=TcpProbe()), Cluster("up", TWO[:1], protocol=WireProtocol.BOLT))
    server = mesh.dialled()
    assert server.events == ["close"] and server.heard == b"" and is_well(mesh)
    mesh.passes(10)
    mesh.dials.pop().refuses()
    assert is_well(mesh), "silence needs its threshold"
    mesh.passes(11.01)
    assert mesh.dials.pop().events == ["abort"] and not is_well(mesh), "nor was the second connection made in time"


@pytest.mark.parametrize(
    ("body", "trailer", "well"),
    [
        (b"\0\0\0\0\2\x08\1", "0", True),
        (b"\0\0\0\0\2\x08\2", "0", False),
        (b"", "12", False),
    ],
)
def test_a_grpc_server_is_asked_by_the_health_protocol(body: bytes, trailer: str, well: bool) -> None:
    check = dataclasses.replace(HTTP, probe=GrpcProbe("shop"))
    mesh = mesh_with(check, Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2))
    server = Http2Peer(mesh.dialled(), is_client=False)
    server.exchange()
    asked = server.streams[1]
    assert asked.head[":path"] == "/grpc.health.v1.Health/Check" and asked.head["content-type"] == "application/grpc"
    assert asked.body == b"\0\0\0\0\x06\x0a\x04shop"
    server.respond(1, fields=(("content-type", "application/grpc"),), body=body, end=False)
    server.trailers(1, (("grpc-status", trailer),))
    assert is_well(mesh) == well


def test_checks_stop_with_their_policy_and_with_their_endpoint() -> None:
    mesh = mesh_with(HTTP, Cluster("up", TWO))
    one, two = probed(mesh), probed(mesh)
    one.says(OK)
    two.says(OK)
    mesh.apply(snapshot(Cluster("up", TWO[:1], health_check=HTTP)))
    mesh.passes(10.01)
    assert [bool(peer.takes()) for peer in (one, two)] == [one.address == TWO[0].address, two.address == TWO[0].address]
    mesh.apply(snapshot(Cluster("up", TWO[:1])))
    mesh.passes(100)
    assert counters(mesh)["upstream_cx_connect_fail"] == 0 and not mesh.dials


def test_jitter_moves_checks_apart() -> None:
    times = set()
    for seed in range(5):
        check = dataclasses.replace(HTTP, interval_jitter_s=4.0)
        mesh = Playbook(snapshot(Cluster("up", TWO[:1], health_check=check)), seed=seed)
        mesh.passes(0.001)
        mesh.cancel(mesh.send(hold=False))
        server = probed(mesh)
        server.says(OK)
        began = mesh.now
        while not server.heard:
            mesh.passes(0.1)
        assert 9.9 < mesh.now - began < 14.2
        times.add(round(mesh.now - began, 1))
    assert len(times) > 1


@pytest.mark.parametrize(
    ("check", "field"),
    [
        (dataclasses.replace(HTTP, timeout_s=0.0), "health_check.timeout_s"),
        (dataclasses.replace(HTTP, interval_s=-1.0), "health_check.interval_s"),
        (dataclasses.replace(HTTP, probe=HttpProbe("no slash")), "health_check.probe.path"),
        (dataclasses.replace(HTTP, probe=GrpcProbe("x" * 121)), "health_check.probe.service"),
    ],
)
def test_what_cannot_be_is_refused_by_field(check: HealthCheck, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        mesh_with(check)
