"""Calls over Bolt as others have captured them (vectors: sofa-bolt-node, anthunder)."""

from __future__ import annotations

import pytest

from eventmesh.protocols.bolt import Codec, ServiceFailed, TooManyHeaders, hessian_content, hessian_result, request
from eventmesh.protocols.hessian.draft import DraftReader, DraftWriter
from eventmesh.protocols.hessian.values import HessianError, JavaObject

HELLO = "com.example.HelloService:1.0"


def test_a_frame_has_what_every_peer_sends() -> None:
    frame = request(HELLO, "hello", Codec.PROTOBUF, [("uid", "")], b"\n\x03bob", 3.0)
    assert frame[:16].hex() == "0101000101" + "00000000" + "0b" + "00000bb8" + "002c"
    assert frame[16:22].hex() == f"{len(frame) - 22 - 44 - 5:04x}" + "00000005"
    assert frame[22:66] == b"com.alipay.sofa.rpc.core.request.SofaRequest"
    assert frame.endswith(b"\0\0\0\x03uid\0\0\0\0\n\x03bob")
    assert request(HELLO, "hello", Codec.JSON, [], b"")[10:14] == b"\xff" * 4


def test_a_map_that_java_could_not_read_is_refused() -> None:
    with pytest.raises(TooManyHeaders):
        request(HELLO, "hello", Codec.JSON, [("a", "x" * 40_000)], b"")


def test_a_request_in_hessian_is_one_that_java_reads() -> None:
    reader = DraftReader(hessian_content(HELLO, "sayHello", ["java.lang.String", "byte[]"], ["peter", b"x"]))
    asked = reader.read()
    assert isinstance(asked, JavaObject)
    assert asked.fields["methodArgSigs"] == ["java.lang.String", "[B"]
    assert (asked.fields["methodName"], asked.fields["targetServiceUniqueName"]) == ("sayHello", HELLO)
    assert (reader.read(), reader.read(), reader.at_end) == ("peter", b"x", True)


def test_an_answer_of_another_implementation_is_read() -> None:
    captured = (
        "4fbe636f6d2e616c697061792e736f66612e7270632e636f72652e726573706f6e73652e536f6661526573706f6e7365940769734572726f"
        "72086572726f724d73670b617070526573706f6e73650d726573706f6e736550726f70736f90464e0b68656c6c6f2070657465724e"
    )
    assert hessian_result(bytes.fromhex(captured)) == "hello peter"


def test_an_answer_that_tells_of_a_failure_raises_it() -> None:
    writer = DraftWriter()
    name = "com.alipay.sofa.rpc.core.response.SofaResponse"
    writer.write(JavaObject(name, {"isError": True, "errorMsg": "busy", "appResponse": None}))
    with pytest.raises(ServiceFailed, match="busy"):
        hessian_result(writer.written())
    with pytest.raises(HessianError, match="SofaResponse"):
        hessian_result(b"N")
