"""SOFARPC over Bolt as its caller writes and reads it: the frame of a request, and contents in Hessian.

Source: sofastack/sofa-bolt `RpcCommandEncoder`, sofastack/sofa-rpc `SofaRpcSerialization`. Frames of others are the
core's affair (`crates/core/src/bolt`); this is for calls that begin in the mesh.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from eventmesh.base.errors import MeshError
from eventmesh.protocols.hessian.draft import DraftReader, DraftWriter
from eventmesh.protocols.hessian.values import HessianError, JavaObject, TypedList
from eventmesh.protocols.java_types import class_name

REQUEST_CLASS: Final = "com.alipay.sofa.rpc.core.request.SofaRequest"
RESPONSE_CLASS: Final = "com.alipay.sofa.rpc.core.response.SofaResponse"
RESPONSE_ERROR: Final = "sofa_head_response_error"
"""Header `true` of an answer that tells of a failure, under Bolt's status SUCCESS."""

MAX_MAP_BYTES: Final = 32_767
"""Longest header map: Java reads its length as a signed short."""

_UNKNOWN_METHOD: Final = "RPC-020100011"
"""sofa-rpc's LogCodes of `cannot find invoke method`: the text behind it is in the language of the server."""

_HEAD: Final = struct.Struct(">BBHBiBiHHi")
_PROTOCOL, _REQUEST, _COMMAND, _COMMAND_VERSION = 1, 1, 1, 1


class Codec(IntEnum):
    """How the content is serialized."""

    HESSIAN = 1
    PROTOBUF = 11
    JSON = 12


class Status(IntEnum):
    """What an answer says of itself; the content tells of failures of the service too."""

    SUCCESS = 0
    ERROR = 1
    SERVER_EXCEPTION = 2
    UNKNOWN = 3
    SERVER_THREADPOOL_BUSY = 4
    ERROR_COMM = 5
    NO_PROCESSOR = 6
    TIMEOUT = 7
    CLIENT_SEND_ERROR = 8
    CODEC_EXCEPTION = 9
    CONNECTION_CLOSED = 0x10
    SERVER_SERIAL_EXCEPTION = 0x11
    SERVER_DESERIAL_EXCEPTION = 0x12


class TooManyHeaders(MeshError):
    """The header map is longer than a Bolt frame can say."""


def request(
    service: str, method: str, codec: Codec, headers: Sequence[tuple[str, str]], content: bytes, timeout_s: float = 0.0
) -> bytes:
    """Return the frame of a call; its id is 0, for the engine to set. Raises TooManyHeaders.

    `service` is a unique name, `interface:version[:uniqueId]`; `timeout_s` 0 is none.
    """
    own = (("service", service), ("sofa_head_target_service", service), ("sofa_head_method_name", method))
    fields = b"".join(_text(name) + _text(value) for name, value in (*own, *headers))
    if len(fields) > MAX_MAP_BYTES:
        raise TooManyHeaders(f"attributes take {len(fields)} bytes as Bolt headers, of at most {MAX_MAP_BYTES}")
    timeout_ms = min(int(timeout_s * 1000), 2**31 - 1) or -1
    lengths = (len(REQUEST_CLASS), len(fields), len(content))
    head = _HEAD.pack(_PROTOCOL, _REQUEST, _COMMAND, _COMMAND_VERSION, 0, codec, timeout_ms, *lengths)
    return b"".join((head, REQUEST_CLASS.encode(), fields, content))


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">i", len(data)) + data


def hessian_content(service: str, method: str, types: Sequence[str], arguments: Sequence[object]) -> bytes:
    """Return the content of a request in Hessian; raises HessianError."""
    writer = DraftWriter()
    fields = {
        "methodName": method,
        "methodArgSigs": TypedList("[string", [class_name(name) for name in types]),
        "targetServiceUniqueName": service,
        "targetAppName": "",
        "requestProps": None,
    }
    writer.write(JavaObject(REQUEST_CLASS, fields))
    for argument in arguments:
        writer.write(argument)
    return writer.written()


class ServiceFailed(MeshError):
    """SOFARPC itself says that a call failed: there is no such method, its queue is full, and so on."""

    @property
    def is_unknown_method(self) -> bool:
        """Return whether the service has no method of this name and these types: that is told by a code of its own."""
        return str(self).startswith(_UNKNOWN_METHOD)


def hessian_result(content: bytes) -> object:
    """Return what a method returned, or the exception it threw as a JavaObject; raises ServiceFailed, HessianError."""
    answer = DraftReader(content).read()
    if not isinstance(answer, JavaObject) or answer.class_name != RESPONSE_CLASS:
        raise HessianError(f"the content is no {RESPONSE_CLASS}")
    if answer.fields.get("isError") is True:
        raise ServiceFailed(str(answer.fields.get("errorMsg")))
    return answer.fields.get("appResponse")
