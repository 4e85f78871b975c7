"""The page of `eventmesh tap`: who may look, for how long, and what is left out of what they see. Virtual time."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.core import Engine
from eventmesh.dataplane.tap import LEASE_S, PATIENCE_S, EngineSource, TapPage, read_terms, redacted
from eventmesh.transport.exchange import Reply
from tests.manual_clock import ManualClock, settle
from tests.unit.core.playbook import Playbook, snapshot

ROW = {
    "path": "/a?user=1&access_token=t&sig=s&q",
    "request_headers": [["authorization", "Bearer t"], ["x-user", "bob"], ["x-my-secret", "s"], ["cookie", "a=b"]],
    "response_headers": [["set-cookie", "a=b"], ["content-type", "text/plain"]],
}


class Bench:
    """A page over a real engine that serves one route without endpoints."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.mesh = Playbook(snapshot())
        self.engine: Engine = self.mesh.engine
        self.page = TapPage(EngineSource(self.engine), self.clock)
        self.tasks = TaskGroup("test")

    def exchange(self, path: str = "/") -> None:
        client = self.mesh.connect()
        client.says(f"GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n\r\n".encode())
        client.vanishes()

    async def ask(self, query: str = "", method: str = "GET") -> Reply:
        request: Any = SimpleNamespace(method=method, path=f"/tap?{query}" if query else "/tap")
        replies: list[Reply] = []

        async def asking() -> None:
            replies.append(await self.page.handle(request))

        task = self.tasks.spawn("ask", asking())
        await settle()
        if not task.done():
            await self.clock.advance(2 * PATIENCE_S)
        await task
        return replies[0]


def told(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    found: dict[str, Any] = json.loads(reply.body)
    return found


async def test_a_look_goes_on_by_its_session_and_shows_no_secrets() -> None:
    bench = Bench()
    first = told(await bench.ask())
    assert (first["rows"], first["over"]) == ([], False)
    bench.exchange("/a?token=t")
    second = told(await bench.ask(f"session={first['session']}"))
    (row,) = second["rows"]
    assert row["path"] == "/a?token=[redacted]" and ["authorization", "[redacted]"] in row["request_headers"]


async def test_one_person_looks_at_a_time_and_only_while_they_ask() -> None:
    bench = Bench()
    session = told(await bench.ask())["session"]
    assert (await bench.ask()).status == 409
    await bench.clock.advance(LEASE_S * 2)
    assert (await bench.ask(f"session={session}")).status == 410
    bench.exchange()
    assert told(await bench.ask())["rows"] == [], "nothing is gathered when nobody looks"


async def test_a_look_for_so_many_exchanges_says_when_it_is_over() -> None:
    bench = Bench()
    session = told(await bench.ask("max=1"))["session"]
    bench.exchange()
    last = told(await bench.ask(f"session={session}"))
    assert len(last["rows"]) == 1 and last["over"]
    assert told(await bench.ask())["session"] != session


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("status=9xx", "status: '9xx' is neither"),
        ("percent=101", "percent: 101 is out of range"),
        ("percent=nan", "percent: nan is out of range"),
        ("body=4097", "body: 4097 is out of range"),
        ("max=0", "max: 0 is out of range"),
        ("max=many", "max: 'many' is no number"),
        ("where=x", "where: no such parameter"),
    ],
)
async def test_a_wrong_term_is_named_and_opens_nothing(query: str, words: str) -> None:
    bench = Bench()
    refused = await bench.ask(query)
    assert refused.status == 400 and words in refused.body.decode()
    assert told(await bench.ask())["rows"] == []


async def test_the_page_is_for_reading() -> None:
    assert (await Bench().ask(method="POST")).status == 405


def test_values_that_look_like_secrets_are_left_out() -> None:
    shown = redacted(ROW)
    assert shown["path"] == "/a?user=1&access_token=[redacted]&sig=[redacted]&q"
    hidden = [name for name, value in shown["request_headers"] + shown["response_headers"] if value == "[redacted]"]
    assert hidden == ["authorization", "x-my-secret", "cookie", "set-cookie"]
    assert redacted({**ROW, "path": "com.S:1.0"})["path"] == "com.S:1.0"


def test_terms_are_those_of_the_engine() -> None:
    found = read_terms({"header": ["x=1", "y"], "status": ["5xx"], "percent": ["0.5"], "host": ["h"]})
    assert (found["headers"], found["statuses"], found["millionths"], found["host"]) == (
        *([("x", "1"), ("y", "")], (500, 599), 5_000),
        "h",
    )
    with pytest.raises(ConfigError, match="status"):
        read_terms({"status": ["abc"]})
