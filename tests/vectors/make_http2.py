"""Writes http2.json: conversations of two ends of the `h2` package, and the events it saw in them.

Each conversation gives two vectors, what the server heard and what the client heard. Our connections must see the same
in the same bytes, however they are cut. Run by hand (`python tests/vectors/make_http2.py`); the output is checked in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    RequestReceived,
    ResponseReceived,
    StreamReset,
    TrailersReceived,
)

Fields = Sequence[tuple[str, str]]
Seen = dict[str, object]

GET: Fields = [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/cart?id=7")]
HEAD: Fields = [(":method", "HEAD"), *GET[1:]]
POST: Fields = [(":method", "POST"), *GET[1:], ("content-type", "application/grpc"), ("te", "trailers")]


class Talk:
    """Two ends that hear each other, and write down what was said and seen."""

    def __init__(self) -> None:
        self.client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.heard: dict[str, bytes] = {"server": b"", "client": b""}
        self.seen: dict[str, list[Seen]] = {"server": [], "client": []}
        self.methods: list[str] = []
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.pump()

    def pump(self) -> None:
        """Carry bytes both ways until both ends are silent."""
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return
            for name, end, said in (("server", self.server, up), ("client", self.client, down)):
                self.heard[name] += said
                for event in end.receive_data(said) if said else []:
                    self.record(name, event)

    def request(self, stream: int, fields: Fields, *, end: bool) -> None:
        """Send a request head from the client."""
        self.methods.append(fields[0][1])
        self.client.send_headers(stream, list(fields), end_stream=end)

    def record(self, name: str, event: Event) -> None:
        """Write an event down as our vocabulary says it."""
        seen = self.seen[name]
        match event:
            case RequestReceived() | ResponseReceived():
                seen.append({"head": event.stream_id, "fields": event.headers, "end": event.stream_ended is not None})
            case InformationalResponseReceived():
                seen.append({"informational": event.stream_id, "fields": event.headers})
            case DataReceived():
                end = event.stream_ended is not None
                if not event.data and not end:
                    return
                if seen and seen[-1].get("data") == event.stream_id:
                    seen[-1] |= {"hex": str(seen[-1]["hex"]) + (event.data or b"").hex(), "end": end}
                else:
                    seen.append({"data": event.stream_id, "hex": (event.data or b"").hex(), "end": end})
            case TrailersReceived():
                seen.append({"trailers": event.stream_id, "fields": event.headers})
            case StreamReset():
                seen.append({"reset": event.stream_id})
            case ConnectionTerminated() if name == "client":
                seen.append({"goaway": event.last_stream_id})
            case _:
                pass


def unary(talk: Talk) -> None:
    """A request without a body, an answer with one."""
    talk.request(1, GET, end=True)
    talk.pump()
    talk.server.send_headers(1, [(":status", "200"), ("content-length", "5"), ("server", "test")])
    talk.server.send_data(1, b"hello", end_stream=True)


def interleaved(talk: Talk) -> None:
    """Three streams at once, padding, HEAD, 204, answers out of order."""
    talk.request(1, GET, end=True)
    talk.request(3, HEAD, end=True)
    talk.request(5, POST, end=False)
    talk.client.send_data(5, b"x" * 100, pad_length=9)
    talk.client.send_data(5, b"yy", end_stream=True)
    talk.pump()
    for stream in (5, 1):
        talk.server.send_headers(stream, [(":status", "200")])
    for stream in (1, 5, 1, 5):
        talk.server.send_data(stream, b"z" * 300, pad_length=1)
    for stream in (5, 1):
        talk.server.send_headers(stream, [("grpc-status", "0")], end_stream=True)
    talk.server.send_headers(3, [(":status", "204")], end_stream=True)


def trailers(talk: Talk) -> None:
    """Trailers both ways, an interim answer, bodies of several frames."""
    talk.request(1, POST, end=False)
    talk.client.send_data(1, b"a" * 3000)
    talk.client.send_headers(1, [("x-sum", "1")], end_stream=True)
    talk.pump()
    talk.server.send_headers(1, [(":status", "103"), ("link", "</style.css>")])
    talk.server.send_headers(1, [(":status", "200")])
    talk.server.send_data(1, b"b" * 3000)
    talk.server.send_headers(1, [("grpc-status", "0"), ("grpc-message", "ok")], end_stream=True)


def resets(talk: Talk) -> None:
    """Resets from either side, pings, and a server that leaves."""
    talk.request(1, POST, end=False)
    talk.request(3, GET, end=True)
    talk.pump()
    talk.client.reset_stream(1, 8)
    talk.server.reset_stream(3, 7)
    talk.client.ping(b"12345678")
    talk.pump()
    talk.server.ping(b"abcdefgh")
    talk.server.close_connection(0, last_stream_id=3)


def settings(talk: Talk) -> None:
    """Changed windows and table sizes, and a body that needs them."""
    talk.client.update_settings({1: 100, 4: 10})
    talk.server.update_settings({3: 5, 4: 100_000})
    talk.pump()
    talk.client.increment_flow_control_window(1000)
    talk.request(1, POST, end=False)
    talk.client.send_data(1, b"0123456789" * 20)
    talk.pump()
    talk.server.increment_flow_control_window(500, 1)
    talk.server.send_headers(1, [(":status", "200"), ("x-long", "v" * 60)])
    talk.server.send_data(1, b"tiny")
    talk.client.increment_flow_control_window(50, 1)
    talk.pump()
    talk.client.end_stream(1)
    talk.server.end_stream(1)


def large_heads(talk: Talk) -> None:
    """A head that fills more than one frame."""
    talk.request(1, [*GET, ("x-large", "v" * 19_000), ("x-small", "1")], end=True)
    talk.pump()
    talk.server.send_headers(1, [(":status", "404"), ("x-small", "2")], end_stream=True)


CONVERSATIONS: list[Callable[[Talk], None]] = [unary, interleaved, trailers, resets, settings, large_heads]


def main() -> None:
    """Write the file beside this one."""
    vectors = []
    for converse in CONVERSATIONS:
        talk = Talk()
        converse(talk)
        talk.pump()
        for role in ("server", "client"):
            requests = talk.methods if role == "client" else []
            name = f"{converse.__name__}, heard by the {role}"
            wire, seen = talk.heard[role].hex(), talk.seen[role]
            vectors.append({"name": name, "role": role, "requests": requests, "wire": wire, "seen": seen})
    Path(__file__).with_name("http2.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
