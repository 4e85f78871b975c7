"""gRPC over HTTP/2 as its caller sees it: messages in bytes, and how a call ended.

Source: grpc/grpc doc/PROTOCOL-HTTP2.md, doc/statuscodes.md, doc/http-grpc-status-mapping.md. Pure; the stream itself
is `transport.grpc_call`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen

if TYPE_CHECKING:
    from eventmesh.core.actions import Headers

PREFIX_BYTES: Final = 5
"""Before each message: whether it is compressed (1 byte), its length (4 bytes, big-endian)."""

CONTENT_TYPE: Final = "application/grpc"

_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""What stands for itself in a status message; all else is percent-encoded."""


def is_grpc(content_type: str) -> bool:
    """Tell whether a `content-type` is gRPC's: alone, or with `+proto`, `;charset` and the like.

    That of gRPC-Web, whose calls end in another way, is not."""
    return content_type.startswith(CONTENT_TYPE) and content_type[len(CONTENT_TYPE) :][:1] in ("", "+", ";")


class Code(IntEnum):
    """Status codes of a call."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_BY_HTTP: Final = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}


class CallFailed(MeshError):
    """A call ended with another status than OK. Whether it may be made again is the caller's to know."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(f"{code.name}: {message}" if message else code.name)
        self.code = code
        self.message = message


@frozen
class Status:
    """How a call ended."""

    code: Code
    message: str = ""

    def check(self) -> None:
        """Raise CallFailed unless it is OK."""
        if self.code is not Code.OK:
            raise CallFailed(self.code, self.message)

    def trailers(self) -> Headers:
        """Return the fields that tell it behind the last message."""
        told = (("grpc-status", str(int(self.code))),)
        return (*told, ("grpc-message", _quoted(self.message))) if self.message else told


def prefix(length: int) -> bytes:
    """Return what stands before a message of `length` bytes, uncompressed."""
    return b"\0" + length.to_bytes(4, "big")


def frame(message: bytes) -> bytes:
    """Return a message as it travels, uncompressed."""
    return prefix(len(message)) + message


class MessageReader:
    """Puts the messages of one direction together again."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` is the longest message; it is looked at in the prefix, before memory is spent."""
        self._max_bytes = max_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that `data` completes.

        Raises CallFailed: RESOURCE_EXHAUSTED when one is too long, INTERNAL when one is compressed, which nobody asked
        for. The stream is beyond use then.
        """
        pending = self._pending
        pending += data
        messages = []
        at = 0
        while len(pending) - at >= PREFIX_BYTES:
            length = int.from_bytes(pending[at + 1 : at + PREFIX_BYTES], "big")
            if pending[at]:
                raise CallFailed(Code.INTERNAL, f"a message with compression flag {pending[at]}; none was negotiated")
            if length > self._max_bytes:
                raise CallFailed(
                    Code.RESOURCE_EXHAUSTED, f"a message of {length} bytes; the limit is {self._max_bytes} bytes"
                )
            start = at + PREFIX_BYTES
            if len(pending) - start < length:
                break
            messages.append(bytes(pending[start : start + length]))
            at = start + length
        del pending[:at]
        return messages

    def end(self) -> None:
        """Raise CallFailed when the stream ends in the middle of a message."""
        if self._pending:
            raise CallFailed(Code.INTERNAL, f"the stream ended {len(self._pending)} bytes into a message")


def refusal(http_status: int, headers: Headers) -> Status | None:
    """Return why an answer that begins so is none of gRPC's; None when it is one."""
    if http_status != 200:
        return Status(_BY_HTTP.get(http_status, Code.UNKNOWN), f"HTTP status {http_status}")
    content_type = _field(headers, "content-type")
    if not is_grpc(content_type):
        return Status(Code.UNKNOWN, f"content-type {content_type!r} is not {CONTENT_TYPE}")
    return None


def status_in(fields: Headers) -> Status | None:
    """Return the status that trailers (or the head of an answer without messages) tell; None when they tell none."""
    text = _field(fields, "grpc-status")
    if not text:
        return None
    message = _unquoted(_field(fields, "grpc-message"))
    known = text.isascii() and text.isdigit() and int(text) <= Code.UNAUTHENTICATED
    return Status(Code(int(text)), message) if known else Status(Code.UNKNOWN, f"grpc-status {text!r}: {message}")


def _quoted(message: str) -> str:
    # Calls that end well have no message, and `urllib.parse` is 2 ms of the start of each process that makes calls.
    from urllib.parse import quote

    return quote(message, safe=_PLAIN)


def _unquoted(field: str) -> str:
    if not field:
        return ""
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(field).decode(errors="replace")


def _field(fields: Headers, wanted: str) -> str:
    return next((value for name, value in fields if name == wanted), "")
