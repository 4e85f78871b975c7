"""Balancing beside Envoy: hashes lead both to the same endpoints, and both eject, check, panic and spill over alike."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.peers.pairs import Answer, Proxy, Scripted, address, cluster, document, pair_on, scripted
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer


@asynccontextmanager
async def _servers(number: int) -> AsyncIterator[list[Scripted]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(scripted(f"s{at}")) for at in range(number)]


def _host(name: str, **action: Any) -> dict[str, Any]:
    return {
        "name": name,
        "domains": [name],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": name, **action}}],
    }


BY_USER = [{"header": {"header_name": "x-user"}}]
BY_BOTH = [{"cookie": {"name": "session"}}, {"query_parameter": {"name": "q"}}]


def _weighted(name: str, servers: list[Scripted], **fields: Any) -> dict[str, Any]:
    found = cluster(name, **fields)
    found["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": address(*server.address)}, "load_balancing_weight": weight}
                for server, weight in zip(servers, (1, 2, 4), strict=True)
            ]
        }
    ]
    return found


async def _home(proxy: Proxy, host: str, path: str, headers: Mapping[str, str]) -> str:
    answer = await proxy.ask(path, host=host, headers=headers)
    assert answer.status == 200, answer
    return str(answer.seen["name"])


async def test_both_hash_to_the_same_endpoints(tmp_path: Path) -> None:
    ring = {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 64}}
    async with _servers(3) as servers:
        addresses = [server.address for server in servers]
        clusters = [
            cluster("ring", *addresses, lb_policy="RING_HASH"),
            _weighted("weighted-ring", servers, **ring),
            cluster("maglev", *addresses, lb_policy="MAGLEV", maglev_lb_config={"table_size": 251}),
            _weighted("weighted-maglev", servers, lb_policy="MAGLEV"),
            cluster("mixed", *addresses, lb_policy="RING_HASH"),
            cluster("source", *addresses, lb_policy="MAGLEV"),
        ]
        hosts = [_host(one["name"], hash_policy=BY_USER) for one in clusters[:4]]
        hosts.append(_host("mixed", hash_policy=BY_BOTH))
        hosts.append(_host("source", hash_policy=[{"connection_properties": {"source_ip": True}}]))
        async with pair_on(document(hosts, clusters), tmp_path) as pair:
            differences = []
            for name in (one["name"] for one in clusters):
                for number in range(25):
                    headers = {"x-user": f"user-{number}", "cookie": f"a=b; session={number}"}
                    path = f"/?q={number % 5}"
                    homes = await asyncio.gather(*(_home(proxy, name, path, headers) for proxy in pair.both))
                    if homes[0] != homes[1]:
                        differences.append((name, number, *homes))
            assert not differences


EJECTIONS = (
    "outlier_detection.ejections_active",
    "outlier_detection.ejections_enforced_total",
    "outlier_detection.ejections_overflow",
    "outlier_detection.ejections_detected_consecutive_5xx",
    "outlier_detection.ejections_enforced_consecutive_5xx",
    "outlier_detection.ejections_detected_consecutive_gateway_failure",
    "membership_healthy",
)


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await true():
            await asyncio.sleep(0.02)


async def test_both_eject_alike(tmp_path: Path) -> None:
    # Nobody returns while ejections are counted, however slow the machine is; that is asked of `back` alone.
    quick = {"consecutive_5xx": 3, "interval": "0.2s", "base_ejection_time": "300s"}
    async with _servers(3) as servers:
        addresses = [server.address for server in servers]
        clusters = [
            cluster("most", *addresses[:2], outlier_detection={**quick, "max_ejection_percent": 50}),
            cluster("few", *addresses, outlier_detection=quick),
            cluster("one", *addresses[:1], outlier_detection={**quick, "always_eject_one_host": True}),
            cluster("gateway", *addresses[:2], outlier_detection={"consecutive_5xx": 100, "max_ejection_percent": 100}),
        ]
        short = {**quick, "base_ejection_time": "0.4s", "max_ejection_percent": 50}
        back = cluster("back", *addresses[:2], outlier_detection=short)
        every = [*clusters, back]
        async with pair_on(document([_host(one["name"]) for one in every], every), tmp_path) as pair:
            for one in every:
                for proxy in pair.both:
                    for _ in range(12):
                        await proxy.ask("/fail/503/1000", host=one["name"])
                by_envoy, by_mesh = await pair.counters(one["name"], EJECTIONS)
                if one is not back:
                    assert by_mesh == by_envoy, one["name"]
                else:
                    assert by_mesh[EJECTIONS[1]] > 0 and by_envoy[EJECTIONS[1]] > 0

            async def all_back() -> bool:
                counted = await pair.counters("back", (EJECTIONS[0], "membership_healthy"))
                return all(list(one.values()) == [0, 2] for one in counted)

            await _until(all_back)


async def test_both_panic_and_spill_over_alike(tmp_path: Path) -> None:
    def states(name: str, levels: list[list[str]], servers: list[Scripted], **fields: Any) -> dict[str, Any]:
        found = cluster(name, **fields)
        rest = iter(servers)
        found["load_assignment"]["endpoints"] = [
            {
                "priority": priority,
                "lb_endpoints": [
                    {"endpoint": {"address": address(*next(rest).address)}, "health_status": state} for state in level
                ],
            }
            for priority, level in enumerate(levels)
        ]
        return found

    well, ill = "HEALTHY", "UNHEALTHY"
    calm = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
    async with _servers(4) as servers:
        clusters = [
            states("panic", [[well, ill, ill]], servers),
            states("calm", [[well, ill, ill]], servers, **calm),
            states("none", [[ill, ill]], servers, **calm),
            states("next", [[ill], [well]], servers),
            states("spill", [[well, ill], [well]], servers),
            states("both", [[ill, ill], [ill, ill]], servers),
        ]
        async with pair_on(document([_host(one["name"]) for one in clusters], clusters), tmp_path) as pair:
            for one in clusters:
                shares = []
                for proxy in pair.both:
                    answers = [await proxy.ask("/", host=one["name"]) for _ in range(60)]
                    shares.append(_shares(answers))
                assert shares[0].keys() == shares[1].keys(), one["name"]
                assert all(abs(shares[0][name] - shares[1][name]) < 30 for name in shares[0]), (one["name"], shares)


def _shares(answers: list[Answer]) -> Counter[str]:
    return Counter(
        answer.seen["name"] if answer.status == 200 else f"{answer.status} {answer.text}" for answer in answers
    )


async def test_both_choose_subsets_alike(tmp_path: Path) -> None:
    async with _servers(2) as servers:
        endpoints = [
            {
                "endpoint": {"address": address(*server.address)},
                "metadata": {"filter_metadata": {"envoy.lb": {"version": str(number), "stage": {"n": number}}}},
            }
            for number, server in enumerate(servers)
        ]
        selectors = [{"keys": ["version"]}, {"keys": ["version", "stage"]}]
        found = {}
        for fallback in ("NO_FALLBACK", "ANY_ENDPOINT", "DEFAULT_SUBSET"):
            config = {"fallback_policy": fallback, "default_subset": {"version": "1"}, "subset_selectors": selectors}
            found[fallback] = cluster(fallback, lb_subset_config=config)
            found[fallback]["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
        asked = [{"version": "0"}, {"version": "1", "stage": {"n": 1}}, {"version": "9"}, {"stage": {"n": 0}}, {}]
        hosts = [
            {
                "name": f"{fallback}-{number}",
                "domains": [f"{fallback}-{number}"],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": fallback, "metadata_match": {"filter_metadata": {"envoy.lb": labels}}},
                    }
                ],
            }
            for fallback in found
            for number, labels in enumerate(asked)
        ]
        async with pair_on(document(hosts, list(found.values())), tmp_path) as pair:
            for host in hosts:
                seen = [
                    set(_shares([await proxy.ask("/", host=str(host["name"])) for _ in range(6)]))
                    for proxy in pair.both
                ]
                assert seen[0] == seen[1], host["name"]


async def test_both_check_health_alike(tmp_path: Path) -> None:
    terms = {
        "timeout": "1s",
        "interval": "0.1s",
        "no_traffic_interval": "0.1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 2,
    }
    calm = {"common_lb_config": {"healthy_panic_threshold": {"value": 0}}}
    checks = {
        "http": {**terms, "http_health_check": {"path": "/well"}},
        "other": {**terms, "http_health_check": {"path": "/fail/503/1000000"}},
        "expected": {
            **terms,
            "http_health_check": {"path": "/fail/418/1000000", "expected_statuses": [{"start": 418, "end": 419}]},
        },
        "tcp": {**terms, "tcp_health_check": {}},
    }
    async with _servers(1) as servers:
        clusters = [cluster(name, servers[0].address, health_checks=[check], **calm) for name, check in checks.items()]
        async with pair_on(document([_host(name) for name in checks], clusters), tmp_path) as pair:
            for name in checks:
                expected = 503 if name == "other" else 200

                async def as_expected(name: str = name, expected: int = expected) -> bool:
                    counted = await pair.counters(name, ("health_check.attempt", "membership_healthy"))
                    answers = [await proxy.ask("/", host=name) for proxy in pair.both]
                    settled = all(one["health_check.attempt"] > 2 for one in counted)
                    return settled and [answer.status for answer in answers] == [expected, expected]

                await _until(as_expected)
