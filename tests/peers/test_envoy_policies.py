"""The filters that policies of access become, given to Envoy and to eventmesh: both ask and decide alike."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from envoy_data_plane.envoy.service.auth.v3 import CheckResponse, DeniedHttpResponse
from envoy_data_plane.envoy.type.v3 import HttpStatus, StatusCode
from envoy_data_plane.google.rpc import Status

from eventmesh.base.clock import SystemClock
from eventmesh.kube.objects import Key
from eventmesh.xds.control.access.emitting import Providers, filters_of
from eventmesh.xds.control.access.providers import read_providers
from eventmesh.xds.control.access.reading import read_authentication, read_authorization
from eventmesh.xds.control.access.values import AuthorizationPolicy, ExtensionProvider, RequestAuthentication
from eventmesh.xds.control.objects import View
from tests.peers import access_tokens
from tests.peers.authz_service import SCRIPT, AuthzService, authz_service
from tests.peers.backends import backend
from tests.peers.pairs import ASKER, cluster, document, pair_on
from tests.peers.test_envoy_access import both_decide
from tests.peers.test_envoy_authz import H2C
from tests.tokens import ALGORITHMS, key_set, token

pytestmark = pytest.mark.peer

SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
ROUNDS = 10 if os.environ.get("EVENTMESH_SOAK") else 1
HOSTS, REQUESTS = 50, 20
"""Of one round: so many hosts with policies of their own, each asked so many requests; `make soak` asks 10,000."""

RESPONSES: dict[str, CheckResponse | grpc.StatusCode] = {
    "ok": CheckResponse(status=Status(code=0)),
    "denied": CheckResponse(status=Status(code=7)),
    "who": CheckResponse(
        status=Status(code=16),
        denied_response=DeniedHttpResponse(status=HttpStatus(code=StatusCode.Unauthorized), body="who?"),
    ),
    "away": grpc.StatusCode.UNAVAILABLE,
}
SETTINGS = """
extensionProviders:
- name: strict
  envoyExtAuthzGrpc: {service: strict.auth.svc, port: 1, timeout: 20s, statusOnError: "503"}
- name: lenient
  envoyExtAuthzGrpc: {service: lenient.auth.svc, port: 1, timeout: 20s, failOpen: true}
"""
PATHS, METHODS, VALUES = ("/", "/a", "/a/b", "/admin"), ("GET", "POST"), ("a", "ab", "b")


def _providers() -> Providers:
    found = read_providers({"mesh": SETTINGS})
    return {name: (one, one.name) for name, one in found.items() if isinstance(one, ExtensionProvider)}


def _rule(random: Random, host: str) -> dict[str, Any]:
    """Return a rule about some requests to `host`."""
    operation: dict[str, Any] = {"hosts": [host]}
    for name, values in (("paths", (*PATHS, "/a*", "*/b")), ("notPaths", PATHS), ("methods", METHODS)):
        if random.random() < 0.4:
            operation[name] = random.sample(values, 2)
    rule: dict[str, Any] = {"to": [{"operation": operation}]}
    if random.random() < 0.4:
        asked = random.choice(("values", "notValues"))
        rule["when"] = [{"key": "request.headers[x-one]", asked: [random.choice(("a", "a*", "*b", "*"))]}]
    return rule


def _policies(random: Random) -> dict[Key, AuthorizationPolicy]:
    """Return policies of every action; each host has its own, and most let most requests through."""
    found = {}
    actions: list[dict[str, Any]] = [
        {"action": "CUSTOM", "provider": {"name": name}} for name in ("strict", "lenient", "nobody")
    ]
    for at in range(HOSTS):
        specs = [
            {**action, "rules": [_rule(random, f"h{at}")]}
            for action in (*actions, {"action": "DENY"})
            if random.random() < 0.5
        ]
        allowed = _rule(random, f"h{at}") if random.random() < 0.3 else {"to": [{"operation": {"hosts": [f"h{at}"]}}]}
        for number, spec in enumerate((*specs, {"action": "ALLOW", "rules": [allowed]})):
            key = Key("ns", f"p{at}-{number}")
            found[key] = _authorization(key.name, spec)
    return found


def _authorization(name: str, spec: dict[str, Any]) -> AuthorizationPolicy:
    policy, errors = read_authorization({"metadata": {"name": name, "namespace": "ns"}, "spec": spec})
    assert policy is not None, errors
    return policy


def _request(random: Random, host: str) -> bytes:
    script = random.choice(("ok", "ok", "ok", *RESPONSES))
    fields = [f"Host: {host}", f"{SCRIPT}: {script}"]
    if random.random() < 0.7:
        fields.append(f"x-one: {random.choice(VALUES)}")
    head = f"{random.choice(METHODS)} {random.choice(PATHS)} HTTP/1.1"
    return "\r\n".join((head, *fields, "content-length: 0", "", "")).encode()


def _asked(service: AuthzService, asker: str) -> list[tuple[str, str, str]]:
    found = []
    for check in service.checks:
        assert check.attributes is not None and check.attributes.request is not None
        http = check.attributes.request.http
        assert http is not None
        if http.headers[ASKER] == asker:
            found.append((http.host, http.path, http.headers[SCRIPT]))
    return found


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_both_ask_about_the_same_requests_and_let_the_same_through(round_: int, tmp_path: Path) -> None:
    random = Random(SEED * 3000 + round_)
    filters = filters_of([View(authorizations=_policies(random))], {}, _providers(), {})
    assert [one["name"] for one in filters] == [
        "meant/lenient", "ask/lenient", "meant/strict", "ask/strict", "deny", "allow"
    ]  # fmt: skip
    requests = [_request(random, f"h{at}") for at in range(HOSTS) for _ in range(REQUESTS)]
    hosts = _host({"direct_response": {"status": 200}})
    async with authz_service(RESPONSES) as service:
        clusters = [cluster(name, service.grpc_address, **H2C) for name in ("strict", "lenient")]
        async with pair_on(document(hosts, clusters, filters=filters), tmp_path) as pair:
            counted: Counter[int] = await both_decide(pair, requests)
            by_envoy, by_mesh = (_asked(service, name) for name in ("envoy", "mesh"))
    assert by_mesh == by_envoy and len(by_mesh) > len(requests) // 4
    assert set(counted) == {200, 401, 403, 503} and counted[200] > len(requests) // 5, counted


def _host(action: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}]


def _authentication(*rules: dict[str, Any]) -> dict[Key, RequestAuthentication]:
    spec = {"metadata": {"name": "tokens", "namespace": "ns"}, "spec": {"jwtRules": list(rules)}}
    policy, errors = read_authentication(spec)
    assert policy is not None, errors
    return {policy.key: policy}


FETCHED, AWAY = "https://one.test/keys", "https://other.test/keys"
KEY_SETS = {FETCHED: key_set(), AWAY: ""}


def _issuers(random: Random) -> list[dict[str, Any]]:
    """Return rules of three issuers: keys that control has fetched, keys that are given, and none to be had."""
    found: list[dict[str, Any]] = [
        {"issuer": access_tokens.ISSUERS[0], "jwksUri": FETCHED},
        {"issuer": access_tokens.ISSUERS[1], "jwks": key_set(*random.sample(ALGORITHMS, 5))},
        {"issuer": "other", "jwksUri": AWAY},
    ]
    for rule in found:
        if random.random() < 0.3:
            rule["audiences"] = random.sample(access_tokens.AUDIENCES, 2)
        if random.random() < 0.4:
            rule["fromHeaders"] = [{"name": "x-token", "prefix": random.choice(("", "JWT "))}]
            rule["fromParams"] = ["t"]
    return found


CLAIMED = [{"key": "request.auth.claims[sub]", "values": ["me"]}]
RULES: list[dict[str, Any]] = [
    {
        "action": "ALLOW",
        "rules": [
            {"from": [{"source": {"requestPrincipals": ["*"]}}]},
            {"to": [{"operation": {"paths": ["/open"]}}]},
        ],
    },
    {"action": "DENY", "rules": [{"when": CLAIMED, "to": [{"operation": {"paths": ["/a*"]}}]}]},
]


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_both_take_the_same_tokens(round_: int, tmp_path: Path) -> None:
    random = Random(SEED * 4000 + round_)
    rules = {Key("ns", f"p{at}"): _authorization(f"p{at}", spec) for at, spec in enumerate(RULES)}
    view = View(authorizations=rules, authentications=_authentication(*_issuers(random)))
    filters = filters_of([view], {}, {}, KEY_SETS)
    assert [one["name"] for one in filters] == ["jwt", "deny", "allow"]
    requests = [access_tokens.request(random) + b"\r\nHost: h\r\n\r\n" for _ in range(HOSTS * REQUESTS)]
    hosts = _host({"direct_response": {"status": 200}})
    async with pair_on(document(hosts, [], filters=filters), tmp_path) as pair:
        counted = await both_decide(pair, requests)
    assert set(counted) == {200, 401, 403} and min(counted.values()) > len(requests) // 50, counted


async def test_both_hand_the_same_of_a_token_on(tmp_path: Path) -> None:
    rule = {
        "issuer": "two",
        "jwksUri": FETCHED,
        "forwardOriginalToken": True,
        "outputPayloadToHeader": "x-payload",
        "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}],
    }
    names = ("authorization", "x-payload", "x-sub")
    claims = {"iss": "two", "sub": "me", "exp": int(SystemClock().now().timestamp()) + 3600}
    bearer = {"authorization": f"Bearer {token(claims)}"}
    for forwards in (True, False):
        policies = _authentication({**rule, "forwardOriginalToken": forwards})
        filters = filters_of([View(authentications=policies)], {}, {}, KEY_SETS)
        async with backend("up") as up:
            made = document(_host({"route": {"cluster": "up"}}), [cluster("up", up)], filters=filters)
            directory = tmp_path / str(forwards)
            directory.mkdir()
            async with pair_on(made, directory) as pair:
                seen = [(await proxy.ask("/", headers=bearer)).seen["fields"] for proxy in pair.both]
        theirs, ours = (sorted((name.lower(), value) for name, value in one if name.lower() in names) for one in seen)
        assert ours == theirs and dict(ours)["x-sub"] == "me" and ("authorization" in dict(ours)) is forwards
