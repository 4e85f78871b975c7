"""JSON as arguments of Java methods, their results as JSON, and what exceptions count as."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.delivery import Answer
from eventmesh.activator.broker.rpc.java import arguments_of, is_throwable, result_of, thrown
from eventmesh.activator.broker.rpc.outcome import MAX_RESULT_BYTES, NotCallable, Result
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import is_retried
from eventmesh.model.rpc import Signature
from eventmesh.protocols.hessian.values import JavaObject

ONE = Signature(("java.lang.String",), "java.lang.String", ("shop.SoldOut",))
TWO = Signature(("int", "java.lang.String"))


def event(data: bytes | None, content_type: str = "application/json") -> Event:
    attributes = {"id": "7", "source": "/shop", "type": "order", "specversion": "1.0", "datacontenttype": content_type}
    return Event(attributes, data)


def test_the_data_is_the_argument_and_of_several_the_array() -> None:
    assert arguments_of(event(b'"a"'), ONE) == ["a"]
    assert arguments_of(event(None), ONE) == [None]
    assert arguments_of(event(b'[1, "a"]'), TWO) == [1, "a"]
    assert arguments_of(event(b"whatever", "text/plain"), Signature()) == []


@pytest.mark.parametrize(
    ("data", "content_type", "signature", "said"),
    [
        (b"a", "text/plain", ONE, "data is text/plain"),
        (b"{", "application/json", ONE, "data is not JSON"),
        (b"\xff", "application/json", ONE, "data is not JSON"),
        (b"[" * 200_000, "application/json", ONE, "data is not JSON"),
        (b"NaN", "application/json", Signature(("double",)), "NaN is no number"),
        (b"1", "application/json", ONE, "data: 1 is no java.lang.String"),
        (b"[1]", "application/json", TWO, "data must be an array of 2 arguments: int, java.lang.String"),
        (b'{"0": 1}', "application/json", TWO, "data must be an array of 2 arguments"),
        (b'[1, ["a"]]', "application/json", TWO, r"data\[1\]: \['a'\] is no java.lang.String"),
        (b'["1", "a"]', "application/json", TWO, r"data\[0\]: '1' is no int"),
    ],
)
def test_data_that_does_not_fit_the_signature_is_no_call(
    data: bytes, content_type: str, signature: Signature, said: str
) -> None:
    with pytest.raises(NotCallable, match=said):
        arguments_of(event(data, content_type), signature)


def test_a_result_is_json_and_void_is_nothing() -> None:
    assert result_of("é", ONE) == Result('"é"'.encode(), "application/json")
    assert result_of(None, ONE) == Result(b"")
    assert result_of("left over", Signature()) == Result(b"")


@pytest.mark.parametrize("value", [1, True, ["a"], JavaObject("a.B"), "\ud800", "x" * (MAX_RESULT_BYTES + 1)])
def test_a_result_that_cannot_be_an_event_is_a_failure_for_good(value: object) -> None:
    ended = result_of(value, ONE)
    assert isinstance(ended, Answer)
    assert ended.status and not is_retried(ended.status)
    assert ended.body.startswith(b"the result")


def test_an_exception_that_is_declared_is_final_and_any_other_is_tried_again() -> None:
    sold_out = thrown(JavaObject("shop.SoldOut", {"detailMessage": "none left"}), ONE)
    assert (is_retried(sold_out.status), sold_out.body) == (False, b"shop.SoldOut: none left")
    assert sold_out.error == "shop.SoldOut"
    accident = thrown(JavaObject("java.lang.NullPointerException", {"detailMessage": None}), ONE)
    assert (is_retried(accident.status), accident.body) == (True, b"java.lang.NullPointerException")
    assert is_retried(thrown("text", ONE).status)


def test_an_exception_is_known_by_its_fields() -> None:
    assert is_throwable(JavaObject("a.B", {"detailMessage": "x", "stackTrace": [], "cause": None}))
    assert not is_throwable(JavaObject("a.B", {"detailMessage": "x"}))
    assert not is_throwable("x")
