"""What becomes of a request: routes, time, retries, configurations, drains and what is counted. Virtual time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from eventmesh.core import check_pattern
from eventmesh.model.cluster import Balancing, Cluster, Endpoint
from eventmesh.model.listener import Listener
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.route import DirectResponse, Forward, HeaderEdits, Redirect, Route, WeightedCluster
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, TWO, status

# ---- routes and local answers


def test_nothing_matches_is_404() -> None:
    route = Route(RouteMatch("/only"), DirectResponse(200))
    mesh = Playbook(snapshot(routes=(route,)))
    client = mesh.connect()
    client.says(GET)
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 404 ") and b"content-type: text/plain" in heard and b"no route" in heard


def test_direct_responses_and_redirects() -> None:
    routes = (
        Route(RouteMatch("/r"), Redirect(302, scheme="https", host="x.y")),
        Route(RouteMatch(), DirectResponse(418, "teapot")),
    )
    mesh = Playbook(snapshot(routes=routes))
    client = mesh.connect()
    client.says(b"GET /r/a?b HTTP/1.1\r\nHost: h\r\n\r\n" + GET)
    client.hears(
        b"HTTP/1.1 302 Found\r\nlocation: https://x.y/r/a?b\r\ncontent-length: 0\r\n\r\n"
        b"HTTP/1.1 418 \r\ncontent-type: text/plain\r\ncontent-length: 6\r\n\r\nteapot"
    )


def test_rewrites_change_host_and_path() -> None:
    action = Forward((WeightedCluster("up"),), host_rewrite_header="k-original-host", prefix_rewrite="/new/")
    mesh = Playbook(snapshot(routes=(Route(RouteMatch("/old/"), action),)))
    client = mesh.connect()
    client.says(b"GET /old/a?b HTTP/1.1\r\nHost: h\r\nK-Original-Host: real\r\nx-request-id: 1\r\n\r\n")
    assert mesh.dialled().takes().startswith(b"GET /new/a?b HTTP/1.1\r\nhost: real\r\n")


def test_a_missing_cluster_is_503() -> None:
    mesh = Playbook(snapshot(routes=(forward("elsewhere"),)))
    client = mesh.connect()
    client.says(GET)
    assert status(client) == 503


def test_an_expression_chooses_a_route() -> None:
    header = HeaderMatch("x-v", TextKind.REGEX, "[0-9]+")
    routes = (
        Route(RouteMatch("/items/[0-9]+", PathKind.REGEX), DirectResponse(221)),
        Route(RouteMatch(headers=(header,)), DirectResponse(222)),
        Route(RouteMatch(), DirectResponse(211)),
    )
    mesh = Playbook(snapshot(routes=routes))
    client = mesh.connect()
    for path, field, expected in (("/items/7?q", "", 221), ("/items/7/", "", 211), ("/", "X-V: 12\r\n", 222)):
        client.says(f"GET {path} HTTP/1.1\r\nHost: h\r\n{field}\r\n".encode())
        assert status(client) == expected


def test_expressions_are_checked_and_bounded() -> None:
    for text in ("", "(", r"(a)\1", "a" * 4097, "((a{50}){50}){50}"):
        with pytest.raises(ValueError, match="expression|compiled"):
            check_pattern(text)
        route = Route(RouteMatch(text, PathKind.REGEX), DirectResponse(200))
        with pytest.raises(ValueError, match="match.path"):
            Playbook(snapshot(routes=(route,)))
    check_pattern("a" * 4096)


# ---- time


def test_a_slow_upstream_is_504_and_its_connection_is_given_up() -> None:
    mesh = Playbook(snapshot(routes=(forward("up", timeout_s=3),)))
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    mesh.passes(2.9)
    assert client.heard == b""
    mesh.passes(0.2)
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 504 ") and heard.endswith(b"upstream request timeout")
    assert upstream.events == ["abort"]
    client.says(GET)
    mesh.dialled().says(OK)
    assert status(client) == 200


def test_the_clock_of_a_request_starts_when_it_is_whole() -> None:
    mesh = Playbook(snapshot(routes=(forward("up", timeout_s=3),)))
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
    mesh.dialled()
    mesh.passes(100)
    client.says(b"b")
    mesh.passes(2.9)
    assert client.heard == b""
    mesh.passes(0.2)
    assert status(client) == 504


def test_a_response_cut_off_by_time_does_not_look_whole() -> None:
    mesh = Playbook(snapshot(routes=(forward("up", timeout_s=3),)))
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    mesh.passes(4)
    assert client.takes().endswith(b"1\r\na\r\n") and client.events == ["close"] and upstream.events == ["abort"]


def test_connecting_takes_no_longer_than_allowed() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], connect_timeout_s=1)))
    client = mesh.connect()
    client.says(GET)
    mesh.passes(1.1)
    assert mesh.dials[0].events == ["abort"] and status(client) == 503


def test_idle_connections_close_on_both_sides() -> None:
    cluster = Cluster("up", TWO[:1], idle_timeout_s=10)
    mesh = Playbook(snapshot(cluster, listener=Listener("in", "", "t", idle_timeout_s=20)))
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    mesh.passes(9)
    assert upstream.events == []
    mesh.passes(2)
    assert upstream.events == ["close"] and client.events == []
    mesh.passes(10)
    assert client.events == ["close"]


def test_a_head_that_drips_is_cut_off() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", head_timeout_s=5)))
    client = mesh.connect()
    mesh.passes(100)
    client.says(b"GET / HT")
    mesh.passes(4)
    client.says(b"TP")
    mesh.passes(2)
    assert client.events == ["close"]


def test_many_short_requests_ask_for_few_wakes() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    before = len([line for line in mesh.log if line.startswith("(7,")])
    for _ in range(200):
        mesh.passes(0.001)
        client.says(GET)
        upstream.says(OK)
    assert len([line for line in mesh.log if line.startswith("(7,")]) - before <= 2


# ---- retries


def test_a_connection_that_cannot_be_made_is_tried_once_elsewhere() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO)))
    client = mesh.connect()
    client.says(GET)
    first = mesh.dials.pop()
    first.refuses()
    second = mesh.dials.pop()
    assert {first.address, second.address} == {"10.0.0.1:80", "10.0.0.2:80"} and client.heard == b""
    second.refuses()
    assert status(client) == 503 and not mesh.dials


def test_a_stale_connection_is_retried_for_idempotent_requests_only() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    client.takes()
    client.says(GET)
    upstream.vanishes()
    second = mesh.dialled()
    second.says(OK)
    assert status(client) == 200
    client.says(GET.replace(b"GET", b"POST"))
    second.vanishes()
    assert status(client) == 503 and not mesh.dials


def test_a_fresh_connection_that_breaks_is_not_retried() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    mesh.dialled().vanishes()
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 503 ") and b"connection termination" in heard


def test_a_client_that_leaves_takes_its_request_along() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    client.vanishes()
    assert upstream.events == ["abort"] and mesh.engine.active() == 0
    assert mesh.engine.capacity("up") == (1, 0, 0)


# ---- configurations


def test_pools_survive_a_configuration_and_removed_endpoints_finish() -> None:
    mesh = Playbook(snapshot(Cluster("up", TWO, balancing=Balancing.ROUND_ROBIN)))
    clients = [mesh.connect() for _ in range(2)]
    for client in clients:
        client.says(GET)
    one, two = mesh.dialled(), mesh.dialled()
    one.says(OK)
    mesh.apply(snapshot(Cluster("up", (Endpoint(one.address),))))
    assert one.events == [] and two.events == []
    two.says(OK)
    assert two.events == ["close"]
    one.takes()
    clients[0].says(GET)
    assert one.heard and not mesh.dials


def test_a_removed_cluster_closes_its_idle_connections_and_its_number_is_used_again() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    for number in range(3):
        mesh.apply(snapshot(Cluster(f"c{number}", TWO[:1])))
        assert upstream.events == ["close"]
        client.takes()
        client.says(GET)
        upstream = mesh.dialled()
        upstream.says(OK)
        assert status(client) == 200


def test_a_request_sees_one_configuration() -> None:
    marked = replace(forward("up"), response_headers=HeaderEdits(set=(("x-seen-by", "the first"),)))
    mesh = Playbook(snapshot(routes=(marked,)))
    client = mesh.connect()
    client.says(GET)
    mesh.apply(snapshot(routes=(Route(RouteMatch(), DirectResponse(404)),)))
    mesh.apply(snapshot(routes=(Route(RouteMatch(), DirectResponse(418)),)))
    mesh.dialled().says(OK)
    answer = client.takes()
    assert answer.startswith(b"HTTP/1.1 200 ") and b"x-seen-by: the first\r\n" in answer
    client.says(GET)
    assert status(client) == 418


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"version": "1", "listener": []}, "listener"),
        ({"version": "1", "clusters": [{"name": "a", "protocol": "auto"}]}, "protocol"),
        ({"version": "1", "clusters": [{"name": "a"}, {"name": "a"}]}, "given twice"),
        ({"version": "1", "clusters": [{"name": "a", "connect_timeout_s": -1}]}, "connect_timeout_s"),
        ({"version": "1", "listeners": [{"name": "a", "address": "", "route_table": "t", "via": "a b"}]}, "via"),
    ],
)
def test_a_wrong_configuration_is_refused_by_field_and_changes_nothing(broken: object, field: str) -> None:
    mesh = Playbook()
    with pytest.raises(ValueError, match=field):
        mesh.engine.apply(json.dumps(broken).encode(), mesh.now)
    client = mesh.connect()
    client.says(GET)
    mesh.dialled().says(OK)
    assert status(client) == 200


def test_an_unknown_listener_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Playbook().engine.accepted("nobody", "", 0.0)


# ---- drain


def test_a_drain_finishes_what_is_in_flight_and_closes_what_is_idle() -> None:
    mesh = Playbook()
    busy, idle, fresh = mesh.connect(), mesh.connect(), mesh.connect()
    idle.says(GET)
    upstream = mesh.dialled()
    upstream.says(OK)
    busy.says(GET)
    mesh.do(mesh.engine.drain(mesh.now))
    assert idle.events == ["close"] and fresh.events == ["close"] and busy.events == []
    upstream.says(OK)
    assert b"connection: close\r\n" in busy.takes() and busy.events == ["close"]
    assert mesh.engine.active() == 0


# ---- what is counted


def test_load_is_averaged_and_proxied_requests_are_told_apart() -> None:
    mesh = Playbook()
    client = mesh.connect()
    mesh.engine.take_load(mesh.now)
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\nK-Proxy-Request: activator\r\n\r\n")
    upstream = mesh.dialled()
    mesh.passes(0.5)
    upstream.says(OK)
    mesh.passes(0.5)
    ((name, average, begun, proxied, proxied_begun),) = mesh.engine.take_load(mesh.now)
    assert (name, begun, proxied_begun) == ("up", 1, 1)
    assert average == pytest.approx(0.5) and proxied == pytest.approx(0.5)


def test_stats_have_envoys_names() -> None:
    mesh = Playbook()
    client = mesh.connect()
    client.says(GET)
    mesh.dialled().says(OK)
    stats = json.loads(mesh.engine.stats())
    counters = {(name, *sorted(labels.items())): value for name, labels, value in stats["counters"]}
    assert counters["envoy_cluster_upstream_rq_total", ("envoy_cluster_name", "up")] == 1
    key = ("envoy_http_downstream_rq_xx", ("envoy_http_conn_manager_prefix", "in"), ("envoy_response_code_class", "2"))
    assert counters[key] == 1
    name, labels, buckets, _, count = next(h for h in stats["histograms"] if h[0] == "envoy_cluster_upstream_rq_time")
    assert labels == {"envoy_cluster_name": "up"} and count == 1 and buckets[0] == [0.5, 1], name


def test_the_access_log_has_a_line_for_every_exchange() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", access_log="/dev/stdout")))
    client = mesh.connect()
    client.says(GET.replace(b"GET", b"GET").replace(b"x-request", b"User-Agent: curl\r\nx-request"))
    upstream = mesh.dialled()
    mesh.passes(0.25)
    upstream.says(OK)
    ((path, lines),) = mesh.engine.take_access_log()
    expected = b'[1970-01-01T00:16:40.000Z] "GET / HTTP/1.1" 200 - 0 2 250 "curl" "1" "h" "10.0.0.1:80" all\n'
    assert (path, lines) == ("/dev/stdout", expected)


def test_the_access_log_names_an_endpoint_whose_connection_is_forgotten() -> None:
    mesh = Playbook(snapshot(listener=Listener("in", "", "t", access_log="/dev/stdout")))
    client = mesh.connect()
    client.says(GET)
    mesh.dialled().vanishes()
    assert status(client) == 503
    ((_, line),) = mesh.engine.take_access_log()
    assert line.endswith(b' "h" "10.0.0.1:80" all\n')


def test_a_header_match_and_a_split_choose_the_cluster() -> None:
    match = RouteMatch(headers=(HeaderMatch("x-v", TextKind.EXACT, "2"),))
    mesh = Playbook(snapshot(routes=(Route(match, DirectResponse(222)), Route(RouteMatch(), DirectResponse(211)))))
    client = mesh.connect()
    client.says(GET.replace(b"x-request-id: 1", b"X-V: 2"))
    assert status(client) == 222
    client.says(GET)
    assert status(client) == 211
