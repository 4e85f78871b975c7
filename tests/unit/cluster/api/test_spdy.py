from __future__ import annotations

import random
import struct
import zlib

import pytest

from eventmesh.cluster.api.spdy import (
    DICTIONARY,
    MAX_FRAME_BYTES,
    MAX_HEADERS_BYTES,
    Data,
    Event,
    GoneAway,
    Opened,
    Pinged,
    Reset,
    SpdyConnection,
    SpdyError,
)


class Client:
    """Writes frames as the clients of Kubernetes do."""

    def __init__(self) -> None:
        self._pack = zlib.compressobj(zdict=DICTIONARY)

    def headers(self, headers: dict[str, str]) -> bytes:
        words = [word.encode() for pair in headers.items() for word in pair]
        block = struct.pack(">I", len(headers)) + b"".join(struct.pack(">I", len(word)) + word for word in words)
        return self._pack.compress(block) + self._pack.flush(zlib.Z_SYNC_FLUSH)

    def control(self, kind: int, body: bytes, flags: int = 0) -> bytes:
        return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body

    def open(self, stream: int, headers: dict[str, str]) -> bytes:
        return self.control(1, struct.pack(">IIH", stream, 0, 0) + self.headers(headers))


def data(stream: int, content: bytes, *, is_last: bool = False) -> bytes:
    return struct.pack(">II", stream, (1 if is_last else 0) << 24 | len(content)) + content


def conversation() -> tuple[bytes, list[Event]]:
    client = Client()
    first, second = {"Streamtype": "error", "Port": "80"}, {"streamtype": "data", "requestid": "0"}
    text = b"".join(
        (
            client.open(1, first),
            client.control(4, struct.pack(">I", 0)),
            client.open(3, second),
            data(3, b"hello"),
            client.control(6, struct.pack(">I", 7)),
            client.control(8, struct.pack(">I", 3) + client.headers({"late": "yes"})),
            data(3, b"", is_last=True),
            client.open(5, {"streamtype": "data"}),
            client.control(3, struct.pack(">II", 5, 5)),
            client.control(7, struct.pack(">II", 5, 0)),
        )
    )
    return text, [
        Opened(1, {"streamtype": "error", "port": "80"}, is_last=False),
        Opened(3, {"streamtype": "data", "requestid": "0"}, is_last=False),
        Data(3, b"hello", is_last=False),
        Pinged(7),
        Data(3, b"", is_last=True),
        Opened(5, {"streamtype": "data"}, is_last=False),
        Reset(5),
        GoneAway(),
    ]


def test_the_dictionary_is_that_of_the_protocol() -> None:
    # Every SPDY/3 peer names it by this checksum.
    assert len(DICTIONARY) == 1423 and zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_frames_become_events() -> None:
    text, expected = conversation()
    assert list(SpdyConnection().received(text)) == expected


@pytest.mark.parametrize("seed", range(20))
def test_any_chunking_gives_the_same_events(seed: int) -> None:
    text, expected = conversation()
    source, connection = random.Random(seed), SpdyConnection()
    found: list[Event] = []
    at = 0
    while at < len(text):
        step = source.randint(1, 9)
        found += connection.received(text[at : at + step])
        at += step
    assert found == expected


@pytest.mark.parametrize("seed", range(200))
def test_any_bytes_give_events_or_one_kind_of_error(seed: int) -> None:
    source = random.Random(seed)
    text = bytearray(conversation()[0])
    for _ in range(source.randint(1, 8)):
        text[source.randrange(len(text))] = source.randrange(256)
    try:
        list(SpdyConnection().received(bytes(text)))
    except SpdyError:
        return


def test_a_frame_that_claims_too_much_is_refused_at_its_head() -> None:
    head = struct.pack(">II", 3, MAX_FRAME_BYTES + 1)
    with pytest.raises(SpdyError, match=str(MAX_FRAME_BYTES)):
        list(SpdyConnection().received(head))


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    bomb = Client().open(1, {"a": "x" * MAX_HEADERS_BYTES})
    with pytest.raises(SpdyError, match="header block of more than"):
        list(SpdyConnection().received(bomb))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (struct.pack(">HHI", 0x8002, 1, 0), "version 2"),
        (struct.pack(">HHI", 0x8003, 6, 2) + b"ab", "ends within a number"),
        (struct.pack(">HHI", 0x8003, 1, 14) + bytes(14), "does not unpack"),
    ],
)
def test_what_is_not_spdy_is_named(text: bytes, words: str) -> None:
    with pytest.raises(SpdyError, match=words):
        list(SpdyConnection().received(text))


def test_replies_are_read_by_a_peer_with_the_same_dictionary() -> None:
    connection, unpack = SpdyConnection(), zlib.decompressobj(zdict=DICTIONARY)
    for stream in (1, 3):
        reply = connection.reply(stream)
        version, kind, length = struct.unpack(">HHI", reply[:8])
        assert (version, kind, length) == (0x8003, 2, len(reply) - 8)
        assert struct.unpack(">I", reply[8:12]) == (stream,) and unpack.decompress(reply[12:]) == bytes(4)
    assert connection.data(3, b"x", is_last=True) == data(3, b"x", is_last=True)
    assert connection.pong(7) == Client().control(6, struct.pack(">I", 7))
    assert connection.reset(5, 3) == Client().control(3, struct.pack(">II", 5, 3))
