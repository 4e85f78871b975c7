"""Copies of requests beside Envoy's: what the other cluster gets, and what the client does not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.peers.pairs import ASKER, cluster, document, pair_on, scripted
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

NEVER = {"default_value": {"numerator": 0}}


class Shadow:
    """A server that notes what it gets and never answers well."""

    def __init__(self) -> None:
        self.address = ("", 0)
        self.got: dict[str, list[tuple[str, str, str, str]]] = {}
        """By asker: method, host, path and body."""

    async def handle(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        told = (request.method, request.host, request.path_qs, body)
        self.got.setdefault(request.headers.get(ASKER, ""), []).append(told)
        return web.Response(status=500, text="never seen")

    async def all_of(self, asker: str, count: int) -> list[tuple[str, str, str, str]]:
        """Return what came from one proxy once there is so much of it."""
        async with asyncio.timeout(WAIT_S):
            while len(self.got.get(asker, ())) < count:
                await asyncio.sleep(0.02)
        return sorted(self.got[asker])


def _host(name: str, *policies: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    action = {"cluster": "up", **({"request_mirror_policies": list(policies)} if policies else {})}
    return {
        "name": name,
        "domains": [name, f"{name}:*"],
        "routes": [{"match": {"prefix": "/"}, "route": action}],
        **fields,
    }


async def test_both_copy_the_same_requests_in_the_same_words(tmp_path: Path) -> None:
    shadow = Shadow()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", shadow.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shadow.address = runner.addresses[0][:2]
    hosts = [
        _host("plain", {"cluster": "copies"}),
        _host("unmarked", {"cluster": "copies", "disable_shadow_host_suffix_append": True}),
        _host("renamed", {"cluster": "copies", "host_rewrite_literal": "other.test"}),
        _host("never", {"cluster": "copies", "runtime_fraction": NEVER}),
        _host("twice", {"cluster": "copies"}, {"cluster": "copies", "host_rewrite_literal": "second"}),
        _host("around", request_mirror_policies=[{"cluster": "copies"}]),
        _host("nowhere", {"cluster": "down"}),
    ]
    try:
        async with scripted("up") as server:
            clusters = [
                cluster("up", server.address),
                cluster("copies", shadow.address),
                cluster("down", ("127.0.0.1", 1)),
            ]
            async with pair_on(document(hosts, clusters), tmp_path) as pair:
                for proxy in pair.both:
                    for host in ("plain", "plain:8080", "unmarked", "renamed", "never", "twice", "around", "nowhere"):
                        answer = await proxy.ask(f"/{host}?q", host=host, method="POST", body=f"of {host}")
                        assert (answer.status, answer.seen["body"]) == (200, f"of {host}")
                theirs, ours = [await shadow.all_of(proxy.name, 7) for proxy in pair.both]
                assert ours == theirs
                assert ("POST", "plain-shadow:8080", "/plain:8080?q", "of plain:8080") in ours
    finally:
        await runner.cleanup()
