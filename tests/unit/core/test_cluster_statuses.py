"""What the engine tells of each endpoint: requests by their outcome, and what speaks against it. Virtual time."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import RetryOn, RetryPolicy
from eventmesh.model.route import Forward, Route, WeightedCluster
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, TWO, status
from tests.unit.core.test_health_checks import HTTP, mesh_with, probed
from tests.unit.core.test_outliers import ONE, OTHER, QUICK, ask, asked, endpoints
from tests.unit.core.test_outliers import mesh_with as judging
from tests.unit.core.test_retries import FAILED


def fares(mesh: Playbook, at: int = 0) -> dict[str, Any]:
    """Return what is told of one endpoint, its counts beside the rest."""
    (cluster,) = json.loads(mesh.engine.cluster_statuses())
    endpoint: dict[str, Any] = cluster["endpoints"][at]
    return {**endpoint, **endpoint["counters"], **endpoint["gauges"]}


def counts(mesh: Playbook) -> tuple[int, int, int, int]:
    """Return requests sent, and attempts that were well, that failed, and those of them that were not answered."""
    told = fares(mesh)
    return told["rq_total"], told["rq_success"], told["rq_error"], told["rq_timeout"]


def begun(mesh: Playbook) -> tuple[Peer, Peer]:
    """Return a client that has asked, and the endpoint that has heard it."""
    client = mesh.connect()
    client.says(GET)
    return client, mesh.dialled()


def test_what_an_endpoint_is_and_carries_is_told() -> None:
    endpoint = Endpoint("10.0.0.1:80", 3, False, 1, "r/z/s", 0, (("canary", "true"),))
    told = fares(Playbook(snapshot(Cluster("up", (endpoint,)))))
    assert (told["address"], told["weight"], told["priority"], told["locality"]) == ("10.0.0.1:80", 3, 1, "r/z/s")
    assert (told["canary"], told["flags"], told["success_rate"]) == (True, ["failed_eds_health"], None)


def test_a_request_waits_for_its_connection_and_then_is_in_flight() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    told = fares(mesh)
    assert (told["cx_active"], told["cx_total"], told["rq_pending_active"], told["rq_active"]) == (1, 1, 1, 0)
    server = mesh.dialled()
    told = fares(mesh)
    assert (told["rq_pending_active"], told["rq_active"], told["rq_total"]) == (0, 1, 1)
    server.says(OK)
    assert status(client) == 200
    told = fares(mesh)
    assert (told["rq_active"], told["cx_active"], told["rq_success"], told["rq_error"]) == (0, 1, 1, 0)


@pytest.mark.parametrize(("answer", "well"), [(b"404 Not Found", True), (b"500 No", False), (b"503 No", False)])
def test_from_500_on_an_answer_is_an_error(answer: bytes, well: bool) -> None:
    mesh = Playbook()
    _, server = begun(mesh)
    server.says(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")
    assert counts(mesh) == (1, int(well), int(not well), 0)


def test_a_connection_that_cannot_be_made_is_an_error_of_a_request_that_was_not_sent() -> None:
    mesh = Playbook()
    mesh.connect().says(GET)
    mesh.dials.pop().refuses()
    told = fares(mesh)
    assert (told["cx_total"], told["cx_connect_fail"], told["cx_active"]) == (1, 1, 0)
    assert counts(mesh) == (0, 0, 1, 0)


def test_a_connection_that_takes_too_long_counts_as_one_that_cannot_be_made() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], connect_timeout_s=1.0)))
    mesh.connect().says(GET)
    mesh.passes(1.1)
    assert fares(mesh)["cx_connect_fail"] == 1


def test_silence_is_an_error_and_a_timeout() -> None:
    mesh = Playbook(snapshot(routes=(forward("up", timeout_s=1),)))
    client, _ = begun(mesh)
    mesh.passes(1.1)
    assert (status(client), counts(mesh)) == (504, (1, 0, 1, 1))


def test_an_answer_that_breaks_off_was_counted_when_it_began() -> None:
    mesh = Playbook()
    _, server = begun(mesh)
    server.says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")
    server.vanishes()
    assert counts(mesh) == (1, 1, 0, 0)


def test_each_attempt_counts_at_its_own_endpoint() -> None:
    policy = RetryPolicy(on=(RetryOn.SERVER_ERROR,), max_retries=1)
    route = Route(RouteMatch(), Forward((WeightedCluster("up"),), retry=policy), name="all")
    mesh = Playbook(snapshot(routes=(route,)))
    client, server = begun(mesh)
    server.says(FAILED)
    mesh.passes(1)
    server.says(OK)
    assert (status(client), counts(mesh)) == (200, (2, 1, 1, 0))


@pytest.mark.parametrize(("code", "well"), [("0", True), ("5", True), ("14", False)])
def test_a_call_of_grpc_counts_by_its_status(code: str, well: bool) -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], protocol=WireProtocol.HTTP2)))
    client = Http2Peer(mesh.connect(), is_client=True)
    fields = (("content-type", "application/grpc"),)
    client.request("/s/m", method="POST", fields=fields, body=b"")
    server = Http2Peer(mesh.dialled(), is_client=False)
    server.exchange()
    server.respond(1, fields=fields, end=False)
    assert counts(mesh) == (1, 0, 0, 0)
    server.trailers(1, (("grpc-status", code),))
    assert counts(mesh) == (1, int(well), int(not well), 0)


def test_health_checks_are_no_requests_but_set_their_flag() -> None:
    mesh = mesh_with(HTTP)
    server = probed(mesh)
    assert (fares(mesh)["flags"], fares(mesh)["rq_total"]) == (["failed_active_hc"], 0)
    server.says(OK)
    assert (fares(mesh)["flags"], counts(mesh)) == ([], (0, 0, 0, 0))


def test_who_is_ejected_says_so() -> None:
    mesh = judging()
    asked(mesh, ONE, 6)
    by_address = {fares(mesh, at)["address"]: fares(mesh, at) for at in range(2)}
    assert (by_address[ONE]["flags"], by_address[OTHER]["flags"]) == (["failed_outlier_check"], [])
    assert (by_address[ONE]["rq_success"], by_address[ONE]["rq_error"]) == (0, 3)


def test_success_rates_are_told_for_the_interval_after_the_one_that_they_are_of() -> None:
    terms = dataclasses.replace(
        QUICK, consecutive_5xx=0, success_rate_request_volume=10, interval_s=10.0, enforcing_success_rate=0
    )
    mesh = judging(terms, Cluster("up", endpoints(6)))
    for number in range(72):
        ask(mesh, "10.0.1.3:80" if number % 12 < 6 else "")

    def rates() -> tuple[Any, Any, list[Any]]:
        (cluster,) = json.loads(mesh.engine.cluster_statuses())
        each = [endpoint["success_rate"] for endpoint in cluster["endpoints"]]
        return cluster["success_rate_average"], cluster["success_rate_threshold"], each

    assert rates() == (None, None, [None] * 6)
    mesh.passes(10)
    average, threshold, each = rates()
    assert each == [100, 100, 100, 50, 100, 100]
    assert (round(average, 3), 50 < threshold < average) == (91.667, True)
    mesh.passes(10)
    assert rates() == (None, None, [None] * 6)


def test_an_endpoint_that_is_gone_is_not_told_of_and_one_that_stays_keeps_its_counts() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO)))
    client, server = begun(mesh)
    server.says(OK)
    stays = next(endpoint for endpoint in TWO if endpoint.address == server.address)
    mesh.apply(snapshot(Cluster("up", (stays,))))
    (cluster,) = json.loads(mesh.engine.cluster_statuses())
    assert [endpoint["address"] for endpoint in cluster["endpoints"]] == [stays.address]
    assert counts(mesh) == (1, 1, 0, 0) and status(client) == 200
