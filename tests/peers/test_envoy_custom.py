"""The filters of AuthorizationPolicies with extension providers, given to Envoy and to eventmesh: both ask a real
authorizer about the same requests, and decide alike."""

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

from eventmesh.kube.objects import Key
from eventmesh.xds.control.access.emitting import Providers, filters_of
from eventmesh.xds.control.access.providers import read_providers
from eventmesh.xds.control.access.reading import read_authorization
from eventmesh.xds.control.access.values import AuthorizationPolicy, ExtensionProvider
from eventmesh.xds.control.objects import View
from tests.peers.authz_service import SCRIPT, AuthzService, authz_service
from tests.peers.pairs import ASKER, cluster, document, pair_on
from tests.peers.test_envoy_access import both_decide
from tests.peers.test_envoy_authz import H2C

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
            policy, errors = read_authorization({"metadata": {"name": key.name, "namespace": "ns"}, "spec": spec})
            assert policy is not None, errors
            found[key] = policy
    return found


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
    filters = filters_of([View(authorizations=_policies(random))], {}, _providers())
    assert [one["name"] for one in filters] == [
        "meant/lenient", "ask/lenient", "meant/strict", "ask/strict", "deny", "allow"
    ]  # fmt: skip
    requests = [_request(random, f"h{at}") for at in range(HOSTS) for _ in range(REQUESTS)]
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    hosts = [{"name": "all", "domains": ["*"], "routes": routes}]
    async with authz_service(RESPONSES) as service:
        clusters = [cluster(name, service.grpc_address, **H2C) for name in ("strict", "lenient")]
        async with pair_on(document(hosts, clusters, filters=filters), tmp_path) as pair:
            counted: Counter[int] = await both_decide(pair, requests)
            by_envoy, by_mesh = (_asked(service, name) for name in ("envoy", "mesh"))
    assert by_mesh == by_envoy and len(by_mesh) > len(requests) // 4
    assert set(counted) == {200, 401, 403, 503} and counted[200] > len(requests) // 5, counted
