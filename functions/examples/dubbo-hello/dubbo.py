"""Just enough of Dubbo 2 for an example: one frame in, one frame out, arguments and answers that are texts (Hessian 2).

A frame is 16 bytes of head and a body; both sides of a call bear its id.
"""

import asyncio
import struct
from dataclasses import dataclass, field

HEAD = struct.Struct(">HBBQI")
MAGIC = 0xDABB
REQUEST, TWO_WAY, EVENT, HESSIAN2 = 0x80, 0x40, 0x20, 2
OK = 20
VALUE = b"\x91"
TEXT_TYPE = "Ljava/lang/String;"


@dataclass
class Frame:
    """A call or an answer; `texts` are those at the front of its body."""

    flags: int
    status: int
    id: int
    body: bytes
    texts: list[str] = field(default_factory=list)


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Return the next frame; raises asyncio.IncompleteReadError at the end of the connection."""
    magic, flags, status, number, size = HEAD.unpack(await reader.readexactly(HEAD.size))
    if magic != MAGIC:
        raise ConnectionError("not a Dubbo frame")
    body = await reader.readexactly(size)
    start = 0 if flags & REQUEST or status != OK else 1
    return Frame(flags, status, number, body, [] if flags & EVENT else _texts(body, start))


def call(number: int, service: str, version: str, method: str, argument: str, **attachments: str) -> bytes:
    """Return a call of a method that takes one text."""
    said = {"path": service, "interface": service, "version": version, **attachments}
    texts = ("2.0.2", service, version, method, TEXT_TYPE, argument)
    pairs = b"".join(map(_text, (word for pair in said.items() for word in pair)))
    body = b"".join(map(_text, texts)) + b"H" + pairs + b"Z"
    return HEAD.pack(MAGIC, REQUEST | TWO_WAY | HESSIAN2, 0, number, len(body)) + body


def answer(to: Frame, text: str) -> bytes:
    """Return the answer to a call, or to a heartbeat."""
    if to.flags & EVENT:
        return HEAD.pack(MAGIC, EVENT | HESSIAN2, OK, to.id, 1) + b"N"
    body = VALUE + _text(text)
    return HEAD.pack(MAGIC, HESSIAN2, OK, to.id, len(body)) + body


def _text(text: str) -> bytes:
    raw = text.encode("ascii")
    return (bytes([len(raw)]) if len(raw) < 32 else b"S" + struct.pack(">H", len(raw))) + raw


def _texts(body: bytes, at: int) -> list[str]:
    """Return the texts from `at` up to what is none."""
    texts = []
    while at < len(body):
        first = body[at]
        if first < 32:
            size, at = first, at + 1
        elif 0x30 <= first <= 0x33:
            size, at = ((first - 0x30) << 8) | body[at + 1], at + 2
        elif first == ord("S"):
            (size,) = struct.unpack_from(">H", body, at + 1)
            at += 3
        else:
            break
        texts.append(body[at : at + size].decode())
        at += size
    return texts
