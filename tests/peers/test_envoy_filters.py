"""Faults, rate limits and edited answers beside Envoy."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.peers.pairs import TYPES, cluster, document, pair_on, scripted

pytestmark = pytest.mark.peer

ALL = {"default_value": {"numerator": 100}}
NONE = {"default_value": {"numerator": 0}}
LIMIT = f"{TYPES}.filters.http.local_ratelimit.v3.LocalRateLimit"
TOLD = [
    f"access-control-{name}"
    for name in ("allow-origin", "allow-credentials", "allow-methods", "allow-headers", "expose-headers", "max-age")
]
FAULT = f"{TYPES}.filters.http.fault.v3.HTTPFault"


def _filter(name: str, **config: Any) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": config}


def _limit(tokens: int, **fields: Any) -> dict[str, Any]:
    bucket = {"max_tokens": tokens, "tokens_per_fill": 1, "fill_interval": "3600s"}
    return {
        "@type": LIMIT,
        "stat_prefix": "limit",
        "token_bucket": bucket,
        "filter_enabled": ALL,
        "filter_enforced": ALL,
        **fields,
    }


def _host(name: str, action: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, **(action or {"route": {"cluster": "up"}}), **fields}
    return {"name": name, "domains": [name], "routes": [route]}


def _set(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _abort(status: int, percent: int) -> dict[str, Any]:
    return {"abort": {"http_status": status, "percentage": {"numerator": percent}}}


async def test_both_limit_fail_and_answer_alike(tmp_path: Path) -> None:
    edits = {"response_headers_to_add": [_set("x-edit", "1"), _set("content-type", "application/json")]}
    limit_name, fault_name = "envoy.filters.http.local_ratelimit", "envoy.filters.http.fault"
    hosts = [
        _host("limited", typed_per_filter_config={limit_name: _limit(3)}),
        _host("unenforced", typed_per_filter_config={limit_name: _limit(1, filter_enforced=NONE)}),
        _host("other", typed_per_filter_config={limit_name: _limit(1, status={"code": "ServiceUnavailable"})}),
        _host("aborted", typed_per_filter_config={fault_name: {"@type": FAULT, **_abort(418, 100)}}),
        _host("spared", typed_per_filter_config={fault_name: {"@type": FAULT, **_abort(418, 0)}}),
        _host("answer", {"direct_response": {"status": 200, "body": {"inline_string": "{}"}}}, **edits),
        _host("moved", {"redirect": {"host_redirect": "o"}}, response_headers_to_add=[_set("x-edit", "2")]),
        _host("plain"),
    ]
    filters = [
        _filter("fault", **{"@type": FAULT}),
        _filter("local_ratelimit", **{"@type": LIMIT, "stat_prefix": "limit"}),
    ]
    async with scripted("up") as server:
        bootstrap = document(hosts, [cluster("up", server.address)], filters=filters)
        async with pair_on(bootstrap, tmp_path) as pair:
            for host in hosts:
                seen = []
                for proxy in pair.both:
                    answers = [await proxy.ask("/", host=str(host["name"])) for _ in range(5)]
                    seen.append(
                        [
                            (
                                answer.status,
                                answer.text if answer.status != 200 or host["name"] == "answer" else "",
                                {name: answer.headers.get(name) for name in ("x-edit", "content-type", "location")}
                                if answer.status != 200 or host["name"] == "answer"
                                else {},
                            )
                            for answer in answers
                        ]
                    )
                assert seen[0] == seen[1], host["name"]


async def test_both_fail_a_share_of_the_requests(tmp_path: Path) -> None:
    filters = [_filter("fault", **{"@type": FAULT, **_abort(503, 50)})]
    async with scripted("up") as server:
        bootstrap = document([_host("h")], [cluster("up", server.address)], filters=filters)
        async with pair_on(bootstrap, tmp_path) as pair:
            for proxy in pair.both:
                answers = await asyncio.gather(*(proxy.ask("/") for _ in range(200)))
                counted = Counter(answer.status for answer in answers)
                assert set(counted) == {200, 503} and 50 < counted[503] < 150, (proxy.name, counted)


async def test_both_tell_browsers_the_same(tmp_path: Path) -> None:
    policy = {
        "@type": f"{TYPES}.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"suffix": ".shop.test"}, {"safe_regex": {"regex": "https://[a-c]\\.test"}}],
        "allow_methods": "GET, PUT",
        "allow_headers": "x-token",
        "expose_headers": "x-total",
        "max_age": "600",
        "allow_credentials": True,
    }
    override = {"envoy.filters.http.cors": policy}
    hosts = [_host("up", typed_per_filter_config=override)]
    filters = [_filter("cors", **{"@type": f"{TYPES}.filters.http.cors.v3.Cors"})]
    async with scripted("up") as server:
        bootstrap = document(hosts, [cluster("up", server.address)], filters=filters)
        async with pair_on(bootstrap, tmp_path) as pair:
            for origin in ("https://www.shop.test", "https://b.test", "https://d.test", ""):
                for method, wish in (("GET", "PUT"), ("GET", ""), ("OPTIONS", "PUT"), ("OPTIONS", "")):
                    headers = {"Origin": origin} if origin else {}
                    headers |= {"Access-Control-Request-Method": wish} if wish else {}
                    seen = []
                    for proxy in pair.both:
                        told = await proxy.ask("/", host="up", method=method, headers=headers)
                        fields = {name.lower(): value for name, value in told.headers.items() if name.lower() in TOLD}
                        seen.append((told.status, fields))
                    assert seen[0] == seen[1], (origin, method, wish)
