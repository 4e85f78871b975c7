"""The corpus of HTTP/1 messages that nobody may pass on, in both directions, whole and byte by byte."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventmesh.model.listener import Listener, WireProtocol
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.refused import CHUNKS, REQUESTS, RESPONSES

LEAST = 60
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
"""What would be a request of its own if the message before it were read another way."""


def mesh() -> Playbook:
    return Playbook(snapshot(listener=Listener("in", "", "t", protocol=WireProtocol.HTTP1)))


def pieces(message: bytes, whole: bool) -> Iterator[bytes]:
    return iter([message]) if whole else (message[at : at + 1] for at in range(len(message)))


def test_the_corpus_is_as_large_as_promised() -> None:
    assert min(len(REQUESTS), len(RESPONSES)) >= LEAST
    assert len(set(REQUESTS.values())) == len(REQUESTS) and len(set(RESPONSES.values())) == len(RESPONSES)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("name", REQUESTS)
def test_no_endpoint_sees_a_request_that_is_wrong(name: str, whole: bool) -> None:
    world = mesh()
    client = world.connect()
    for piece in pieces(REQUESTS[name] + BEHIND, whole):
        client.says(piece)
    answered = client.takes()
    assert answered.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 505 ")), answered
    assert answered.count(b"HTTP/1.1 ") == 1 and b"connection: close" in answered.lower()
    assert not world.dials and world.engine.active() == 0


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("name", RESPONSES)
def test_no_client_sees_a_response_that_is_wrong(name: str, whole: bool) -> None:
    world = mesh()
    client = world.connect()
    client.says(GET)
    server = world.dialled()
    for piece in pieces(RESPONSES[name], whole):
        server.says(piece)
    answered = client.takes()
    assert answered.startswith(b"HTTP/1.1 502 "), answered
    assert answered.count(b"HTTP/1.1 ") == 1 and b"hello" not in answered
    assert {"close", "abort"} & set(server.events)


@pytest.mark.parametrize("name", CHUNKS)
def test_a_request_whose_chunks_are_wrong_never_ends_at_the_endpoint(name: str) -> None:
    world = mesh()
    client = world.connect()
    client.says(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    server = world.dialled()
    client.says(CHUNKS[name] + BEHIND)
    heard = server.takes()
    assert not heard.endswith(b"0\r\n\r\n") and b"smuggled" not in heard
    assert {"close", "abort"} & set(server.events)


@pytest.mark.parametrize("name", CHUNKS)
def test_a_response_whose_chunks_are_wrong_never_ends_at_the_client(name: str) -> None:
    world = mesh()
    client = world.connect()
    client.says(GET)
    server = world.dialled()
    server.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    server.says(CHUNKS[name])
    assert not client.takes().endswith(b"0\r\n\r\n")
    assert {"close", "abort"} & set(client.events) and {"close", "abort"} & set(server.events)
