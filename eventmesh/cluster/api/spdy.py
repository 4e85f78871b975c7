"""SPDY/3.1 as far as `kubectl port-forward` speaks it: many streams over one connection.

After draft-mbelshe-httpbis-spdy-00. Bytes in, events out, and bytes for what is to be sent; no sockets. Priorities,
settings and windows are read over: the clients of Kubernetes use none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final

from eventmesh.base.frozen import frozen

MAX_FRAME_BYTES: Final = 1024 * 1024
"""Clients copy 32 KiB at a time; a frame that claims more than this is refused before it is collected."""
MAX_HEADERS_BYTES: Final = 64 * 1024
"""A stream is opened with three short headers; this much a header block may unpack to."""

_VERSION: Final = 3
_CONTROL: Final = 0x8000
_FIN: Final = 0x01
_STREAM_MASK: Final = 0x7FFF_FFFF
_HEAD: Final = struct.Struct(">HHI")
_WORD: Final = struct.Struct(">I")

_NAMES: Final = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_MORE: Final = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_REST: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset="
    "iso-8859-1,utf-,*,enq=0."
)
DICTIONARY: Final = (
    b"".join(_WORD.pack(len(word)) + word.encode() for word in (*_NAMES.split(), *_MORE)) + _REST.encode()
)
"""What header blocks are compressed against (§2.6.10.1)."""


class _Kind(IntEnum):
    """Control frames that mean something here."""

    SYN_STREAM = 1
    SYN_REPLY = 2
    RST_STREAM = 3
    PING = 6
    GOAWAY = 7
    HEADERS = 8


class SpdyError(Exception):
    """The peer's bytes are not SPDY, or more than is taken; the connection is of no use any more."""


@frozen
class Opened:
    """The peer opened a stream; names of headers are in lower case."""

    stream: int
    headers: Mapping[str, str]
    is_last: bool
    """Whether the peer will send nothing on it."""


@frozen
class Data:
    """Bytes of a stream."""

    stream: int
    data: bytes
    is_last: bool


@frozen
class Reset:
    """The peer gave a stream up."""

    stream: int


@frozen
class Pinged:
    """The peer wants this number back."""

    number: int


@frozen
class GoneAway:
    """The peer opens no more streams."""


Event = Opened | Data | Reset | Pinged | GoneAway


class SpdyConnection:
    """The server's side of one connection."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._unpack = zlib.decompressobj(zdict=DICTIONARY)
        self._pack = zlib.compressobj(zdict=DICTIONARY)

    def received(self, data: bytes) -> Iterator[Event]:
        """Yield what `data`, after all before it, says; raises SpdyError, and from then on must not be called."""
        self._waiting += data
        while len(self._waiting) >= _HEAD.size:
            first, second, rest = _HEAD.unpack_from(self._waiting)
            flags, length = rest >> 24, rest & 0xFF_FFFF
            if length > MAX_FRAME_BYTES:
                raise SpdyError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are taken")
            if len(self._waiting) < _HEAD.size + length:
                return
            body = bytes(self._waiting[_HEAD.size : _HEAD.size + length])
            del self._waiting[: _HEAD.size + length]
            if not first & _CONTROL:
                yield Data(first << 16 | second, body, bool(flags & _FIN))
                continue
            if first != _CONTROL | _VERSION:
                raise SpdyError(f"version {first & ~_CONTROL} of SPDY; only {_VERSION} is spoken")
            event = self._control(second, flags, body)
            if event is not None:
                yield event

    def _control(self, kind: int, flags: int, body: bytes) -> Event | None:
        match kind:
            case _Kind.SYN_STREAM:
                stream = _word(body, 0) & _STREAM_MASK
                return Opened(stream, self._headers(body[10:]), bool(flags & _FIN))
            case _Kind.RST_STREAM:
                return Reset(_word(body, 0) & _STREAM_MASK)
            case _Kind.PING:
                return Pinged(_word(body, 0))
            case _Kind.GOAWAY:
                return GoneAway()
            case _Kind.SYN_REPLY | _Kind.HEADERS:
                # The compression runs through all header blocks, those that nobody needs included.
                self._headers(body[4:])
                return None
            case _:
                return None

    def _headers(self, packed: bytes) -> dict[str, str]:
        try:
            block = self._unpack.decompress(packed, MAX_HEADERS_BYTES)
        except zlib.error as error:
            raise SpdyError(f"a header block that does not unpack: {error}") from error
        if self._unpack.unconsumed_tail:
            raise SpdyError(f"a header block of more than {MAX_HEADERS_BYTES} bytes")
        headers = {}
        count, at = _word(block, 0), _WORD.size
        for _ in range(count):
            name, at = _text(block, at)
            headers[name.lower()], at = _text(block, at)
        return headers

    def reply(self, stream: int) -> bytes:
        """Return what accepts a stream of the peer's."""
        block = self._pack.compress(_WORD.pack(0)) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        return _control_frame(_Kind.SYN_REPLY, _WORD.pack(stream) + block)

    def data(self, stream: int, data: bytes, *, is_last: bool = False) -> bytes:
        """Return bytes of a stream."""
        return _WORD.pack(stream) + _WORD.pack((_FIN if is_last else 0) << 24 | len(data)) + data

    def reset(self, stream: int, status: int) -> bytes:
        """Return what gives a stream up."""
        return _control_frame(_Kind.RST_STREAM, _WORD.pack(stream) + _WORD.pack(status))

    def pong(self, number: int) -> bytes:
        """Return the answer to a ping."""
        return _control_frame(_Kind.PING, _WORD.pack(number))


def _control_frame(kind: int, body: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | _VERSION, kind, len(body)) + body


def _word(data: bytes, at: int) -> int:
    if len(data) < at + _WORD.size:
        raise SpdyError(f"a frame that ends within a number, after {len(data)} bytes")
    value: int = _WORD.unpack_from(data, at)[0]
    return value


def _text(block: bytes, at: int) -> tuple[str, int]:
    length = _word(block, at)
    at += _WORD.size
    if length > len(block) - at:
        raise SpdyError(f"a header that claims {length} bytes where {len(block) - at} are left")
    return block[at : at + length].decode("utf-8", "replace"), at + length
