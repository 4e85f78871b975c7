"""Every policy that makes sense for a protocol of whole frames, for each of them: Bolt, Dubbo 2, a declared one."""

from __future__ import annotations

import json

import pytest

from eventmesh.model.access import AccessStep, Policy, Rbac, RuleAction, Rules
from eventmesh.model.authz import AskedByHttp, AuthzOverride, AuthzService
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.policy import (
    Fault,
    Filters,
    HealthCheck,
    OutlierDetection,
    RateLimit,
    RetryOn,
    RetryPolicy,
    TcpProbe,
)
from eventmesh.model.question import Anything, Header
from eventmesh.model.route import Forward, Mirror, Route, WeightedCluster
from eventmesh.model.share import MILLION
from tests.tokens import token
from tests.unit.core.frames import FRAMES, Frames, one_at_a_time
from tests.unit.core.playbook import called
from tests.unit.core.test_jwt import GOOD
from tests.unit.core.test_jwt import step as jwt_step
from tests.unit.core.test_retries import LONGEST_WAIT_S, counters, flags

each = pytest.mark.parametrize("frames", FRAMES, ids=lambda frames: frames.name)
ON_ONE = 65_536
"""What one connection to an endpoint carries at once (`MAX_FRAMED_STREAMS`)."""
MANY = tuple(f"10.0.0.{number}:1" for number in range(1, 6))
USER = "x-user"


def retrying(*words: RetryOn, **terms: object) -> tuple[Route, ...]:
    policy = RetryPolicy(words, **terms)  # type: ignore[arg-type]
    return (Route(RouteMatch(), Forward((WeightedCluster("up"),), timeout_s=15.0, retry=policy)),)


@each
def test_headers_and_methods_choose_the_route(frames: Frames) -> None:
    canary = HeaderMatch("stage", TextKind.EXACT, "canary")
    rename = HeaderMatch(":path", TextKind.SUFFIX, "/rename")
    routes = (
        Route(RouteMatch(headers=(canary,)), Forward((WeightedCluster("two"),))),
        Route(RouteMatch(headers=(rename,)), Forward((WeightedCluster("three"),))),
        Route(RouteMatch(), Forward((WeightedCluster("one"),))),
    )
    clusters = [frames.cluster(name, f"{name}:1") for name in ("one", "two", "three")]
    mesh = frames.mesh(*clusters, routes=routes)
    caller = mesh.connect()
    for id_, (method, headers) in enumerate((("find", {}), ("find", {"stage": "canary"}), ("rename", {}))):
        caller.says(frames.call(id_, method, headers))
    assert [peer.address for peer in mesh.dials] == ["one:1", "two:1", "three:1"]


@each
def test_an_expression_chooses_a_route(frames: Frames) -> None:
    header = HeaderMatch("stage", TextKind.REGEX, "canary-[0-9]+")
    routes = (
        Route(RouteMatch("/[^/]+/re.*", PathKind.REGEX), Forward((WeightedCluster("three"),))),
        Route(RouteMatch(headers=(header,)), Forward((WeightedCluster("two"),))),
        Route(RouteMatch(), Forward((WeightedCluster("one"),))),
    )
    clusters = [frames.cluster(name, f"{name}:1") for name in ("one", "two", "three")]
    mesh = frames.mesh(*clusters, routes=routes)
    caller = mesh.connect()
    for id_, (method, stage) in enumerate((("find", "canary-"), ("find", "canary-12"), ("rename", ""))):
        caller.says(frames.call(id_, method, {"stage": stage}))
    assert [peer.address for peer in mesh.dials] == ["one:1", "two:1", "three:1"]


@each
def test_weights_share_the_calls_out(frames: Frames) -> None:
    split = (Route(RouteMatch(), Forward((WeightedCluster("one", 70), WeightedCluster("two", 30)))),)
    mesh = frames.mesh(frames.cluster("one", "one:1"), frames.cluster("two", "two:1"), routes=split)
    asked = one_at_a_time(mesh, frames, 200)
    assert 40 <= asked.count("two:1") <= 80


@each
def test_the_time_of_a_call_is_bounded(frames: Frames) -> None:
    route = Route(RouteMatch(), Forward((WeightedCluster("up"),), timeout_s=1.0))
    mesh = frames.mesh(routes=(route,))
    caller, server = called(mesh, frames.call(7, "find", {}))
    mesh.passes(0.9)
    caller.hears(b"")
    mesh.passes(0.2)
    assert frames.code(caller.takes()) == frames.late and flags(mesh) == ["UT"]
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(b"")


@each
def test_who_says_that_he_has_failed_is_asked_again(frames: Frames) -> None:
    mesh = frames.mesh(routes=retrying(RetryOn.SERVER_ERROR))
    caller, server = called(mesh, frames.call(9, "find", {}))
    first = server.takes()
    server.says(frames.failure(frames.id_of(first)))
    mesh.passes(LONGEST_WAIT_S)
    second = server.takes()
    assert frames.id_of(second) != frames.id_of(first)
    server.says(frames.answer(frames.id_of(second)))
    caller.hears(frames.answer(9))


@each
def test_a_call_whose_server_vanished_is_made_again_elsewhere(frames: Frames) -> None:
    mesh = frames.mesh(frames.cluster("up", *MANY[:2]), routes=retrying(RetryOn.RESET))
    caller, server = called(mesh, frames.call(9, "find", {}))
    server.vanishes()
    mesh.passes(LONGEST_WAIT_S)
    other = mesh.dialled()
    other.says(frames.answer(frames.id_of(other.takes())))
    caller.hears(frames.answer(9))


@each
def test_a_call_that_may_have_been_carried_out_is_not_made_again_without_a_policy(frames: Frames) -> None:
    caller, server = called(mesh := frames.mesh(frames.cluster("up", *MANY[:2])), frames.call(9, "find", {}))
    server.vanishes()
    mesh.passes(LONGEST_WAIT_S)
    assert not mesh.dials and caller.takes()


@each
@pytest.mark.parametrize("retries", [False, True])
def test_calls_without_an_answer_pass_whole_over_a_connection_that_is_there(frames: Frames, retries: bool) -> None:
    mesh = frames.mesh(routes=retrying(RetryOn.SERVER_ERROR) if retries else ())
    caller, server = called(mesh, frames.call(1, "find", {}))
    server.says(frames.answer(frames.id_of(server.takes())))
    assert caller.takes() == frames.answer(1)
    for data in (frames.oneway(2), frames.oneway(3) + frames.call(4, "find", {})):
        caller.says(data)
        heard = server.takes()
        letter = frames.oneway(frames.id_of(heard))
        assert heard.startswith(letter)
        behind = heard[len(letter) :]
        assert behind == (frames.call(frames.id_of(behind), "find", {}) if behind else b"")
    server.says(frames.answer(frames.id_of(behind)))
    caller.hears(frames.answer(4))
    assert mesh.engine.active() == 0 and len(flags(mesh)) == 4


@each
def test_a_try_that_takes_too_long_is_made_again(frames: Frames) -> None:
    mesh = frames.mesh(routes=retrying(RetryOn.SERVER_ERROR, per_try_timeout_s=1.0))
    caller, server = called(mesh, frames.call(9, "find", {}))
    first = server.takes()
    mesh.passes(1.0 + LONGEST_WAIT_S)
    second = server.takes()
    server.says(frames.answer(frames.id_of(first)))
    caller.hears(b"")
    server.says(frames.answer(frames.id_of(second)))
    caller.hears(frames.answer(9))


@each
def test_retries_under_way_are_bounded_by_the_cluster(frames: Frames) -> None:
    mesh = frames.mesh(frames.cluster(max_retries=1), routes=retrying(RetryOn.SERVER_ERROR))
    caller, server = called(mesh, frames.call(1, "find", {}))
    first = frames.id_of(server.takes())
    caller.says(frames.call(2, "find", {}))
    second = frames.id_of(server.takes())
    server.says(frames.failure(first))
    caller.hears(b"")
    server.says(frames.failure(second))
    caller.hears(frames.failure(2))
    assert flags(mesh) == ["UO"] and counters(mesh)["upstream_rq_retry_overflow"] == 1
    mesh.passes(LONGEST_WAIT_S)
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(1))


@each
def test_requests_beyond_the_limit_are_told_busy(frames: Frames) -> None:
    mesh = frames.mesh(frames.cluster(max_requests=1))
    caller = mesh.connect()
    caller.says(frames.call(1, "find", {}) + frames.call(2, "find", {}))
    assert frames.code(caller.takes()) == frames.busy and flags(mesh) == ["UO"]


@each
def test_calls_that_wait_for_a_connection_are_bounded(frames: Frames) -> None:
    mesh = frames.mesh(frames.cluster(max_pending=1))
    caller = mesh.connect()
    caller.says(frames.call(1, "find", {}) + frames.call(2, "find", {}))
    assert frames.code(caller.takes()) == frames.busy
    server = mesh.dialled()
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(1))


@each
def test_calls_beyond_what_one_connection_carries_wait_within_a_limit(frames: Frames) -> None:
    cluster = frames.cluster(max_requests=0, max_connections=1, max_pending=1)
    mesh = frames.mesh(cluster)
    caller, _ = called(mesh, frames.call(0, "find", {}))
    caller.says(b"".join(frames.call(id_, "find", {}) for id_ in range(1, ON_ONE)))
    other = mesh.connect()
    other.says(frames.call(1, "find", {}) + frames.call(2, "find", {}))
    assert not mesh.dials and mesh.engine.capacity("up")[1:] == (ON_ONE, 1)
    assert frames.code(other.takes()) == frames.busy


@each
def test_who_fails_in_a_row_is_given_nothing_for_its_time(frames: Frames) -> None:
    terms = OutlierDetection(consecutive_5xx=3, max_ejection_percent=100, interval_s=1.0, base_ejection_time_s=5.0)
    mesh = frames.mesh(frames.cluster(outlier=terms))
    caller, server = called(mesh, frames.call(1, "find", {}))
    for id_ in range(3):
        server.says(frames.failure(frames.id_of(server.takes())))
        caller.says(frames.call(id_, "find", {}))
    assert counters(mesh)["outlier_detection_ejections_active"] == 1


@each
def test_a_connection_is_all_that_a_check_wants(frames: Frames) -> None:
    check = HealthCheck(TcpProbe(), 1.0, 10.0, 2.0, unhealthy_threshold=1, healthy_threshold=1)
    mesh = frames.mesh(frames.cluster("up", *MANY[:2], health_check=check))
    mesh.passes(0.001)
    first, second = mesh.dials
    mesh.dials.clear()
    first.opens()
    second.refuses()
    assert (first.heard, first.events) == (b"", ["close"])
    assert set(one_at_a_time(mesh, frames, 4)) == {first.address}


@each
def test_calls_beyond_the_rate_are_told_busy_until_tokens_come(frames: Frames) -> None:
    limit = RateLimit(max_tokens=1, tokens_per_fill=1, fill_interval_s=1.0)
    caller, server = called(mesh := frames.mesh(filters=Filters(rate_limit=limit)), frames.call(1, "find", {}))
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(1))
    caller.says(frames.call(2, "find", {}))
    assert frames.code(caller.takes()) == frames.busy and flags(mesh) == ["-", "RL"]
    mesh.passes(1.1)
    caller.says(frames.call(3, "find", {}))
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(3))


@each
def test_faults_are_told_in_the_protocol_s_own_words(frames: Frames) -> None:
    fault = Fault(delay_s=2.0, delay_millionths=MILLION, abort_status=503, abort_millionths=MILLION)
    mesh = frames.mesh(filters=Filters(fault=fault))
    caller = mesh.connect()
    caller.says(frames.call(1, "find", {}))
    mesh.passes(1.9)
    caller.hears(b"")
    mesh.passes(0.2)
    assert frames.code(caller.takes()) == frames.configured and not mesh.dials


@each
def test_who_may_not_call_is_told_an_error(frames: Frames) -> None:
    denied = Header(HeaderMatch(USER, TextKind.EXACT, "eve"))
    rules = Rules(RuleAction.DENY, (Policy("p", (Anything(),), (denied,)),))
    mesh = frames.mesh(filters=Filters(access=(AccessStep("rbac", Rbac(rules)),)))
    caller = mesh.connect()
    caller.says(frames.call(1, "find", {USER: "eve"}))
    assert frames.code(caller.takes()) == frames.forbidden and not mesh.dials
    caller.says(frames.call(2, "find", {USER: "ada"}))
    assert mesh.dials and not caller.heard


@each
def test_who_shows_no_good_token_is_told_an_error(frames: Frames) -> None:
    mesh = frames.mesh(filters=Filters(access=(jwt_step(),)))
    caller = mesh.connect()
    for id_, headers in enumerate(({}, {"authorization": "Bearer x"})):
        caller.says(frames.call(id_, "find", headers))
        assert frames.code(caller.takes()) == frames.forbidden and flags(mesh) == ["UAEX"]
    caller.says(frames.call(2, "find", {"authorization": f"Bearer {token(GOOD)}"}))
    server = mesh.dialled()
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(2))


@each
def test_whoever_is_asked_says_which_calls_go_on(frames: Frames) -> None:
    ask = AccessStep("ask", AuthzOverride(AuthzService("authz", AskedByHttp(prefix="/check"))))
    authz = Cluster("authz", (Endpoint("10.0.0.9:80"),))
    mesh = frames.mesh(frames.cluster(), authz, filters=Filters(access=(ask,)))
    caller = mesh.connect()
    caller.says(frames.call(1, "find", {}))
    service = mesh.dialled("10.0.0.9:80")
    head, _, rest = service.takes().partition(b"\r\n")
    assert head.startswith(b"POST /check/") and b"find" in head and b"\r\n\r\n" in rest and not mesh.dials
    service.says(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    assert frames.code(caller.takes()) == frames.forbidden and not mesh.dials
    caller.says(frames.call(2, "find", {}))
    service.says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert mesh.dials and not caller.heard


@each
def test_every_call_is_counted_and_logged(frames: Frames) -> None:
    mesh = frames.mesh()
    caller, server = called(mesh, frames.call(1, "find", {}))
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.says(frames.call(2, "find", {}))
    server.says(frames.failure(frames.id_of(server.takes())))
    ((_, lines),) = mesh.engine.take_access_log()
    ok, failed = lines.decode().splitlines()
    assert '"find /' in ok and '" 200 - ' in ok
    assert '" 200 ' not in failed
    assert counters(mesh)["upstream_rq_total"] == 2
    by_class = [row for row in json.loads(mesh.engine.stats())["counters"] if row[0] == "envoy_cluster_upstream_rq_xx"]
    assert sorted(dict(labels)["envoy_response_code_class"] for _, labels, value in by_class if value) == ["2", "5"]


@each
def test_a_drained_caller_has_its_answer_and_is_let_go(frames: Frames) -> None:
    mesh = frames.mesh()
    caller, server = called(mesh, frames.call(1, "find", {}))
    mesh.do(mesh.engine.drain(mesh.now))
    caller.takes()
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(1))
    # Not at once: a client that hands answers to other threads would fail what it has not looked at.
    mesh.passes(0.9)
    caller.says(frames.call(2, "find", {}))
    server.says(frames.answer(frames.id_of(server.takes())))
    caller.hears(frames.answer(2))
    mesh.passes(0.9)
    assert caller.events == []
    mesh.passes(0.1)
    assert caller.events == ["close"]


@each
def test_a_call_is_copied_under_an_id_of_its_own(frames: Frames) -> None:
    route = Route(RouteMatch(), Forward((WeightedCluster("up"),), mirrors=(Mirror("copies"),)))
    mesh = frames.mesh(frames.cluster("up", MANY[0]), frames.cluster("copies", MANY[1]), routes=(route,))
    caller = mesh.connect()
    caller.says(frames.call(7, "find", {}))
    main, copy = mesh.dialled(MANY[0]), mesh.dialled(MANY[1])
    sent, copied = main.takes(), copy.takes()
    assert len(copied) == len(sent)
    copy.says(frames.failure(frames.id_of(copied)))
    caller.hears(b"")
    main.says(frames.answer(frames.id_of(sent)))
    caller.hears(frames.answer(7))
    assert mesh.engine.active() == 0
