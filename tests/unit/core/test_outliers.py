"""Outlier detection and panic: who is given nothing for how long, and what then happens to requests. Virtual time."""

from __future__ import annotations

import dataclasses

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.policy import OutlierDetection
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, TWO
from tests.unit.core.test_bolt import error, id_of, request
from tests.unit.core.test_retries import FAILED, counters

QUICK = OutlierDetection(consecutive_5xx=3, max_ejection_percent=50, interval_s=1.0, base_ejection_time_s=5.0)


def mesh_with(terms: OutlierDetection = QUICK, cluster: Cluster | None = None) -> Playbook:
    cluster = cluster or Cluster("up", TWO)
    return Playbook(snapshot(dataclasses.replace(cluster, outlier=terms), routes=(forward("up", timeout_s=2),)))


def ask(mesh: Playbook, bad: str, answer: bytes = FAILED) -> str:
    """Send one request; the endpoint `bad` gives `answer`. Return who was asked."""
    client = mesh.connect()
    client.says(GET)
    server = next((peer for peer in mesh.dials), None)
    if server is not None:
        mesh.dials.remove(server)
        server.opens()
    else:
        server = next(peer for peer in mesh.peers.values() if peer.heard and peer.address != "client")
    server.takes()
    server.says(answer if server.address == bad else OK)
    assert client.heard, mesh.dialogue()
    return server.address


def asked(mesh: Playbook, bad: str, times: int) -> set[str]:
    return {ask(mesh, bad) for _ in range(times)}


ONE, OTHER = (endpoint.address for endpoint in TWO)


def test_who_fails_in_a_row_is_given_nothing_for_its_time() -> None:
    mesh = mesh_with()
    assert asked(mesh, ONE, 6) == {ONE, OTHER}
    assert asked(mesh, ONE, 4) == {OTHER}
    counted = counters(mesh)
    assert (counted["outlier_detection_ejections_active"], counted["membership_healthy"]) == (1, 1)
    assert counted["outlier_detection_ejections_enforced_consecutive_5xx"] == 1
    mesh.passes(4.5)
    assert asked(mesh, ONE, 4) == {OTHER}
    mesh.passes(1.5)
    assert asked(mesh, "", 2) == {ONE, OTHER}
    assert counters(mesh)["outlier_detection_ejections_active"] == 0


def test_each_ejection_is_longer_than_the_one_before() -> None:
    mesh = mesh_with()
    asked(mesh, ONE, 6)
    mesh.passes(5.5)
    asked(mesh, ONE, 6)
    assert counters(mesh)["outlier_detection_ejections_enforced_total"] == 2
    mesh.passes(8.5)
    assert asked(mesh, ONE, 2) == {OTHER}
    mesh.passes(2)
    assert asked(mesh, "", 2) == {ONE, OTHER}


def test_one_good_answer_begins_the_count_anew() -> None:
    mesh = mesh_with()
    for _ in range(3):
        asked(mesh, ONE, 4)
        asked(mesh, "", 2)
    assert counters(mesh)["outlier_detection_ejections_detected_consecutive_5xx"] == 0


def test_no_more_are_ejected_than_allowed() -> None:
    mesh = mesh_with(dataclasses.replace(QUICK, max_ejection_percent=10))
    assert asked(mesh, ONE, 10) == {ONE, OTHER}
    assert counters(mesh)["outlier_detection_ejections_overflow"] == 2, "for 5xx, and for gateway failures"
    mesh = mesh_with(dataclasses.replace(QUICK, max_ejection_percent=10, always_eject_one=True))
    asked(mesh, ONE, 6)
    assert asked(mesh, ONE, 4) == {OTHER}


def test_gateway_failures_have_a_count_of_their_own() -> None:
    terms = dataclasses.replace(
        QUICK, consecutive_5xx=0, consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100
    )
    mesh = mesh_with(terms)
    for _ in range(6):
        ask(mesh, ONE, FAILED.replace(b"503", b"500"))
    assert counters(mesh)["outlier_detection_ejections_enforced_total"] == 0
    asked(mesh, ONE, 4)
    assert counters(mesh)["outlier_detection_ejections_enforced_consecutive_gateway_failure"] == 1


def test_what_is_not_enforced_is_only_counted() -> None:
    mesh = mesh_with(dataclasses.replace(QUICK, enforcing_consecutive_5xx=0))
    assert asked(mesh, ONE, 8) == {ONE, OTHER}
    counted = counters(mesh)
    assert counted["outlier_detection_ejections_detected_consecutive_5xx"] == 1
    assert counted["outlier_detection_ejections_enforced_consecutive_5xx"] == 0


def test_silence_and_slowness_are_failures() -> None:
    mesh = mesh_with(dataclasses.replace(QUICK, consecutive_5xx=2), Cluster("up", TWO))

    def to_one() -> Peer:
        while True:
            client = mesh.connect()
            client.says(GET)
            server = mesh.dialled()
            if server.address == ONE:
                return server
            server.says(OK)
            server.vanishes()

    to_one().vanishes()
    to_one()
    mesh.passes(2.5)
    assert counters(mesh)["outlier_detection_ejections_active"] == 1


def test_an_endpoint_that_cannot_be_reached_is_ejected() -> None:
    mesh = mesh_with()
    for _ in range(8):
        mesh.connect().says(GET)
        for peer in list(mesh.dials):
            mesh.dials.remove(peer)
            if peer.address == ONE:
                peer.refuses()
            else:
                peer.opens()
    assert counters(mesh)["outlier_detection_ejections_active"] == 1


@pytest.mark.parametrize("trailers_only", [True, False])
def test_grpc_failures_are_judged_by_their_status(trailers_only: bool) -> None:
    cluster = Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2)
    mesh = mesh_with(dataclasses.replace(QUICK, max_ejection_percent=100), cluster)
    client = Http2Peer(mesh.connect(), is_client=True)
    fields = (("content-type", "application/grpc"),)
    server: Http2Peer | None = None
    for number in range(3):
        client.request("/s/m", method="POST", fields=fields, body=b"")
        server = server or Http2Peer(mesh.dialled(), is_client=False)
        server.exchange()
        stream = 2 * number + 1
        if trailers_only:
            server.respond(stream, fields=(*fields, ("grpc-status", "14")))
        else:
            server.respond(stream, fields=fields, end=False)
            server.trailers(stream, (("grpc-status", "14"),))
    assert counters(mesh)["outlier_detection_ejections_active"] == 1


def test_a_busy_bolt_server_is_ejected() -> None:
    cluster = Cluster("up", TWO[:1], protocol=WireProtocol.BOLT)
    mesh = mesh_with(dataclasses.replace(QUICK, max_ejection_percent=100), cluster)
    caller = mesh.connect()
    caller.says(request(1))
    server = mesh.dialled()
    for _ in range(3):
        server.says(error(id_of(server.takes()), 4))
        caller.says(request(1))
    assert counters(mesh)["outlier_detection_ejections_active"] == 1


def endpoints(number: int) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"10.0.1.{at}:80") for at in range(number))


def test_an_endpoint_whose_success_rate_stands_out_is_ejected() -> None:
    terms = dataclasses.replace(QUICK, consecutive_5xx=0, success_rate_request_volume=10, interval_s=10.0)
    mesh = mesh_with(terms, Cluster("up", endpoints(6)))
    bad = "10.0.1.3:80"
    for number in range(72):
        ask(mesh, bad if number % 12 < 6 else "")
    mesh.passes(10)
    counted = counters(mesh)
    assert counted["outlier_detection_ejections_enforced_success_rate"] == 1
    assert bad not in asked(mesh, "", 12)


def test_an_endpoint_that_fails_too_often_is_ejected() -> None:
    terms = dataclasses.replace(
        QUICK,
        consecutive_5xx=0,
        enforcing_success_rate=0,
        enforcing_failure_percentage=100,
        failure_percentage_request_volume=10,
        failure_percentage_threshold=50,
        interval_s=10.0,
    )
    mesh = mesh_with(terms, Cluster("up", endpoints(5)))
    for number in range(60):
        ask(mesh, "10.0.1.1:80" if number % 10 < 5 else "")
    mesh.passes(10)
    assert counters(mesh)["outlier_detection_ejections_enforced_failure_percentage"] == 1


def test_without_its_policy_everybody_returns() -> None:
    mesh = mesh_with()
    asked(mesh, ONE, 6)
    mesh.apply(snapshot(Cluster("up", TWO)))
    assert asked(mesh, "", 2) == {ONE, OTHER}


def test_in_a_panic_all_endpoints_get_requests() -> None:
    ill = (Endpoint(ONE, healthy=False), Endpoint(OTHER))
    mesh = Playbook(snapshot(Cluster("up", ill, panic_percent=60)))
    assert asked(mesh, "", 4) == {ONE, OTHER}
    assert counters(mesh)["lb_healthy_panic"] == 4
    mesh = Playbook(snapshot(Cluster("up", ill, panic_percent=50)))
    assert asked(mesh, "", 4) == {OTHER} and counters(mesh)["lb_healthy_panic"] == 0


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (dataclasses.replace(QUICK, interval_s=0.0), "outlier.interval_s"),
        (dataclasses.replace(QUICK, base_ejection_time_s=-1.0), "outlier.base_ejection_time_s"),
    ],
)
def test_what_cannot_be_is_refused_by_field(terms: OutlierDetection, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        mesh_with(terms)
