"""Events as gRPC calls: what is sent, and what each ending counts as."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.grpc import request_of, result_of
from eventmesh.activator.broker.rpc.outcome import MAX_RESULT_BYTES, NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import is_retried
from eventmesh.protocols.grpc import Code, frame
from tests.unit.activator.broker.rpc import answers

ATTRIBUTES = {"id": "7", "source": "/shop", "type": "order", "specversion": "1.0", "note": "50 %"}


def event(content_type: str = "", data: bytes | None = b"{}") -> Event:
    return Event(ATTRIBUTES | ({"datacontenttype": content_type} if content_type else {}), data)


def result(code: int | str | None = 0, body: bytes = b"", message: str = "", **more: Any) -> Answer | Result:
    headers = [("content-type", more.pop("content_type", "application/grpc+json"))]
    headers += [("grpc-status", str(code)), ("grpc-message", message)] if code is not None else []
    return result_of(answers.ended(headers=headers, body=body, **more))


@pytest.mark.parametrize(
    ("content_type", "subtype"),
    [
        ("application/protobuf", "proto"),
        ("application/x-protobuf; messageType=a.B", "proto"),
        ("application/json", "json"),
        ("application/shop+json", "json"),
        ("", "json"),
    ],
)
def test_the_data_is_the_message_and_the_attributes_are_metadata(content_type: str, subtype: str) -> None:
    headers, body = request_of(event(content_type, b"\x08\x01"))
    assert dict(headers)["content-type"] == f"application/grpc+{subtype}"
    assert (dict(headers)["ce-type"], dict(headers)["ce-note"], dict(headers)["te"]) == (
        "order",
        "50%20%25",
        "trailers",
    )
    assert [name for name, _ in headers].count("content-type") == 1
    assert body == b"\0\0\0\0\2\x08\x01"


def test_data_that_is_no_message_is_refused() -> None:
    with pytest.raises(NotCallable, match="text/plain"):
        request_of(event("text/plain", b"a"))


def test_one_message_under_status_ok_is_the_result() -> None:
    assert result(0, frame(b"{}")) == Result(b"{}")
    assert result(0, frame(b"")) == Result(b"")


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_a_status_is_tried_again_when_another_try_may_help(code: Code) -> None:
    ended = result(code.value, message="no%20stock")
    assert isinstance(ended, Answer) and ended.body == f"{code.name}: no stock".encode()
    worth_it = {
        Code.CANCELLED,
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.ABORTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
    }
    assert is_retried(ended.status) is (code in worth_it)


@pytest.mark.parametrize(
    ("ended", "status", "said"),
    [
        ({"status": 404, "body": b"no host"}, 404, b"no host"),
        ({"content_type": "text/html"}, 502, b"content-type"),
        ({"code": None}, 502, b"without grpc-status"),
        ({"code": "99"}, 500, b"UNKNOWN"),
        ({"body": b""}, 502, b"0 messages"),
        ({"body": frame(b"a") * 2}, 502, b"2 messages"),
        ({"body": frame(b"abc")[:-1]}, 502, b"ended 7 bytes"),
        ({"body": b"\1\0\0\0\1a"}, 502, b"compression"),
        ({"body": b"\0" + (MAX_RESULT_BYTES + 1).to_bytes(4, "big")}, 502, b"the limit is"),
    ],
)
def test_what_is_no_result_is_a_failure_that_says_so(ended: dict[str, Any], status: int, said: bytes) -> None:
    answer = result(**ended)
    assert isinstance(answer, Answer)
    assert (answer.status, said in answer.body) == (status, True), answer
