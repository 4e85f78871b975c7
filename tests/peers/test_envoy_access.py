"""The same policies given to Envoy and to eventmesh, and thousands of random requests decided alike."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.peers import access_policies, access_tokens
from tests.peers.pairs import ASKER, TYPES, Pair, Proxy, document, pair_on

pytestmark = pytest.mark.peer

SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
ROUNDS = 10 if os.environ.get("EVENTMESH_SOAK") else 1
"""A round asks 1,000 requests; `make soak` all 10,000."""
POLICIES, REQUESTS = 50, 20
"""Of one round: so many policies, each asked so many requests."""

RBAC = f"{TYPES}.filters.http.rbac.v3"
JWT = f"{TYPES}.filters.http.jwt_authn.v3"


def _hosts(policies: list[dict[str, Any]], override: str, kind: str) -> list[dict[str, Any]]:
    """Return a virtual host for each policy, which answers by itself what it lets through."""
    return [
        {
            "name": f"h{at}",
            "domains": [f"h{at}"],
            "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
            "typed_per_filter_config": {override: {"@type": kind, **policy}},
        }
        for at, policy in enumerate(policies)
    ]


async def _decisions(proxy: Proxy, requests: list[bytes]) -> list[tuple[int, str]]:
    """Ask one after the other on one connection; return status and body of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    found = []
    try:
        for request in requests:
            writer.write(request.replace(b"\r\n", f"\r\n{ASKER}: {proxy.name}\r\n".encode(), 1))
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].split("\r\n")[0] or 0)
            found.append((int(head.split()[1]), (await reader.readexactly(length)).decode()))
    finally:
        writer.close()
    return found


async def both_decide(pair: Pair, requests: list[bytes]) -> Counter[int]:
    """Return how often each status was answered; fail at the first request that the two disagree on."""
    envoy, mesh = await asyncio.gather(*(_decisions(proxy, requests) for proxy in pair.both))
    for asked, theirs, ours in zip(requests, envoy, mesh, strict=True):
        # Of a broken token several things can be said; what both say of rules is the same.
        assert (ours if theirs[0] == 403 else ours[0]) == (theirs if theirs[0] == 403 else theirs[0]), (SEED, asked)
    return Counter(status for status, _ in envoy)


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_both_let_the_same_requests_through_by_rules(round_: int, tmp_path: Path) -> None:
    random = Random(SEED * 1000 + round_)
    policies = [{"rbac": {"rules": access_policies.rbac(random)}} for _ in range(POLICIES)]
    hosts = _hosts(policies, "rbac", f"{RBAC}.RBACPerRoute")
    filters = [{"name": "rbac", "typed_config": {"@type": f"{RBAC}.RBAC"}}]
    requests = [
        access_policies.request(random) + f"\r\nHost: h{at}\r\n\r\n".encode()
        for at in range(POLICIES)
        for _ in range(REQUESTS)
    ]
    async with pair_on(document(hosts, [], filters=filters), tmp_path) as pair:
        counted = await both_decide(pair, requests)
    assert set(counted) == {200, 403} and min(counted.values()) > len(requests) // 10, counted


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_both_take_the_same_tokens(round_: int, tmp_path: Path) -> None:
    random = Random(SEED * 2000 + round_)
    jwt = access_tokens.authentication(random)
    policies = [{"rbac": {"rules": access_tokens.rules(random)}} for _ in range(3)]
    hosts = _hosts([{}, *policies], "rbac", f"{RBAC}.RBACPerRoute")
    filters = [
        {"name": "jwt", "typed_config": {"@type": f"{JWT}.JwtAuthentication", **jwt}},
        {"name": "rbac", "typed_config": {"@type": f"{RBAC}.RBAC"}},
    ]
    requests = [
        access_tokens.request(random) + f"\r\nHost: h{at % len(hosts)}\r\n\r\n".encode()
        for at in range(POLICIES * REQUESTS)
    ]
    async with pair_on(document(hosts, [], filters=filters), tmp_path) as pair:
        counted = await both_decide(pair, requests)
    assert len(counted) > 1 and set(counted) <= {200, 401, 403}, counted
