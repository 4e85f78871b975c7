"""Tokens that callers must bear: which are taken, and what becomes of the request. Virtual time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from eventmesh.core import Engine
from eventmesh.model.access import AccessStep, Off, Policy, Rbac, RuleAction, Rules
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.jwt import (
    NAMESPACE,
    AllRequired,
    Jwt,
    JwtProvider,
    JwtRule,
    MayBeMissing,
    MayFail,
    Named,
    OneRequired,
    RemoteKeys,
    Requirement,
    TokenOf,
)
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import RouteMatch, TextKind, TextMatch
from eventmesh.model.policy import Filters
from eventmesh.model.question import Anything, HasMember, IsText, Metadata
from eventmesh.model.snapshot import Snapshot
from tests.tokens import ALGORITHMS, encoded, key_set, public, token
from tests.unit.core.http2_peer import Http2Peer
from tests.unit.core.playbook import Peer, Playbook, forward, snapshot
from tests.unit.core.requests import OK
from tests.unit.core.test_filters import GRPC
from tests.unit.core.test_retries import flags

TODAY = 1_800_000_000
"""What the engine's clock says, in seconds since the epoch."""
ISSUER = "https://issuer.test"
GOOD = {"iss": ISSUER, "sub": "me", "aud": ["shop"], "exp": TODAY + 600}
KEYS = key_set()
REMOTE = RemoteKeys("issuer", "issuer.test", "/keys?v=1", timeout_s=5.0, cache_s=100.0)
PROVIDER = JwtProvider("one", ISSUER, ("shop",), keys=KEYS, forward=True)
ONE = TokenOf("one")


def step(*providers: JwtProvider, requires: Requirement | None = ONE, path: str = "/", **fields: Any) -> AccessStep:
    return AccessStep("jwt", Jwt(providers or (PROVIDER,), (JwtRule(RouteMatch(path), requires),), **fields))


def configured(*steps: AccessStep, of_route: tuple[AccessStep, ...] = (), cluster: Cluster | None = None) -> Snapshot:
    cluster = cluster or Cluster("up", (Endpoint("10.0.0.1:80"),))
    listener = Listener("in", "", "t", access_log="log", filters=Filters(access=steps))
    route = dataclasses.replace(forward("up"), filters=Filters(access=of_route))
    return snapshot(cluster, routes=(route,), listener=listener)


class DatedPlaybook(Playbook):
    """A playbook whose engine knows the day by which tokens are judged."""

    def __init__(self, config: Snapshot) -> None:
        super().__init__(config)
        self.engine = Engine(1, wall_offset_s=TODAY - self.now)
        self.apply(config)


def mesh_with(*steps: AccessStep, **fields: Any) -> Playbook:
    return DatedPlaybook(configured(*steps, **fields))


def says(client: Peer, path: str = "/", method: str = "GET", **headers: str) -> None:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    client.says(f"{method} {path} HTTP/1.1\r\nHost: h\r\nx-request-id: 1\r\n{lines}\r\n".encode())


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def told(mesh: Playbook, **request: str) -> tuple[int, str]:
    """Return status and body of the answer to a request; (0, its head) when it was sent on."""
    client = mesh.connect()
    says(client, **request)
    if not client.heard:
        (server,) = [mesh.dialled() for _ in list(mesh.dials)] or [p for p in mesh.peers.values() if p.heard]
        sent = server.takes().decode()
        server.says(OK)
        client.takes()
        return 0, sent
    head, _, body = client.takes().decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def judged(claims: Mapping[str, Any], step_: AccessStep | None = None, **signing: Any) -> tuple[int, str]:
    status, body = told(mesh_with(step_ or step()), **bearing(token(claims, **signing)))
    return status, body if status else ""


def written(header: str, payload: str = "{}", signature: str = "AA") -> str:
    """Return a token of these parts, signed by nobody."""
    return f"{encoded(header.encode())}.{encoded(payload.encode())}.{signature}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_is_verified_by_its_key(algorithm: str) -> None:
    assert judged(GOOD, algorithm=algorithm) == (0, "")
    assert judged(GOOD, algorithm=algorithm, name="stranger") == (401, "Jwt verification fails")
    forged = (
        token(GOOD, algorithm).rpartition(".")[0] + "." + token(GOOD | {"sub": "you"}, algorithm).rpartition(".")[2]
    )
    assert told(mesh_with(step()), **bearing(forged)) == (401, "Jwt verification fails")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"iss": "other"}, (401, "Jwt issuer is not configured")),
        ({"aud": "other"}, (403, "Audiences in Jwt are not allowed")),
        ({"aud": "https://shop/"}, (0, "")),
        ({"exp": TODAY - 61}, (401, "Jwt is expired")),
        ({"exp": TODAY - 59}, (0, "")),
        ({"nbf": TODAY + 61}, (401, "Jwt not yet valid")),
        ({"nbf": TODAY + 59}, (0, "")),
        ({"exp": "soon"}, (401, "Jwt payload [exp] field is not an integer")),
        ({"exp": -1}, (401, "Jwt payload [exp] field is not a positive 64 bit integer")),
        ({"sub": 1}, (401, "Jwt payload [sub] field is not a string")),
        ({"aud": [1]}, (401, "Jwt payload [aud] field is not a string or string list")),
    ],
)
def test_a_token_is_judged_by_what_it_says(claims: dict[str, Any], expected: tuple[int, str]) -> None:
    assert judged(GOOD | claims) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Jwt is missing"),
        ("a.b", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"),
        ("a.b.c.d", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"),
        ("aaaaa.b.c", "Jwt header is an invalid Base64url encoded"),
        (written("[]"), "Jwt header is an invalid JSON"),
        (written("{}"), "Jwt header [alg] field is required and must be a string"),
        (written('{"alg":"none"}'), "Jwt header [alg] is not supported"),
        (written('{"alg":"HS256"}'), "Jwt header [alg] is not supported"),
        (written('{"alg":"ES256","kid":1}'), "Jwt header [kid] field is not a string"),
        (written('{"alg":"ES256","crit":["b64"]}'), "Jwt header [crit] names extensions that are not supported"),
        (written('{"alg":"ES256"}', "x"), "Jwt payload is an invalid JSON"),
        (written('{"alg":"ES256"}', "{}", "aaaaa"), "Jwt signature is an invalid Base64url encoded"),
        ("a" * 32_769, "Jwt is longer than the mesh takes"),
    ],
)
def test_what_is_no_token_is_told(text: str, expected: str) -> None:
    headers = bearing(text) if text else {}
    assert told(mesh_with(step()), **headers) == (401, expected)


def test_a_key_takes_part_in_the_algorithms_of_its_kind_alone() -> None:
    keys = json.dumps({"keys": [public("ES256"), public("RS256", alg="RS512")]})
    only = step(dataclasses.replace(PROVIDER, keys=keys))
    assert judged(GOOD, only, header={"alg": "ES256"}) == (0, "")
    assert judged(GOOD, only, algorithm="EdDSA", header={"alg": "EdDSA"}) == (401, "Jwt verification fails")
    assert judged(GOOD, only, algorithm="RS512", header={"alg": "RS512"}) == (0, "")
    named = step(dataclasses.replace(PROVIDER, keys=key_set("RS256")))
    missing = "Jwks doesn't have key to match kid or alg from Jwt"
    assert judged(GOOD, named, header={"alg": "ES256", "kid": "x"}) == (401, missing)


def test_a_refused_caller_is_told_how_to_ask() -> None:
    client = mesh_with(step()).connect()
    says(client, path="/a?b")
    head = client.takes().decode()
    assert head.startswith("HTTP/1.1 401 Unauthorized\r\n")
    assert 'www-authenticate: Bearer realm="http://h/a"\r\n' in head and flags(client.mesh) == ["UAEX"]
    says(client, **bearing("x"))
    assert 'realm="http://h/", error="invalid_token"\r\n' in client.takes().decode()


def test_a_grpc_caller_is_told_unauthenticated() -> None:
    mesh = mesh_with(step(), cluster=Cluster("up", (Endpoint("10.0.0.1:80"),), protocol=WireProtocol.HTTP2))
    client = Http2Peer(mesh.connect(), is_client=True)
    stream = client.request("/s/m", method="POST", fields=GRPC, body=b"")
    assert client.streams[stream].head["grpc-status"] == "16"


def test_the_first_rule_that_matches_says_what_is_asked() -> None:
    rules = (JwtRule(RouteMatch("/open"), None), JwtRule(RouteMatch("/closed"), ONE))
    mesh = mesh_with(AccessStep("jwt", Jwt((PROVIDER,), rules)))
    assert [told(mesh, path=path)[0] for path in ("/open", "/closed", "/other")] == [0, 401, 0]


@pytest.mark.parametrize(
    ("requires", "none", "bad", "good"),
    [
        (ONE, 401, 401, 0),
        (TokenOf("one", ("else",)), 401, 403, 403),
        (MayBeMissing(), 0, 401, 0),
        (MayFail(), 0, 0, 0),
        (OneRequired((TokenOf("two"), ONE)), 401, 401, 0),
        (OneRequired((MayBeMissing(), ONE)), 0, 401, 0),
        (OneRequired((ONE, MayFail())), 0, 0, 0),
        (AllRequired((TokenOf("two"), ONE)), 401, 401, 401),
        (AllRequired((ONE, MayBeMissing())), 401, 401, 0),
    ],
)
def test_requirements_are_met_by_good_tokens(requires: Requirement, none: int, bad: int, good: int) -> None:
    two = dataclasses.replace(PROVIDER, name="two", issuer="https://two.test", headers=(("x-two", ""),))
    mesh = mesh_with(step(PROVIDER, two, requires=requires))
    assert told(mesh)[0] == none
    assert told(mesh, **bearing(token(GOOD, name="stranger")))[0] == bad
    assert told(mesh, **bearing(token(GOOD)))[0] == good


def test_tokens_lie_where_their_provider_says() -> None:
    places = dataclasses.replace(
        PROVIDER, headers=(("x-token", ""), ("x-auth", "JWT ")), params=("t",), cookies=("c",), forward=False
    )
    mesh, good = mesh_with(step(places)), token(GOOD)
    assert told(mesh, **bearing(good))[0] == 401
    status, sent = told(mesh, x_token=good)
    assert status == 0 and "x-token" not in sent
    assert told(mesh, x_auth=f"JWT {good}")[0] == 0 and told(mesh, cookie=f"a=b; c={good}")[0] == 0
    status, sent = told(mesh, path=f"/p?a=1&t={good}&b=2")
    assert status == 0 and sent.startswith("GET /p?a=1&b=2 HTTP/1.1\r\n")
    assert told(mesh, x_token=good, x_auth="JWT no")[0] == 401, "all that are there must be good"


def test_payload_and_claims_are_told_and_no_caller_can_make_them_up() -> None:
    claims = GOOD | {"deep": {"n": 7}, "ok": True, "list": ["a"], "bad": "a\nb"}
    headers = (
        ("x-sub", "sub"),
        ("x-n", "deep.n"),
        ("x-ok", "ok"),
        ("x-list", "list"),
        ("x-no", "no"),
        ("x-bad", "bad"),
    )
    provider = dataclasses.replace(PROVIDER, payload_header="x-payload", padded=True, claim_headers=headers)
    mesh = mesh_with(step(provider, requires=MayBeMissing()))
    status, sent = told(mesh, x_sub="root", x_payload="made up")
    assert status == 0 and "root" not in sent and "made up" not in sent
    text = token(claims)
    _, sent = told(mesh, x_sub="root", **bearing(text))
    lines = dict(line.split(": ", 1) for line in sent.split("\r\n")[1:] if line)
    assert {name: lines.get(name) for name, _ in headers} == {
        "x-sub": "me", "x-n": "7", "x-ok": "true", "x-list": encoded(b'["a"]'), "x-no": None, "x-bad": None,
    }  # fmt: skip
    assert lines["x-payload"].rstrip("=") == text.split(".")[1] and len(lines["x-payload"]) % 4 == 0


def test_rules_look_into_verified_tokens() -> None:
    provider = dataclasses.replace(PROVIDER, payload_key="payload", split_claims=("scope",))

    def rule(claim: str, value: IsText | HasMember) -> AccessStep:
        principal = Metadata(NAMESPACE, ("payload", claim), value)
        return AccessStep("rbac", Rbac(Rules(RuleAction.ALLOW, (Policy("p", (Anything(),), (principal,)),))))

    def text(value: str) -> IsText:
        return IsText(TextMatch(TextKind.EXACT, value))

    asked = bearing(token(GOOD | {"scope": "read write"}))
    lenient = step(provider, requires=MayBeMissing())
    assert told(mesh_with(lenient, rule("sub", text("me"))), **asked)[0] == 0
    assert told(mesh_with(lenient, rule("sub", text("you"))), **asked)[0] == 403
    assert told(mesh_with(lenient, rule("scope", HasMember(text("write")))), **asked)[0] == 0
    assert told(mesh_with(lenient, rule("sub", text("me"))))[0] == 403


def test_lives_and_subjects_are_bounded() -> None:
    def one(**fields: Any) -> AccessStep:
        return step(dataclasses.replace(PROVIDER, **fields))

    endless = {name: value for name, value in GOOD.items() if name != "exp"}
    failed = (401, "Jwt verification fails")
    assert judged(endless) == (0, "") and judged(endless, one(must_end=True)) == failed
    life = one(max_lifetime_s=1000.0)
    assert judged(GOOD | {"iat": TODAY - 300}, life) == (0, "")
    assert judged(GOOD | {"iat": TODAY - 500}, life) == failed and judged(endless, life) == failed
    subject = TextMatch(TextKind.PREFIX, "m")
    assert (
        judged(GOOD, one(subject=subject)) == (0, "") and judged(GOOD | {"sub": "you"}, one(subject=subject)) == failed
    )


def test_a_route_asks_by_name_or_not_at_all() -> None:
    named = step(requires=None, named=(("strict", ONE),))
    assert told(mesh_with(named))[0] == 0
    assert told(mesh_with(named, of_route=(AccessStep("jwt", Named("strict")),)))[0] == 401
    assert told(mesh_with(named, of_route=(AccessStep("jwt", Named("unknown")),)))[0] == 401
    assert told(mesh_with(step(), of_route=(AccessStep("jwt", Off()),)))[0] == 0


def test_preflights_bear_no_token() -> None:
    mesh = mesh_with(step(bypass_preflight=True))
    preflight = {"origin": "o", "access_control_request_method": "PUT"}
    assert told(mesh, method="OPTIONS", **preflight)[0] == 0 and told(mesh, method="OPTIONS")[0] == 401


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (step(dataclasses.replace(PROVIDER, payload_header="x y")), '"x y" cannot be the name of a header'),
        (step(dataclasses.replace(PROVIDER, keys="{}")), r'providers\["one"\]\.keys: the key set has no list'),
        (step(dataclasses.replace(PROVIDER, keys='{"keys": []}')), "has no RSA, EC .* key that can be read"),
        (step(requires=TokenOf("other")), r'rules\[0\]: there is no provider "other"'),
        (step(dataclasses.replace(PROVIDER, remote=dataclasses.replace(REMOTE, path="keys x"))), "cannot be asked for"),
        (step(dataclasses.replace(PROVIDER, remote=dataclasses.replace(REMOTE, cache_s=-1.0))), r"remote\.cache_s"),
    ],
)
def test_what_cannot_be_is_refused_by_field(wrong: AccessStep, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        mesh_with(wrong)
