"""What `eventmesh send` shows of its sender."""

from __future__ import annotations

import asyncio
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from eventmesh.base.errors import UsageError
from eventmesh.cli import connection, send

AUDIENCE = "eventing.knative.dev/broker/default/shop"


class Takes(BaseHTTPRequestHandler):
    """Accepts events, and keeps their headers."""

    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(202)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def seen() -> Iterator[tuple[list[dict[str, str]], str]]:
    Takes.seen = []
    server = HTTPServer(("127.0.0.1", 0), Takes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Takes.seen, f"http://127.0.0.1:{server.server_port}/default/shop"
    server.shutdown()
    thread.join()
    server.server_close()


class Api:
    """Knows one broker, and grants tokens."""

    def __init__(self, address: dict[str, str]) -> None:
        self.address = address

    async def get(self, *_: object) -> dict[str, Any]:
        return {"status": {"address": self.address}}

    async def create(self, _: object, obj: dict[str, Any], namespace: str, *, subresource: str) -> dict[str, Any]:
        assert (obj["metadata"]["name"], obj["spec"], subresource) == ("sender", {"audiences": [AUDIENCE]}, "token")
        return {"status": {"token": f"token-in-{namespace}"}}


def run(monkeypatch: pytest.MonkeyPatch, api: Api, *words: str) -> int:
    def with_api(_: Namespace, work: Callable[[Any], Awaitable[int]]) -> int:
        async def body() -> int:
            return await work(api)

        return asyncio.run(body())

    monkeypatch.setattr(connection, "run", with_api)
    parser = ArgumentParser()
    send.configure(parser)
    return send.run(parser.parse_args(["--broker", "shop", "--type", "order", "--data", "{}", *words]))


def test_an_account_is_shown_by_a_token_for_this_very_broker(
    monkeypatch: pytest.MonkeyPatch, seen: tuple[list[dict[str, str]], str], capsys: pytest.CaptureFixture[str]
) -> None:
    headers, url = seen
    assert run(monkeypatch, Api({"url": url, "audience": AUDIENCE}), "--account", "sender") == 0
    assert run(monkeypatch, Api({"url": url})) == 0
    assert headers[0]["authorization"] == "Bearer token-in-default"
    assert "authorization" not in headers[1]
    assert "token-in-default" not in capsys.readouterr().out


def test_an_account_where_nobody_asks_for_one_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="authentication-oidc is not enabled"):
        run(monkeypatch, Api({"url": "http://127.0.0.1:9/"}), "--account", "sender")
