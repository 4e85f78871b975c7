"""Just enough of SOFARPC's Bolt v1 for an example: one frame in, one frame out.

A frame is a fixed head, then class name, header map and content. Requests: 22 bytes of head; responses: 20.
"""

import asyncio
import struct
from dataclasses import dataclass

REQUEST = struct.Struct(">BBHBIBiHHi")
RESPONSE = struct.Struct(">BBHBIBHHHi")
HEARTBEAT, CALL, ANSWER = 0, 1, 2
ONEWAY_TYPE = 2
JSON_CODEC = 12
REQUEST_CLASS = b"com.alipay.sofa.rpc.core.request.SofaRequest"
RESPONSE_CLASS = b"com.alipay.sofa.rpc.core.response.SofaResponse"


@dataclass
class Frame:
    """A request or a response; `status` is 0 for success."""

    kind: int
    command: int
    id: int
    content: bytes = b""
    headers: dict[str, str] | None = None
    status: int = 0


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """Return the next frame; raises asyncio.IncompleteReadError at the end of the connection."""
    start = await reader.readexactly(2)
    layout = RESPONSE if start[1] == 0 else REQUEST
    head = start + await reader.readexactly(layout.size - 2)
    _, kind, command, _, request_id, _, extra, class_size, header_size, content_size = layout.unpack(head)
    await reader.readexactly(class_size)
    headers = _decode_map(await reader.readexactly(header_size))
    content = await reader.readexactly(content_size)
    return Frame(kind, command, request_id, content, headers, extra if kind == 0 else 0)


def request(request_id: int, service: str, method: str, content: bytes, timeout_ms: int = 3000) -> bytes:
    """Return a call of `method` on `service`."""
    headers = _encode_map({"service": service, "sofa_head_target_service": service, "sofa_head_method_name": method})
    sizes = (len(REQUEST_CLASS), len(headers), len(content))
    return REQUEST.pack(1, 1, CALL, 1, request_id, JSON_CODEC, timeout_ms, *sizes) + REQUEST_CLASS + headers + content


def response(to: Frame, content: bytes, status: int = 0) -> bytes:
    """Return the answer to a call, or to a heartbeat."""
    if to.command == HEARTBEAT:
        return RESPONSE.pack(1, 0, HEARTBEAT, 1, to.id, JSON_CODEC, 0, 0, 0, 0)
    sizes = (len(RESPONSE_CLASS), 0, len(content))
    return RESPONSE.pack(1, 0, ANSWER, 1, to.id, JSON_CODEC, status, *sizes) + RESPONSE_CLASS + content


def _encode_map(pairs: dict[str, str]) -> bytes:
    texts = [text.encode() for pair in pairs.items() for text in pair]
    return b"".join(struct.pack(">i", len(text)) + text for text in texts)


def _decode_map(raw: bytes) -> dict[str, str]:
    texts, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from(">i", raw, at)
        texts.append(raw[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return dict(zip(texts[::2], texts[1::2], strict=True))
