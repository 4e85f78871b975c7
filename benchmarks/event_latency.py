"""From a sender to a subscriber at a steady rate: how long an event takes that is on disk before it is acknowledged;
and how fast the same subscriber gets all of them once more."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import uvloop

from benchmarks import event_contenders, report
from benchmarks.event_api import NAME, NAMESPACE
from benchmarks.event_contenders import EventContender
from benchmarks.event_load import PAYLOAD
from benchmarks.measure import free_port

RATE = 1_000
"""Events a second."""
SENDERS = 16
"""Connections they come on, in turn: a sender that waits for its acknowledgement holds up only each sixteenth event."""
WARM_S = 2.0
LATE_S = 10.0
"""How long after the last one it is waited for what is still under way."""
REPLAY_S = 120.0
"""Longest wait for a replay."""

ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Latency:
    """What became of one round."""

    sent: int
    lost: int
    """Of those, how many did not come; one that came twice counts once."""
    p50_ms: float
    p99_ms: float


class _Arrivals:
    """When each event came first."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}


class _Subscriber(asyncio.Protocol):
    def __init__(self, arrivals: _Arrivals) -> None:
        self._arrivals = arrivals
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0 and len(self._rest) >= end + 4 + len(PAYLOAD):
            head, self._rest = self._rest[:end].lower(), self._rest[end + 4 + len(PAYLOAD) :]
            number = int(head.partition(b"ce-id: ")[2].partition(b"\r\n")[0])
            self._arrivals.at.setdefault(number, time.perf_counter())
            self._transport.write(ACCEPTED)


class _Sender(asyncio.Protocol):
    """Sends without waiting for the answer to what it sent before: requests are pipelined if they must be."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, number: int) -> None:
        head = (
            f"POST /{NAMESPACE}/{NAME} HTTP/1.1\r\nhost: bench\r\nce-specversion: 1.0\r\nce-type: com.example.order\r\n"
            f"ce-source: /bench\r\nce-id: {number}\r\ncontent-type: application/octet-stream\r\n"
            f"content-length: {len(PAYLOAD)}\r\n\r\n"
        )
        self._transport.write(head.encode() + PAYLOAD)

    def close(self) -> None:
        self._transport.abort()


def measured(seconds: float, rounds: int) -> tuple[list[Latency], float]:
    """Return what each round measured, and how many events of a replay of them all came a second.

    A broker of its own, with one Trigger and one subscriber.
    """
    port = free_port()
    with _broker(f"http://127.0.0.1:{port}/") as contender:
        return uvloop.run(_rounds(contender, port, seconds, rounds))


@contextmanager
def _broker(subscriber: str) -> Iterator[EventContender]:
    contender = event_contenders.start("eventmesh", subscriber=subscriber)
    try:
        yield contender
    finally:
        contender.stop()


async def _rounds(broker: EventContender, subscriber: int, seconds: float, rounds: int) -> tuple[list[Latency], float]:
    loop = asyncio.get_running_loop()
    arrivals = _Arrivals()
    server = await loop.create_server(lambda: _Subscriber(arrivals), "127.0.0.1", subscriber)
    senders = [(await loop.create_connection(_Sender, "127.0.0.1", broker.port))[1] for _ in range(SENDERS)]
    try:
        numbers = itertools.count()
        await _round(senders, arrivals, WARM_S, numbers)
        found = []
        for number in range(rounds):
            report.progress(f"events: latency, round {number + 1}/{rounds}")
            found.append(await _round(senders, arrivals, seconds, numbers))
        report.progress("events: replay")
        return found, await _replayed(broker.admin, arrivals, next(numbers))
    finally:
        for sender in senders:
            sender.close()
        server.close()


async def _round(senders: list[_Sender], arrivals: _Arrivals, seconds: float, numbers: Iterator[int]) -> Latency:
    """Take `numbers` that no round has had: what comes too late for its own must not count as one of the next."""
    arrivals.at.clear()
    count = int(RATE * seconds)
    due: dict[int, float] = {}
    began = time.perf_counter()
    for nth, number in enumerate(itertools.islice(numbers, count)):
        # Against its own time, not that of its sending: a sender that falls behind must not look fast.
        at = began + nth / RATE
        while (wait := at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due[number] = at
        senders[number % SENDERS].send(number)
        if number % SENDERS == 0:
            await asyncio.sleep(0)
    deadline = time.perf_counter() + LATE_S
    while not arrivals.at.keys() >= due.keys() and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    took = sorted(arrivals.at[number] - at for number, at in due.items() if number in arrivals.at)
    return Latency(count, count - len(took), report.percentile(took, 50) * 1e3, report.percentile(took, 99) * 1e3)


async def _replayed(admin: int, arrivals: _Arrivals, stored: int) -> float:
    """Have all stored events replayed; return how many of them came a second."""
    arrivals.at.clear()
    order = json.dumps({"broker": f"{NAMESPACE}/{NAME}", "trigger": f"{NAMESPACE}/{NAME}"}).encode()
    began = time.perf_counter()
    ask = urllib.request.Request(f"http://127.0.0.1:{admin}/events/replays", order)  # noqa: S310  # our own address
    await asyncio.to_thread(lambda: urllib.request.urlopen(ask).close())  # noqa: S310
    while len(arrivals.at) < stored and time.perf_counter() - began < REPLAY_S:
        await asyncio.sleep(0.01)
    return len(arrivals.at) / (max(arrivals.at.values(), default=began) - began or 1.0)
