"""Events as calls over Bolt: what is sent, and what each ending counts as."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.bolt import frame_of, result_of
from eventmesh.activator.broker.rpc.outcome import NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import is_retried
from eventmesh.model.rpc import RpcMethod, RpcProtocol, Signature
from eventmesh.protocols.bolt import MAX_MAP_BYTES, RESPONSE_CLASS, Status
from eventmesh.protocols.hessian.draft import DraftWriter
from eventmesh.protocols.hessian.values import JavaObject
from tests.unit.activator.broker.rpc.answers import ended

PLAIN = RpcMethod(RpcProtocol.BOLT, "com.shop.Prices", "quote")
SIGNED = RpcMethod(
    RpcProtocol.BOLT,
    "com.shop.Prices",
    "quote",
    signature=Signature(("java.lang.String",), "java.lang.String", ("shop.SoldOut",)),
)
FAILED = [("sofa_head_response_error", "true")]


def event(content_type: str = "application/json", data: bytes = b'"tea"') -> Event:
    attributes = {"id": "7", "source": "/shop", "type": "order", "specversion": "1.0", "datacontenttype": content_type}
    return Event(attributes, data)


def answered(value: object, *, is_error: bool = False, message: str | None = None) -> bytes:
    writer = DraftWriter()
    fields = {"isError": is_error, "errorMsg": message, "appResponse": value, "responseProps": None}
    writer.write(JavaObject(RESPONSE_CLASS, fields))
    return writer.written()


@pytest.mark.parametrize(("content_type", "codec"), [("application/protobuf", 11), ("application/json", 12)])
def test_without_a_signature_data_goes_as_it_is(content_type: str, codec: int) -> None:
    frame = frame_of(event(content_type), PLAIN, [], 1.5)
    assert (frame[9], int.from_bytes(frame[10:14], "big")) == (codec, 1500)
    assert frame.endswith(b'"tea"')
    assert b"com.shop.Prices:1.0" in frame


def test_with_a_signature_it_goes_in_hessian() -> None:
    frame = frame_of(event(), SIGNED, [], 0.0)
    assert (frame[9], frame[10:14]) == (1, b"\xff" * 4)
    assert frame.endswith(b"S\0\x03tea")


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(NotCallable, match="text/plain"):
        frame_of(event("text/plain"), PLAIN, [], 0.0)
    with pytest.raises(NotCallable, match=f"of at most {MAX_MAP_BYTES}"):
        frame_of(event(), PLAIN, [("ce-note", "x" * MAX_MAP_BYTES)], 0.0)


def test_a_result_is_what_the_content_says() -> None:
    assert result_of(ended(body=b"\x08\x01"), PLAIN) == Result(b"\x08\x01")
    assert result_of(ended(body=answered("tea")), SIGNED) == Result(b'"tea"', "application/json")


@pytest.mark.parametrize("status", list(Status)[1:])
def test_a_status_is_tried_again_unless_the_frame_could_not_be_read(status: Status) -> None:
    answer = result_of(ended(status=500, frame_status=status.value), SIGNED)
    assert isinstance(answer, Answer) and status.name.encode() in answer.body
    final = {Status.SERVER_SERIAL_EXCEPTION, Status.SERVER_DESERIAL_EXCEPTION}
    assert is_retried(answer.status) is (status not in final)


def test_a_failure_is_told_by_its_kind() -> None:
    def failed(body: bytes, method: RpcMethod = SIGNED) -> tuple[int, bytes]:
        answer = result_of(ended(status=500, headers=FAILED, body=body), method)
        assert isinstance(answer, Answer)
        return answer.status, answer.body

    exception = {"detailMessage": "none", "stackTrace": []}
    assert failed(answered(JavaObject("shop.SoldOut", exception))) == (422, b"shop.SoldOut: none")
    assert failed(answered(JavaObject("shop.Crash", exception))) == (500, b"shop.Crash: none")
    busy = "RPC-020100030: busy"
    assert failed(answered(None, is_error=True, message=busy)) == (500, busy.encode())
    unknown = "RPC-020100011: Cannot find invoke method: [quote]"
    assert failed(answered(None, is_error=True, message=unknown)) == (422, unknown.encode())
    assert failed(b"oops", PLAIN) == (500, b"oops")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"status": 403, "body": b"not you"}, 403),
        ({"frame_status": 99}, 500),
        ({"body": b"no hessian"}, 502),
        ({"body": b"N"}, 502),
        ({"body": b"V" * 100_000}, 502),
    ],
)
def test_what_is_no_result_is_a_failure(said: dict[str, object], status: int) -> None:
    answer = result_of(ended(**said), SIGNED)
    assert isinstance(answer, Answer)
    assert answer.status == status
