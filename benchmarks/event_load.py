"""Producers that send one event at a time and wait until it is acknowledged: over HTTP, and in NATS's protocol."""

from __future__ import annotations

import asyncio
import json
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import uvloop

from benchmarks.event_api import NAME, NAMESPACE
from benchmarks.report import percentile

PAYLOAD = b"x" * 1024
STREAM, SUBJECT = "BENCH", "bench"


@dataclass(frozen=True, slots=True)
class EventResult:
    """What the producers of one round saw."""

    accepted: int
    seconds: float
    wrong: int
    p50_ms: float
    p99_ms: float


class Producer(asyncio.Protocol):
    """One connection with one event under way, until `stop`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.waits: list[float] = []
        self.wrong = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent_at = 0.0
        self._going = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def go(self) -> None:
        self._going = True
        self._send()

    def stop(self) -> None:
        self._going = False
        self._transport.abort()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._event())

    def _answered(self, right: bool) -> None:
        self.waits.append(time.perf_counter() - self._sent_at)
        self.wrong += not right
        if self._going:
            self._send()

    @abstractmethod
    def _event(self) -> bytes: ...


class HttpProducer(Producer):
    """Sends to a broker."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.ready.set_result(None)

    def _event(self) -> bytes:
        head = (
            f"POST /{NAMESPACE}/{NAME} HTTP/1.1\r\nhost: bench\r\nce-specversion: 1.0\r\nce-type: com.example.order\r\n"
            f"ce-source: /bench/{self.number}\r\nce-id: {len(self.waits)}\r\ncontent-type: application/octet-stream\r\n"
            f"content-length: {len(PAYLOAD)}\r\n\r\n"
        )
        return head.encode() + PAYLOAD

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if self._rest.endswith(b"\r\n\r\n"):
            answer, self._rest = self._rest, b""
            self._answered(answer.startswith(b"HTTP/1.1 202 "))


class NatsProducer(Producer):
    """Publishes to a stream and waits for its acknowledgement (docs.nats.io, "NATS Client Protocol")."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._inbox = f"_INBOX.{self.number}"
        self._transport.write(b'CONNECT {"verbose":false,"pedantic":false}\r\n')
        self._transport.write(f"SUB {self._inbox} 1\r\n".encode())
        stream = {"name": STREAM, "subjects": [SUBJECT], "storage": "file", "retention": "limits", "num_replicas": 1}
        self._transport.write(self._publish(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(stream).encode()))

    def _publish(self, subject: str, payload: bytes) -> bytes:
        return f"PUB {subject} {self._inbox} {len(payload)}\r\n".encode() + payload + b"\r\n"

    def _event(self) -> bytes:
        return self._publish(SUBJECT, PAYLOAD)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n")) >= 0:
            line = self._rest[:end]
            size = int(line.rpartition(b" ")[2]) + 2 if line.startswith(b"MSG ") else 0
            if len(self._rest) < end + 2 + size:
                return
            body, self._rest = self._rest[end + 2 : end + 2 + size], self._rest[end + 2 + size :]
            if line == b"PING":
                self._transport.write(b"PONG\r\n")
            elif size and not self.ready.done():
                # The same stream is asked for by every producer; the first of them makes it.
                self.ready.set_result(None)
            elif size:
                self._answered(b'"error"' not in body and b'"seq"' in body)


def run(make: Callable[[int], Producer], port: int, producers: int, seconds: float) -> EventResult:
    """Run the load against `port`."""
    return uvloop.run(_load(make, port, producers, seconds))


async def _load(make: Callable[[int], Producer], port: int, producers: int, seconds: float) -> EventResult:
    loop = asyncio.get_running_loop()
    made = [(await loop.create_connection(lambda n=n: make(n), "127.0.0.1", port))[1] for n in range(producers)]
    async with asyncio.timeout(10):
        await asyncio.gather(*(producer.ready for producer in made))
    started = time.perf_counter()
    for producer in made:
        producer.go()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - started
    for producer in made:
        producer.stop()
    waits = sorted(wait for producer in made for wait in producer.waits)
    wrong = sum(producer.wrong for producer in made)
    return EventResult(len(waits), took, wrong, percentile(waits, 50) * 1e3, percentile(waits, 99) * 1e3)
