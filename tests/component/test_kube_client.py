"""`HttpApi` against servers that behave as ours does not: pages, plain text, cut connections, wrong bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import ApiError, EventType, WatchEvent
from eventmesh.kube.client import MAX_EVENT_BYTES, UNKNOWN_PATH, HttpApi
from eventmesh.kube.config import ClientConfig
from eventmesh.kube.resources import CONFIG_MAP

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[HttpApi]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    runners: list[web.AppRunner] = []
    clients: list[HttpApi] = []

    async def start(handler: Handler) -> HttpApi:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        port = runner.addresses[0][1]
        client = HttpApi(ClientConfig(f"http://127.0.0.1:{port}", None, lambda: "secret"))
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
    for runner in runners:
        await runner.cleanup()


def stream(*lines: bytes, cut: bool = False) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response

    return handler


async def watched(client: HttpApi) -> list[WatchEvent]:
    return [event async for event in client.watch(CONFIG_MAP, "default", resource_version="1")]


def event(name: str) -> bytes:
    return json.dumps({"type": "ADDED", "object": {"metadata": {"name": name}}}).encode() + b"\n"


async def test_pages_are_put_together_and_items_know_their_kind(serve: Serve) -> None:
    seen: list[dict[str, str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.query))
        assert request.headers["Authorization"] == "Bearer secret"
        last = request.query.get("continue") == "next"
        metadata = {"resourceVersion": "7"} if last else {"resourceVersion": "7", "continue": "next"}
        return web.json_response({"metadata": metadata, "items": [{"metadata": {"name": "b" if last else "a"}}]})

    client = await serve(handler)
    listing = await client.list(CONFIG_MAP, label_selector="x=y")
    assert [(item["kind"], item["metadata"]["name"]) for item in listing.items] == [
        ("ConfigMap", "a"),
        ("ConfigMap", "b"),
    ]
    assert listing.resource_version == "7"
    assert seen[1] == {"limit": "500", "labelSelector": "x=y", "continue": "next"}


async def test_list_without_items_is_empty(serve: Serve) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": None})

    assert (await (await serve(handler)).list(CONFIG_MAP)).items == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [(404, UNKNOWN_PATH), (401, "Unauthorized"), (429, "TooManyRequests"), (503, "ServiceUnavailable")],
)
async def test_failure_in_plain_text_keeps_its_code(serve: Serve, code: int, reason: str) -> None:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text="not here")

    client = await serve(handler)
    with pytest.raises(ApiError, match="not here") as failure:
        await client.get(CONFIG_MAP, "a", "default")
    assert (failure.value.code, failure.value.reason, failure.value.not_found) == (code, reason, False)


async def test_status_keeps_its_reason_and_details(serve: Serve) -> None:
    status = {"kind": "Status", "code": 404, "reason": "NotFound", "message": "gone", "details": {"name": "a"}}

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(status, status=404)

    with pytest.raises(ApiError) as failure:
        await (await serve(handler)).get(CONFIG_MAP, "a", "default")
    assert failure.value.not_found and failure.value.details == {"name": "a"}


async def test_watch_events_cut_at_any_byte_are_the_same(serve: Serve) -> None:
    whole = event("a") + b"\n" + event("b")
    for size in (1, 3, 7, len(whole)):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        found = await watched(await serve(stream(*pieces)))
        assert [entry.object["metadata"]["name"] for entry in found] == ["a", "b"]
        assert {entry.type for entry in found} == {EventType.ADDED}


async def test_error_event_ends_the_watch_as_the_failure_it_is(serve: Serve) -> None:
    expired: dict[str, Any] = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    line = json.dumps({"type": "ERROR", "object": expired}).encode() + b"\n"
    with pytest.raises(ApiError) as failure:
        await watched(await serve(stream(event("a"), line)))
    assert failure.value.gone


async def test_cut_watch_is_unavailable(serve: Serve) -> None:
    with pytest.raises(UnavailableError):
        await watched(await serve(stream(event("a"), cut=True)))


async def test_event_without_end_is_given_up(serve: Serve) -> None:
    block = b"x" * 1_048_576
    with pytest.raises(UnavailableError, match=str(MAX_EVENT_BYTES)):
        await watched(await serve(stream(*[block] * (MAX_EVENT_BYTES // len(block) + 1))))


async def test_nobody_listening_is_unavailable() -> None:
    client = HttpApi(ClientConfig("http://127.0.0.1:1", None))
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 is not to be had"):
        await client.get(CONFIG_MAP, "a", "default")
    await client.close()
