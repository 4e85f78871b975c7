"""Requests about which a filter of this process decides: what the core asks, and what it does with the answer."""

from __future__ import annotations

import dataclasses
import json

import pytest

from eventmesh.core._core import Request
from eventmesh.model.access import AccessStep, Off, Policy, Rbac, RuleAction, Rules
from eventmesh.model.authz import FilterConfig, PythonFilter
from eventmesh.model.listener import Listener
from eventmesh.model.match import HeaderMatch, TextKind
from eventmesh.model.policy import Filters
from eventmesh.model.question import Anything, Header
from eventmesh.model.snapshot import Snapshot
from tests.unit.core.frames import FRAMES, Frames
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.requests import GET, OK, status
from tests.unit.core.test_filters import GRPC
from tests.unit.core.test_retries import flags

FILTER = PythonFilter("f.py", "tenant", timeout_s=0.5)
SERVER = "10.0.0.1:80"


def mesh_with(
    filter_: PythonFilter = FILTER, *, of_route: tuple[AccessStep, ...] = (), after: tuple[AccessStep, ...] = ()
) -> Playbook:
    return Playbook(chained(AccessStep("python", filter_), *after, of_route=of_route))


def chained(*steps: AccessStep, of_route: tuple[AccessStep, ...] = ()) -> Snapshot:
    listener = Listener("in", "", "t", access_log="log", filters=Filters(access=steps))
    route = dataclasses.replace(forward("up"), filters=Filters(access=of_route))
    return snapshot(routes=(route,), listener=listener)


def screened(mesh: Playbook) -> tuple[int, Request]:
    """Return the one question there is."""
    ((token, name, request),) = mesh.screened
    assert name == "f.py:tenant"
    mesh.screened.clear()
    return token, request


def counted(mesh: Playbook) -> dict[str, int]:
    rows = json.loads(mesh.engine.stats())["counters"]
    prefix = "envoy_http_python_filter_"
    return {name.removeprefix(prefix): value for name, _, value in rows if name.startswith(prefix) and value}


def test_a_filter_is_told_the_head_and_the_request_waits() -> None:
    mesh = mesh_with()
    mesh.connect().says(b"POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi")
    _, request = screened(mesh)
    assert (request.method, request.authority, request.path, request.peer) == ("POST", "h", "/a?b", "10.9.9.9:5")
    assert ("x-a", "1") in request.headers and not mesh.dials


def test_it_goes_on_with_the_headers_that_the_filter_sets_and_takes_away() -> None:
    mesh = mesh_with()
    client = mesh.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nX-Gone: 1\r\nX-Set: old\r\nContent-Length: 2\r\n\r\nh")
    token, _ = screened(mesh)
    client.says(b"i")
    mesh.do(mesh.engine.let_through(token, [("X-Set", "new")], ["X-GONE", "host"], mesh.now))
    sent = mesh.dialled(SERVER).takes()
    assert b"x-set: new\r\n" in sent and b"host: h\r\n" in sent and sent.endswith(b"\r\n\r\nhi")
    assert b"old" not in sent and b"gone" not in sent and counted(mesh) == {"ok": 1}


def test_it_is_answered_as_the_filter_says() -> None:
    mesh = mesh_with()
    client = mesh.connect()
    client.says(GET)
    token, _ = screened(mesh)
    mesh.do(mesh.engine.turn_away(token, 402, [("X-Why", "unpaid")], b"pay first", mesh.now))
    heard = client.takes()
    assert heard.startswith(b"HTTP/1.1 402 ") and b"x-why: unpaid\r\n" in heard and heard.endswith(b"\r\n\r\npay first")
    assert flags(mesh) == ["UAEX"] and counted(mesh) == {"denied": 1} and not mesh.dials


@pytest.mark.parametrize("fail_open", [False, True])
@pytest.mark.parametrize("says_so", [False, True])
def test_without_a_decision_the_failure_policy_decides(fail_open: bool, says_so: bool) -> None:
    mesh = mesh_with(dataclasses.replace(FILTER, fail_open=fail_open, status_on_error=500))
    client = mesh.connect()
    client.says(GET)
    token, _ = screened(mesh)
    if says_so:
        mesh.do(mesh.engine.undecided(token, mesh.now))
    else:
        mesh.passes(0.4)
        assert not client.heard and not mesh.dials
        mesh.passes(0.2)
    if fail_open:
        assert mesh.dialled(SERVER) and counted(mesh) == {"error": 1, "failure_mode_allowed": 1}
    else:
        assert status(client) == 500 and not mesh.dials and counted(mesh) == {"error": 1}
    mesh.do(mesh.engine.let_through(token, [], [], mesh.now))
    assert not mesh.dials and not client.heard, "a decision that comes too late changes nothing"


def test_a_caller_that_has_gone_needs_no_decision() -> None:
    mesh = mesh_with()
    client = mesh.connect()
    client.says(GET)
    token, _ = screened(mesh)
    client.vanishes()
    mesh.do(mesh.engine.let_through(token, [], [], mesh.now))
    assert not mesh.dials and mesh.engine.active() == 0


def test_what_cannot_be_sent_is_refused_and_the_request_still_waits() -> None:
    mesh = mesh_with()
    client = mesh.connect()
    client.says(GET)
    token, _ = screened(mesh)
    for headers in ([("x-a", "1\r\nx-b: 2")], [("x a", "1")], [(":path", "a b")]):
        with pytest.raises(ValueError, match="cannot be sent"):
            mesh.engine.let_through(token, headers, [], mesh.now)
    with pytest.raises(ValueError, match="status: 99"):
        mesh.engine.turn_away(token, 99, [], b"", mesh.now)
    mesh.do(mesh.engine.let_through(token, [], [], mesh.now))
    mesh.dialled(SERVER).says(OK)
    assert status(client) == 200


def test_a_filter_comes_in_the_order_of_the_chain_and_what_it_sets_is_seen_by_later_steps() -> None:
    is_gold = Header(HeaderMatch("x-tier", TextKind.EXACT, "gold"))
    rules = Rules(RuleAction.ALLOW, (Policy("p", (Anything(),), (is_gold,)),))
    mesh = mesh_with(after=(AccessStep("rbac", Rbac(rules)),))
    for tier, expected in (("gold", True), ("tin", False)):
        mesh.connect().says(GET)
        token, _ = screened(mesh)
        mesh.do(mesh.engine.let_through(token, [("x-tier", tier)], [], mesh.now))
        assert bool(mesh.dials) == expected
        mesh.dials.clear()


def test_a_route_switches_it_off_or_names_another() -> None:
    mesh = mesh_with(of_route=(AccessStep("python", Off()),))
    mesh.connect().says(GET)
    assert mesh.dialled(SERVER) and not mesh.screened
    mesh = mesh_with(of_route=(AccessStep("python", PythonFilter("g.py", "other")),))
    mesh.connect().says(GET)
    assert [name for _, name, _ in mesh.screened] == ["g.py:other"]


def test_filters_that_are_made_with_something_else_are_asked_under_other_names() -> None:
    of_route = dataclasses.replace(FILTER, config=FilterConfig.of({"a": 1}))
    for config in (None, FilterConfig.of({}), FilterConfig.of({"a": 2})):
        own = dataclasses.replace(FILTER, config=config)
        mesh = Playbook(chained(AccessStep("one", own), of_route=(AccessStep("two", of_route),)))
        mesh.connect().says(GET)
        ((token, name, _),) = mesh.screened
        mesh.do(mesh.engine.let_through(token, [], [], mesh.now))
        assert [name, mesh.screened[1][1]] == [own.asked_as, of_route.asked_as]
        assert own.asked_as != of_route.asked_as and own.asked_as.startswith("f.py:tenant")


def test_beyond_the_bound_nobody_is_asked() -> None:
    mesh = mesh_with()
    clients = [mesh.connect() for _ in range(1_025)]
    for client in clients:
        client.says(GET)
    assert len(mesh.screened) == 1_024 and status(clients[-1]) == 503
    mesh.do(mesh.engine.undecided(mesh.screened[0][0], mesh.now))
    mesh.connect().says(GET)
    assert len(mesh.screened) == 1_025, "one that is decided makes room"


def test_a_grpc_caller_is_told_by_its_own_status() -> None:
    mesh = mesh_with()
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/a.B/C", method="POST", fields=GRPC, body=b"")
    token, _ = screened(mesh)
    mesh.do(mesh.engine.turn_away(token, 403, [], b"not you", mesh.now))
    client.exchange()
    assert client.streams[stream].head["grpc-status"] == "7"


@pytest.mark.parametrize("frames", FRAMES, ids=lambda frames: frames.name)
def test_a_filter_decides_about_calls_of_every_protocol(frames: Frames) -> None:
    mesh = frames.mesh(filters=Filters(access=(AccessStep("python", FILTER),)))
    caller = mesh.connect()
    caller.says(frames.call(1, "find", {"x-user": "eve"}))
    token, request = screened(mesh)
    assert request.path.endswith("/find") and ("x-user", "eve") in request.headers
    mesh.do(mesh.engine.turn_away(token, 403, [], b"no", mesh.now))
    assert frames.code(caller.takes()) == frames.forbidden and not mesh.dials
    caller.says(frames.call(2, "find", {}))
    token, _ = screened(mesh)
    mesh.do(mesh.engine.let_through(token, [("x-tenant", "a")], [], mesh.now))
    # Bolt's header map is written anew; what else a frame holds passes as it came (docs/python-filters.md).
    assert (b"x-tenant" in mesh.dialled().takes()) == (frames.name == "bolt")


def test_terms_that_cannot_be_kept_are_refused_by_name() -> None:
    for seconds in (0.0, 61.0):
        with pytest.raises(ValueError, match="timeout_s"):
            mesh_with(dataclasses.replace(FILTER, timeout_s=seconds))
    with pytest.raises(ValueError, match="status_on_error"):
        mesh_with(dataclasses.replace(FILTER, status_on_error=199))


@pytest.mark.parametrize("later", [(), (AccessStep("python", FILTER),)], ids=["without it", "with it in another place"])
def test_a_decision_counts_whatever_the_chain_has_become_meanwhile(later: tuple[AccessStep, ...]) -> None:
    everybody = Rbac(Rules(RuleAction.ALLOW, (Policy("all", (Anything(),), (Anything(),)),)))
    mesh = Playbook(chained(AccessStep("rules", everybody), AccessStep("python", FILTER)))
    client = mesh.connect()
    client.says(GET)
    token, _ = screened(mesh)
    mesh.apply(chained(*later))
    mesh.do(mesh.engine.turn_away(token, 402, [], b"", mesh.now))
    assert status(client) == 402 and not mesh.dials and not mesh.screened
