"""Dubbo 2 as its caller writes and reads it, in Hessian 2: a request's frame, and what the body of an answer says.

Source: apache/dubbo `ExchangeCodec`, `DubboCodec`, `DecodeableRpcResult`. Frames of others are the core's affair
(`crates/core/src/dubbo`); this is for calls that begin in the mesh.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.protocols.hessian.final import FinalReader, FinalWriter
from eventmesh.protocols.hessian.values import HessianError
from eventmesh.protocols.java_types import descriptor

VERSION: Final = "2.0.2"
"""What a caller says it speaks: the version of the protocol in which answers carry attachments."""

_HEAD: Final = struct.Struct(">HBBqI")
_MAGIC, _TWO_WAY_REQUEST, _HESSIAN2 = 0xDABB, 0xC0, 2


class Status(IntEnum):
    """What an answer says of itself; with OK the body tells of exceptions."""

    OK = 20
    CLIENT_TIMEOUT = 30
    SERVER_TIMEOUT = 31
    BAD_REQUEST = 40
    BAD_RESPONSE = 50
    SERVICE_NOT_FOUND = 60
    SERVICE_ERROR = 70
    SERVER_ERROR = 80
    CLIENT_ERROR = 90
    SERVER_THREADPOOL_EXHAUSTED = 100


_EXCEPTION, _VALUE, _NULL = 0, 1, 2
_WITH_ATTACHMENTS = 3
"""Added to each of these when attachments stand behind."""


@frozen
class Target:
    """What is called."""

    interface: str
    method: str
    version: str = ""
    group: str = ""


def request(
    target: Target, types: Sequence[str], arguments: Sequence[object], attachments: Mapping[str, str], timeout_s: float
) -> bytes:
    """Return the frame of a call; its id is 0, for the engine to set. Raises HessianError. `timeout_s` 0 is none."""
    said = {"path": target.interface, "interface": target.interface, **attachments}
    for name, value in (("version", target.version), ("group", target.group)):
        if value:
            said[name] = value
    if timeout_s:
        said["timeout"] = str(int(timeout_s * 1000))
    writer = FinalWriter()
    signature = "".join(map(descriptor, types))
    for part in (VERSION, target.interface, target.version or "0.0.0", target.method, signature, *arguments, said):
        writer.write(part)
    body = writer.written()
    return _HEAD.pack(_MAGIC, _TWO_WAY_REQUEST | _HESSIAN2, 0, 0, len(body)) + body


@frozen
class Result:
    """What a method came to."""

    value: object
    thrown: bool = False
    """`value` is the exception."""


def result(body: bytes) -> Result:
    """Return what the body of an answer with the status OK says; raises HessianError."""
    reader = FinalReader(body)
    flag = reader.read_int()
    match flag % _WITH_ATTACHMENTS:
        case _ if not _EXCEPTION <= flag <= _NULL + _WITH_ATTACHMENTS:
            raise HessianError(f"a result of the unknown kind {flag}")
        case value if value == _NULL:
            return Result(None)
        case kind:
            return Result(reader.read(), thrown=kind == _EXCEPTION)


def refusal(body: bytes) -> str:
    """Return the text that an answer with another status holds; empty when it is none."""
    try:
        return FinalReader(body).read_text()
    except HessianError:
        return ""
