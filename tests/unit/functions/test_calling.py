"""Which function a request reaches, and how what it does is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from eventmesh.functions import Call, Refused, Request, Response, bolt_function, function, http_function, reply_to
from eventmesh.functions.calling import Functions
from eventmesh.functions.declared import declared_in
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core import _core

EVENT = (("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t"), ("ce-specversion", "1.0"))
JSON = ("content-type", "application/json")


@dataclass
class Asked:
    """A request as the engine hands it over."""

    method: str = "POST"
    path: str = "/"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    protocol: str = "http1"
    authority: str = "fn"
    peer: str = ""


@function
def double(event: Any) -> Any:
    """Answer with twice the number."""
    return reply_to(event, "doubled", {"number": event.get_data()["number"] * 2})


@function(path="/quiet")
async def quiet(event: Any) -> None:
    """Say nothing."""


@function(path="/many")
def many(event: Any) -> Any:
    """Return more than may be returned."""
    return [event]


@function(path="/never")
def never(event: Any) -> None:
    """Take no event at all."""
    raise Refused("the order is closed")


@function(path="/broken")
def broken(event: Any) -> None:
    """Fail with what nobody should read."""
    raise ValueError("password=hunter2")


@http_function(path="/hi", methods=["GET", "PUT"])
def hi(request: Request) -> Any:
    """Answer in the way that is asked for."""
    answers = {"text": "hi", "none": None, "teapot": Response(418, b"short", {"X-Spout": "stout"}), "bytes": b"\x00"}
    return answers.get(request.query.get("as", ""), {"got": request.json() if request.body else None})


@bolt_function("com.example.Sum:1.0", method="sum")
def total(call: Call) -> Any:
    """Add."""
    return sum(call.json())


@pytest.fixture
def functions() -> Iterator[Functions]:
    made = Functions(declared_in(globals()))
    yield made
    made.close()


async def ask(functions: Functions, asked: Asked) -> Reply:
    return await functions.handle(cast("_core.Request", asked))


def event(path: str = "/", body: bytes = b"", *more: tuple[str, str]) -> Asked:
    return Asked(path=path, headers=[*EVENT, *more], body=body)


async def test_the_event_that_a_function_returns_is_the_reply(functions: Functions) -> None:
    reply = await ask(functions, event("/", b'{"number": 4}', JSON))
    headers = dict(reply.headers)
    assert (reply.status, reply.body) == (200, b'{"number": 8}')
    assert (headers["ce-type"], headers["ce-id"], headers["content-type"]) == ("doubled", "1-doubled", JSON[1])


async def test_a_structured_event_is_the_same_event(functions: Functions) -> None:
    body = b'{"id":"1","source":"/s","type":"t","specversion":"1.0","data":{"number":4}}'
    asked = Asked(headers=[("content-type", "application/cloudevents+json")], body=body)
    assert (await ask(functions, asked)).body == b'{"number": 8}'


async def test_a_function_that_returns_nothing_accepts_the_event(functions: Functions) -> None:
    assert await ask(functions, event("/quiet")) == Reply(202)


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        (Asked(headers=list(EVENT[:3])), 400, b"specversion"),
        (event("/", b"{", JSON), 400, b"datacontenttype"),
        (Asked(headers=[("content-type", "application/cloudevents+xml")]), 415, b"application/cloudevents+json"),
        (Asked(method="GET"), 405, b"one in each POST"),
        (event("/never"), 400, b"never refuses this event: the order is closed"),
        (event("/many"), 500, b"many failed"),
    ],
)
async def test_what_cannot_be_handled_is_told_from_what_went_wrong(
    functions: Functions, asked: Asked, status: int, said: bytes
) -> None:
    reply = await ask(functions, asked)
    assert (reply.status, said in reply.body) == (status, True), reply.body


async def test_what_a_failing_function_says_stays_in_its_log(
    functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await ask(functions, event("/broken"))
    assert (reply.status, reply.body) == (500, b"broken failed: ValueError; its log says more\n")
    assert "hunter2" in caplog.text


@pytest.mark.parametrize(
    ("query", "status", "body", "header"),
    [
        ("", 200, b'{"got": null}', ("content-type", "application/json")),
        ("?as=text", 200, b"hi", ("content-type", "text/plain; charset=utf-8")),
        ("?as=bytes", 200, b"\x00", ("content-type", "application/octet-stream")),
        ("?as=teapot", 418, b"short", ("x-spout", "stout")),
        ("?as=none", 204, b"", None),
    ],
)
async def test_an_http_function_answers_with_what_it_returns(
    functions: Functions, query: str, status: int, body: bytes, header: tuple[str, str] | None
) -> None:
    assert await ask(functions, Asked("GET", f"/hi{query}")) == Reply(status, (header,) if header else (), body)


async def test_a_method_that_an_http_function_does_not_take_is_405_and_a_body_that_is_no_json_400(
    functions: Functions,
) -> None:
    assert await ask(functions, Asked("POST", "/hi")) == Reply(405, (("allow", "GET, PUT"),))
    assert (await ask(functions, Asked("PUT", "/hi", body=b"{"))).status == 400


async def test_a_bolt_call_is_answered_by_the_function_of_its_interface_and_method(functions: Functions) -> None:
    call = Asked("sum", "/com.example.Sum:1.0/sum", body=b"[1, 2]", protocol="bolt", authority="com.example.Sum:1.0")
    assert await ask(functions, call) == Reply(200, (), b"3")
    call.method = "product"
    assert (await ask(functions, call)).status == 404


async def test_what_no_path_takes_goes_to_the_root_and_without_one_is_404(functions: Functions) -> None:
    assert (await ask(functions, event("/elsewhere", b'{"number": 1}', JSON))).status == 200
    only = Functions(declared_in({"quiet": quiet}))
    reply = await ask(only, event("/elsewhere"))
    assert (reply.status, b"/quiet" in reply.body) == (404, True)
    assert (await ask(only, Asked("GET", "/health/readiness"))).status == 200
    only.close()
