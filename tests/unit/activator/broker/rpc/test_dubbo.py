"""Events as calls over Dubbo: what is sent, and what each ending counts as."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.dubbo import frame_of, result_of
from eventmesh.activator.broker.rpc.outcome import NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import is_retried
from eventmesh.model.rpc import RpcMethod, RpcProtocol, Signature
from eventmesh.protocols.dubbo import Status
from eventmesh.protocols.hessian.final import FinalReader, FinalWriter
from eventmesh.protocols.hessian.values import JavaObject
from tests.unit.activator.broker.rpc.answers import ended

SIGNATURE = Signature(("java.lang.String",), "java.lang.String", ("shop.SoldOut",))
METHOD = RpcMethod(RpcProtocol.DUBBO, "com.shop.Prices", "quote", "1.0", "canary", signature=SIGNATURE)
EVENT = Event(
    {"id": "7", "source": "/shop", "type": "order", "specversion": "1.0", "datacontenttype": "application/json"},
    b'"tea"',
)


def body(*values: object) -> bytes:
    writer = FinalWriter()
    for value in values:
        writer.write(value)
    return writer.written()


def test_a_call_names_interface_method_types_and_attributes() -> None:
    frame = frame_of(EVENT, METHOD, [("ce-id", "7")], 1.5)
    assert frame[:4] == b"\xda\xbb\xc2\0"
    reader = FinalReader(frame[16:])
    values = [reader.read() for _ in range(7)]
    assert reader.at_end
    assert values[:6] == ["2.0.2", "com.shop.Prices", "1.0", "quote", "Ljava/lang/String;", "tea"]
    said = {"path": "com.shop.Prices", "interface": "com.shop.Prices", "version": "1.0", "group": "canary"}
    assert values[6] == said | {"timeout": "1500", "ce-id": "7"}


def test_a_method_without_a_signature_is_not_called() -> None:
    with pytest.raises(NotCallable, match="com.shop.Prices/quote has no signature"):
        frame_of(EVENT, RpcMethod(RpcProtocol.DUBBO, "com.shop.Prices", "quote"), [], 0.0)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (body(1, "tea"), Result(b'"tea"', "application/json")),
        (body(4, "tea", {}), Result(b'"tea"', "application/json")),
        (body(2), Result(b"")),
        (body(5, {}), Result(b"")),
    ],
)
def test_a_result_is_what_the_body_says(answer: bytes, result: Result) -> None:
    assert result_of(ended(frame_status=20, body=answer), METHOD) == result


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_status_is_tried_again_unless_the_call_could_not_be_read(status: Status) -> None:
    answer = result_of(ended(status=500, frame_status=status.value, body=body("why")), METHOD)
    assert isinstance(answer, Answer)
    assert answer.body == f"{status.name}: why".encode()
    assert is_retried(answer.status) is (status is not Status.BAD_REQUEST)


@pytest.mark.parametrize("flag", [0, 3])
def test_an_exception_that_is_declared_is_final(flag: int) -> None:
    exception = JavaObject("shop.SoldOut", {"detailMessage": "none left"})
    answer = result_of(ended(status=500, frame_status=20, body=body(flag, exception)), METHOD)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (422, b"shop.SoldOut: none left")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"status": 429, "body": b"slowly"}, 429),
        ({"frame_status": 77}, 500),
        ({"frame_status": 20, "body": b""}, 502),
        ({"frame_status": 20, "body": body(6)}, 502),
        ({"frame_status": 20, "body": body(-1)}, 502),
        ({"frame_status": 20, "body": body("text")}, 502),
        ({"frame_status": 20, "body": body(1)}, 502),
        ({"frame_status": 20, "body": b"\x91" + b"W" * 100_000}, 502),
    ],
)
def test_what_is_no_result_is_a_failure(said: dict[str, object], status: int) -> None:
    answer = result_of(ended(**said), METHOD)
    assert isinstance(answer, Answer)
    assert answer.status == status
