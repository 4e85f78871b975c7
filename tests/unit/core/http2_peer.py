"""The `h2` package at the other end of an engine's connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)
from hyperframe.frame import Frame

from tests.unit.core.playbook import Peer

Fields = Sequence[tuple[str, str]]


@dataclass
class Stream:
    """What was heard on one stream."""

    head: dict[str, str] = field(default_factory=dict)
    interim: list[str] = field(default_factory=list)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None
    """Error code."""


class Http2Peer:
    """One end of HTTP/2; `streams` is what it has heard so far."""

    def __init__(self, peer: Peer, *, is_client: bool, settings: Mapping[int, int] | None = None) -> None:
        self.peer = peer
        self.h2 = H2Connection(H2Configuration(client_side=is_client, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(dict(settings))
        self.streams: dict[int, Stream] = {}
        self.exchange()

    def request(self, path: str = "/", *, method: str = "GET", fields: Fields = (), body: bytes | None = None) -> int:
        """Send a request; with `body` None it stays open."""
        stream = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", path), *fields]
        self.h2.send_headers(stream, head, end_stream=body == b"")
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self.exchange()
        return stream

    def respond(
        self, stream: int, status: int = 200, *, fields: Fields = (), body: bytes = b"", end: bool = True
    ) -> None:
        """Send a response, or the beginning of one."""
        self.h2.send_headers(stream, [(":status", str(status)), *fields], end_stream=end and not body)
        if body:
            self.h2.send_data(stream, body, end_stream=end)
        self.exchange()

    def data(self, stream: int, body: bytes, *, end: bool = False) -> None:
        """Send a piece of body."""
        self.h2.send_data(stream, body, end_stream=end)
        self.exchange()

    def trailers(self, stream: int, fields: Fields) -> None:
        """End a message with trailers."""
        self.h2.send_headers(stream, list(fields), end_stream=True)
        self.exchange()

    def reset(self, stream: int, code: int) -> None:
        """Give a stream up."""
        self.h2.reset_stream(stream, code)
        self.exchange()

    def exchange(self) -> None:
        """Say what there is to say, hear what there is to hear, until both are silent."""
        while True:
            said, heard = self.h2.data_to_send(), self.peer.takes()
            if not said and not heard:
                return
            if said:
                self.peer.says(said)
            if heard:
                self._hear(heard)

    def _hear(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            match event:
                case RequestReceived() | ResponseReceived():
                    self._stream(event.stream_id).head = _texts(event.headers)
                case InformationalResponseReceived():
                    self._stream(event.stream_id).interim.append(_texts(event.headers)[":status"])
                case DataReceived():
                    self._stream(event.stream_id).body += event.data or b""
                case TrailersReceived():
                    self._stream(event.stream_id).trailers = _texts(event.headers)
                case StreamReset():
                    self._stream(event.stream_id).reset = int(event.error_code)
                case _:
                    pass
            ended = getattr(event, "stream_ended", None)
            if ended is not None:
                self._stream(ended.stream_id).ended = True

    def _stream(self, number: int) -> Stream:
        return self.streams.setdefault(number, Stream())


def frames(data: bytes) -> list[Frame]:
    """Return the frames in `data`, for what the package takes no notice of (a connection after GOAWAY)."""
    found = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        found.append(frame)
        data = data[9 + length :]
    return found


def _texts(fields: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    return {str(name): str(value) for name, value in fields}
