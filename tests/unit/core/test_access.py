"""Rules by roles: who is let through, and how each protocol tells those who are not. Virtual time."""

from __future__ import annotations

import dataclasses
import json

import pytest

from eventmesh.model.access import AccessStep, Off, Policy, Rbac, RuleAction, Rules
from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import HeaderMatch, TextKind, TextMatch
from eventmesh.model.policy import Filters, RateLimit
from eventmesh.model.question import (
    Anything,
    DestinationPort,
    Header,
    Not,
    Principal,
    ServerName,
    SourceIp,
    Test,
    UrlPath,
)
from eventmesh.model.question import Caller as CallerOf
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Playbook, forward, snapshot
from tests.unit.core.requests import GET, TWO, status
from tests.unit.core.test_bolt import error, request
from tests.unit.core.test_filters import GRPC
from tests.unit.core.test_retries import flags
from tests.unit.core.test_tls import MUTUAL, TimedPlaybook
from tests.unit.core.tls_peer import TlsPeer, client_context

ADMIN = UrlPath(TextMatch(TextKind.PREFIX, "/admin"))
CALLER = TextMatch(TextKind.EXACT, "spiffe://cluster.local/ns/default/sa/caller")


def rules(action: RuleAction, principal: Test, permission: Test | None = None) -> Rules:
    return Rules(action, (Policy("p", (permission or Anything(),), (principal,)),))


def deny(principal: Test, permission: Test | None = None) -> AccessStep:
    return AccessStep("rbac", Rbac(rules(RuleAction.DENY, principal, permission)))


def allow(principal: Test, permission: Test | None = None) -> AccessStep:
    return AccessStep("rbac", Rbac(rules(RuleAction.ALLOW, principal, permission)))


def mesh_with(
    *steps: AccessStep, of_route: tuple[AccessStep, ...] = (), protocol: WireProtocol = WireProtocol.HTTP1
) -> Playbook:
    listener = Listener("in", "10.0.0.9:8443", "t", access_log="log", filters=Filters(access=steps))
    route = dataclasses.replace(forward("up"), filters=Filters(access=of_route))
    return Playbook(snapshot(Cluster("up", TWO[:1], protocol=protocol), routes=(route,), listener=listener))


def asks(mesh: Playbook, path: str = "/") -> int:
    """Return the status that a request is answered with; 0: it has been sent on."""
    client = mesh.connect()
    client.says(b"GET " + path.encode() + GET[5:])
    return status(client) if client.heard else 0


def counted(mesh: Playbook) -> dict[str, int]:
    rows = json.loads(mesh.engine.stats())["counters"]
    prefix = "envoy_http_rbac_"
    return {name.removeprefix(prefix): value for name, _, value in rows if name.startswith(prefix)}


def test_who_may_not_is_refused_in_envoys_words_and_counted() -> None:
    mesh = mesh_with(deny(Anything(), ADMIN))
    client = mesh.connect()
    client.says(GET.replace(b"/ ", b"/admin?x "))
    assert client.takes().startswith(b"HTTP/1.1 403 Forbidden\r\n") and flags(mesh) == ["-"]
    client.says(GET.replace(b"/ ", b"/other "))
    assert mesh.dials and counted(mesh) == {"allowed": 1, "denied": 1}


def test_the_body_says_why() -> None:
    client = mesh_with(deny(Anything())).connect()
    client.says(GET)
    assert client.takes().endswith(b"\r\n\r\nRBAC: access denied")


def test_steps_are_asked_in_their_order_until_one_refuses() -> None:
    first, second = deny(Anything(), ADMIN), AccessStep("second", allow(Anything(), Not(ADMIN)).step)
    mesh = mesh_with(first, second)
    assert [asks(mesh, path) for path in ("/admin", "/")] == [403, 0]
    assert counted(mesh) == {"allowed": 2, "denied": 1}


def test_shadow_rules_are_only_counted() -> None:
    shadow = Rbac(rules=None, shadow=rules(RuleAction.DENY, Anything(), ADMIN))
    mesh = mesh_with(AccessStep("rbac", shadow))
    assert [asks(mesh, path) for path in ("/admin", "/")] == [0, 0]
    assert counted(mesh) == {"shadow_allowed": 1, "shadow_denied": 1}


def test_a_route_replaces_switches_off_and_adds_steps() -> None:
    everybody = deny(Anything())
    assert asks(mesh_with(everybody, of_route=(AccessStep("rbac", Off()),))) == 0
    assert asks(mesh_with(everybody, of_route=(deny(Anything(), ADMIN),))) == 0
    assert asks(mesh_with(everybody, of_route=(AccessStep("other", Off()),))) == 403
    assert asks(mesh_with(of_route=(everybody,))) == 403


def test_who_is_refused_takes_no_token_from_others() -> None:
    limit = RateLimit(max_tokens=1, tokens_per_fill=1, fill_interval_s=1.0)
    listener = Listener("in", "", "t", filters=Filters(rate_limit=limit, access=(deny(Anything(), ADMIN),)))
    mesh = Playbook(snapshot(listener=listener))
    assert [asks(mesh, path) for path in ("/admin", "/", "/")] == [403, 0, 429]


def test_callers_are_told_by_their_addresses_and_by_what_proxies_say() -> None:
    told = deny(SourceIp(CallerOf.TOLD, "192.0.2.0/24"))
    client = mesh_with(told).connect()
    client.says(GET.replace(b"\r\n\r\n", b"\r\nx-forwarded-for: 10.0.0.1, 192.0.2.7\r\n\r\n"))
    assert status(client) == 403
    assert asks(mesh_with(told)) == 0 and asks(mesh_with(deny(SourceIp(CallerOf.DIRECT, "10.9.9.9/32")))) == 403


def test_ports_are_those_of_the_listener() -> None:
    assert asks(mesh_with(deny(Anything(), DestinationPort(8443, 8443)))) == 403
    assert asks(mesh_with(deny(Anything(), DestinationPort(80, 8442)))) == 0


@pytest.mark.parametrize(("name", "expected"), [("caller", b"200"), ("", b"403")])
def test_a_principal_is_the_name_in_a_certificate(name: str, expected: bytes) -> None:
    tls = dataclasses.replace(MUTUAL, require_client_certificate=False)
    mesh = TimedPlaybook(
        snapshot(listener=Listener("in", "", "t", tls=tls, filters=Filters(access=(allow(Principal(CALLER)),))))
    )
    client = TlsPeer(mesh.connect(), client_context(name))
    client.shakes_hands()
    client.says(GET)
    if expected == b"200":
        assert mesh.dials, mesh.dialogue()
    else:
        assert client.takes().split(b" ")[1] == expected


def test_the_server_name_is_the_one_of_the_handshake() -> None:
    wanted = ServerName(TextMatch(TextKind.EXACT, "example.com"))
    mesh = TimedPlaybook(
        snapshot(listener=Listener("in", "", "t", tls=MUTUAL, filters=Filters(access=(deny(Anything(), wanted),))))
    )
    client = TlsPeer(mesh.connect(), client_context("caller"))
    client.shakes_hands()
    client.says(GET)
    assert client.takes().split(b" ")[1] == b"403"


def test_a_grpc_caller_is_told_permission_denied() -> None:
    mesh = mesh_with(deny(Anything()), protocol=WireProtocol.HTTP2)
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/s/m", method="POST", fields=GRPC, body=b"")
    head = client.streams[stream].head
    assert (head["grpc-status"], head["grpc-message"]) == ("7", "RBAC: access denied")


def test_a_bolt_caller_is_told_an_error_and_is_known_by_its_headers() -> None:
    service = Header(HeaderMatch("service", TextKind.EXACT, "denied"))
    caller = mesh_with(deny(Anything(), service), protocol=WireProtocol.BOLT).connect()
    caller.says(request(7, service="denied"))
    caller.hears(error(7, 1))
    caller.says(request(8, service="other"))
    assert caller.mesh.dials and not caller.heard


def test_what_the_mesh_itself_asks_for_is_let_through() -> None:
    mesh = mesh_with(of_route=(deny(Anything()),))
    mesh.send()
    assert mesh.dials


def test_a_rule_that_cannot_be_is_refused_by_field() -> None:
    wrong = deny(SourceIp(CallerOf.DIRECT, "nowhere"))
    field = r'filters\.access\["rbac"\]\.rules\.policies\["p"\]\.principals: "nowhere" is no IP address'
    with pytest.raises(ValueError, match=field):
        mesh_with(wrong)
    with pytest.raises(ValueError, match=field):
        mesh_with(of_route=(wrong,))
