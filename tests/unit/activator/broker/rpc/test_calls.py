"""The event that a result is, whatever it was called over."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.calls import Framed, Posted, call_of, reply_of, result_of
from eventmesh.activator.broker.rpc.outcome import Result
from eventmesh.cloudevents.event import Event
from eventmesh.model.rpc import RpcMethod, RpcProtocol, Signature
from eventmesh.protocols.hessian.final import FinalReader
from tests.unit.activator.broker.rpc.answers import ended

METHOD = RpcMethod(RpcProtocol.GRPC, "shop.Prices", "Quote")


def event(content_type: str = "application/json", data: bytes = b'"a"') -> Event:
    attributes = {"id": "7", "source": "/shop", "type": "order", "specversion": "1.0", "datacontenttype": content_type}
    return Event(attributes, data)


def test_a_result_is_the_same_event_each_time_its_cause_is_delivered() -> None:
    replies = [reply_of(Result(b'{"total": 1}'), event(), METHOD, "/t") for _ in range(2)]
    assert replies[0] == replies[1]
    assert replies[0] is not None
    assert (replies[0].id, replies[0].type, replies[0].text("datacontenttype")) == (
        "7-reply",
        "order.reply",
        "application/json",
    )
    named = RpcMethod(RpcProtocol.GRPC, "a", "B", reply_type="quoted")
    quoted = reply_of(Result(b"\x08\x01"), event("application/protobuf"), named, "/t")
    assert quoted is not None and (quoted.type, quoted.text("datacontenttype")) == ("quoted", "application/protobuf")
    told = reply_of(Result(b"1", "application/json"), event("application/protobuf"), METHOD, "/t")
    assert told is not None and told.text("datacontenttype") == "application/json"


def test_nothing_is_no_reply() -> None:
    assert reply_of(Result(b""), event(), METHOD, "/t") is None
    assert reply_of(Result(b"null"), event(), METHOD, "/t") is None


def test_each_protocol_is_called_in_its_own_way_and_told_the_same() -> None:
    more = [("traceparent", "00-1")]
    posted = call_of(event(), METHOD, more, 1.0)
    assert isinstance(posted, Posted) and posted.path == "/shop.Prices/Quote"
    assert {("ce-id", "7"), ("traceparent", "00-1")} <= set(posted.headers)
    signature = Signature(("java.lang.String",))
    bolt = call_of(event(), RpcMethod(RpcProtocol.BOLT, "a.B", "c", signature=signature), more, 1.0)
    assert isinstance(bolt, Framed)
    assert b"\0\0\0\x05ce-id\0\0\0\x017" in bolt.frame and b"traceparent" in bolt.frame
    assert b"content-type" not in bolt.frame
    dubbo = call_of(event(), RpcMethod(RpcProtocol.DUBBO, "a.B", "c", signature=signature), more, 1.0)
    assert isinstance(dubbo, Framed)
    reader = FinalReader(dubbo.frame[16:])
    *_, attachments = [reader.read() for _ in range(7)]
    assert isinstance(attachments, dict)
    assert (attachments["ce-id"], attachments["traceparent"]) == ("7", "00-1")


@pytest.mark.parametrize("protocol", RpcProtocol)
def test_a_call_without_an_answer_says_why(protocol: RpcProtocol) -> None:
    method = RpcMethod(protocol, "a.B", "c", signature=Signature())
    assert result_of(ended(status=0, error="timeout"), method) == Answer(0, "timeout")
