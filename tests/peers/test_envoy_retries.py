"""Retries and circuit breakers beside Envoy: the same answers, as many requests at the server, the same counters."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.peers.pairs import Answer, Pair, Proxy, Scripted, cluster, document, pair_on, scripted
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

PREVIOUS_HOSTS = {
    "name": "previous",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    },
}
QUICK = {"base_interval": "0.001s"}


def _host(name: str, to: str, policy: dict[str, Any] | None = None, **action: Any) -> dict[str, Any]:
    route = {"cluster": to, **({"retry_policy": {"retry_back_off": QUICK, **policy}} if policy else {}), **action}
    return {"name": name, "domains": [name], "routes": [{"match": {"prefix": "/"}, "route": route}]}


def _retries(server: Scripted, dead: tuple[str, int]) -> dict[str, Any]:
    inherited = _host("inherited", "up")
    inherited["retry_policy"] = {"retry_on": "5xx", "num_retries": 2, "retry_back_off": QUICK}
    codes = {"retry_on": "retriable-status-codes", "retriable_status_codes": [418, 429]}
    hosts = [
        _host("5xx", "up", {"retry_on": "5xx", "num_retries": 2}),
        _host("gateway", "up", {"retry_on": "gateway-error"}),
        _host("4xx", "up", {"retry_on": "retriable-4xx"}),
        _host("codes", "up", codes),
        _host("reset", "up", {"retry_on": "reset", "num_retries": 2}),
        _host("slow", "up", {"retry_on": "5xx", "num_retries": 1, "per_try_timeout": "2s"}),
        _host("none", "up", {"retry_on": "5xx", "num_retries": 0}),
        _host("dead", "dead", {"retry_on": "connect-failure", "num_retries": 2}),
        _host("halfdead", "half", {"retry_on": "5xx", "num_retries": 1, "retry_host_predicate": [PREVIOUS_HOSTS]}),
        inherited,
    ]
    clusters = [cluster("up", server.address), cluster("dead", dead), cluster("half", dead, server.address)]
    return document(hosts, clusters)


CASES = [
    ("5xx", "/fail/503/2", ""),
    ("5xx", "/fail/500/9", ""),
    ("5xx", "/fail/404/9", ""),
    ("5xx", "/fail/503/1", "a body to be sent again"),
    ("5xx", "/cut/1", "a body to be sent again"),
    ("gateway", "/fail/502/1", ""),
    ("gateway", "/fail/500/1", ""),
    ("4xx", "/fail/409/1", ""),
    ("4xx", "/fail/408/1", ""),
    ("codes", "/fail/418/1", ""),
    ("codes", "/fail/429/1", ""),
    ("codes", "/fail/503/1", ""),
    ("reset", "/cut/2", ""),
    ("reset", "/cut/3", ""),
    ("slow", "/held", ""),
    ("none", "/fail/503/1", ""),
    ("dead", "/", ""),
    ("halfdead", "/", ""),
    ("inherited", "/fail/503/2", ""),
]
COUNTED = (
    "upstream_rq_retry",
    "upstream_rq_retry_success",
    "upstream_rq_retry_limit_exceeded",
    "upstream_rq_retry_overflow",
    "upstream_rq_per_try_timeout",
)


async def _told(proxy: Proxy, server: Scripted, host: str, path: str, body: str) -> tuple[object, ...]:
    before = server.asked[proxy.name, path]
    answer = await proxy.ask(path, host=host, method="POST" if body else "GET", body=body)
    seen = answer.seen["body"] if answer.status == 200 else answer.text.partition("reason:")[0]
    return answer.status, seen, server.asked[proxy.name, path] - before


async def test_both_try_again_alike(tmp_path: Path, unused_tcp_port: int) -> None:
    async with scripted("up") as server, pair_on(_retries(server, ("127.0.0.1", unused_tcp_port)), tmp_path) as pair:
        differences = []
        try:
            for host, path, body in CASES:
                server.asked.clear()
                told = await asyncio.gather(*(_told(proxy, server, host, path, body) for proxy in pair.both))
                if told[0] != told[1]:
                    differences.append(f"{host} {path}\n  envoy     {told[0]}\n  eventmesh {told[1]}")
        finally:
            server.released.set()
        assert not differences, "\n".join(differences)
        by_envoy_counted, by_mesh_counted = await pair.counters("up", COUNTED)
        assert by_mesh_counted == by_envoy_counted and by_envoy_counted["upstream_rq_retry"] > 10


LIMITS: dict[str, dict[str, Any]] = {
    "requests": {"max_requests": 2},
    "pending": {"max_connections": 1, "max_pending_requests": 1},
    "pending-two": {"max_connections": 2, "max_pending_requests": 2},
}

REFUSED = ("upstream_rq_pending_overflow", "upstream_rq_active_overflow")


def _limited(server: Scripted) -> dict[str, Any]:
    clusters = [
        cluster(name, server.address, circuit_breakers={"thresholds": [limits]}) for name, limits in LIMITS.items()
    ]
    return document([_host(name, name) for name in LIMITS], clusters)


async def _statuses(pair: Pair, proxy: Proxy, server: Scripted, name: str) -> list[Answer]:
    """Send five requests that are held, each once the former is where it stays; then let them go."""
    asked: list[asyncio.Task[Answer]] = []
    server.released.clear()
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            asked.append(group.create_task(proxy.ask("/held", host=name)))
            await _settled(pair, proxy, server, name, number + 1)
        server.released.set()
    return [task.result() for task in asked]


async def _settled(pair: Pair, proxy: Proxy, server: Scripted, name: str, sent: int) -> None:
    names = ("upstream_rq_pending_active", *REFUSED)
    async with asyncio.timeout(WAIT_S):
        while True:
            by_envoy, by_mesh = await pair.counters(name, names)
            counted = by_envoy if proxy.name == "envoy" else by_mesh
            if sum(counted.values()) + server.asked[proxy.name, "/held"] >= sent:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", LIMITS)
async def test_both_refuse_what_is_too_much_alike(name: str, tmp_path: Path) -> None:
    async with scripted("up") as server, pair_on(_limited(server), tmp_path) as pair:
        results = [await _statuses(pair, proxy, server, name) for proxy in pair.both]
        by_envoy, by_mesh = ([answer.status for answer in answers] for answers in results)
        assert by_mesh == by_envoy and 503 in by_mesh
        refused = next(answer for answer in results[1] if answer.status == 503)
        assert refused.text == next(answer.text for answer in results[0] if answer.status == 503)
        counted = await pair.counters(name, REFUSED)
        assert counted[0] == counted[1]
