"""Two activators over one JetStream or Kafka, and they and their server are killed while events come: nothing that was
accepted is lost.

At seeded moments one of them ends, and is started again on its files: the server and the first activator by `kill -9`,
the second as in a rolling restart. The other activator takes over.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from eventmesh.base.tasks import TaskGroup
from tests.contracts.shared_store import JournalServer
from tests.mesh.broker_mesh import Activator, BrokerMesh, Received, Subscriber, broker_mesh, event_headers, send
from tests.peers.kafka_server import kafka_cluster, kafka_server
from tests.peers.nats_server import nats_server

Engine = Callable[[Path], AbstractAsyncContextManager[JournalServer]]

pytestmark = [pytest.mark.peer, pytest.mark.timeout(0)]
"""The test has a deadline of its own: on a busy machine four starts of an activator take their time."""

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
EVENTS, LONGEST_S = (6_000, 1_800) if SOAK else (240, 400)
ROUNDS = ["first", "server", "second", "server"] * 8
CASES: list[tuple[Engine, Sequence[str]]] = (
    [(nats_server, ROUNDS), (kafka_server, ROUNDS), (kafka_cluster, ROUNDS)]
    if SOAK
    # That an activator is missed takes five seconds, and is the same whatever the engine: once is enough.
    else [(nats_server, ["first", "server", "second"]), (kafka_server, ["server", "second"])]
)
"""Who is killed, one after the other."""

SENDERS = 8
MISSED = "an activator has not beaten any more; its work is taken over"
FAST_RETRIES = {"retry": 100, "backoffPolicy": "linear", "backoffDelay": "PT0.05S"}


@dataclass(slots=True)
class InOrder:
    """What a subscriber got first, by key."""

    by_key: dict[str, list[int]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def __call__(self, event: Received) -> None:
        if event.id not in self.seen:
            self.seen.add(event.id)
            self.by_key.setdefault(event.attributes["partitionkey"], []).append(int(event.id[1:]))

    def holds(self) -> bool:
        """Return whether the events of each key came in the order in which they were sent."""
        return all(numbers == sorted(numbers) for numbers in self.by_key.values())


class Chaos:
    """Two activators and a server; the next of them dies when so many events have been accepted."""

    def __init__(self, mesh: BrokerMesh, server: JournalServer, directory: Path, victims: Sequence[str]) -> None:
        rng = random.Random(SEED)
        self.kills: Counter[str] = Counter()
        self.activators: dict[str, Activator] = {}
        self._mesh = mesh
        self._server = server
        self._directory = directory
        self._at = sorted(rng.sample(range(EVENTS // 10, EVENTS - EVENTS // 10), len(victims)))
        self._victims = iter(victims)
        self.accepted: set[str] = set()
        self.refused: Counter[int | str] = Counter()
        self._due = asyncio.Event()
        self._killed = asyncio.Event()
        self._killed.set()

    async def start(self, name: str) -> None:
        """Start an activator on its own files."""
        self.activators[name] = await self._mesh.start_activator(self._directory / name)

    def count(self, event_id: str) -> None:
        """Take in that an event was accepted."""
        self.accepted.add(event_id)
        if self._at and len(self.accepted) >= self._at[0] and self._killed.is_set():
            self._at.pop(0)
            self._killed.clear()
            self._due.set()

    async def broker(self, turn: int) -> str:
        """Return where to send the next event; who is to be killed is killed before, so that it dies under load."""
        await self._killed.wait()
        return self.activators[("first", "second")[turn % 2]].broker

    async def run(self) -> None:
        """Kill, and start again, until there is nobody left to kill."""
        while self._at or self._due.is_set():
            await self._due.wait()
            self._due.clear()
            victim = next(self._victims)
            self.kills[victim] += 1
            if victim == "server":
                await self._server.kill()
                self._killed.set()
                await self._server.start()
            else:
                activator = self.activators[victim]
                if victim == "second":
                    activator.process.send_signal(signal.SIGTERM)
                    self._killed.set()
                    assert await activator.ended() == 0
                else:
                    await activator.kill()
                    self._killed.set()
                    # It stays away until it is missed, and its work done by the other.
                    await self.activators["second"].heard(MISSED)
                await self.start(victim)


async def _send_all(chaos: Chaos, key: str, numbers: Iterator[int]) -> None:
    async with aiohttp.ClientSession() as session:
        for turn, number in enumerate(numbers):
            tries = 0
            while True:
                broker = await chaos.broker(turn + tries)
                tries += 1
                try:
                    status = await send(session, broker, f"e{number}", b"x" * 512, partitionkey=key)
                except aiohttp.ClientError as error:
                    chaos.refused[type(error).__name__] += 1
                    await asyncio.sleep(0.01)
                    continue
                if status == 202:
                    chaos.count(f"e{number}")
                    break
                assert status == 503
                chaos.refused[status] += 1
                await asyncio.sleep(0.05)


def _replying(event: Received) -> web.Response:
    return web.Response(status=200, headers=event_headers(f"reply-{event.id}", type="confirmed"), body=b"{}")


@pytest.mark.parametrize(("engine", "victims"), CASES, ids=[engine.__name__ for engine, _ in CASES])
async def test_nothing_that_was_accepted_is_lost_and_order_is_kept_whoever_dies(
    engine: Engine, victims: Sequence[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = InOrder()
    subscribers = {"ordered": Subscriber(), "replying": Subscriber(_replying), "collecting": Subscriber()}
    subscribers["ordered"].answer = lambda event: order(event)
    async with AsyncExitStack() as stack, asyncio.timeout(LONGEST_S):
        server = await stack.enter_async_context(engine(tmp_path / "server"))
        mesh = await stack.enter_async_context(broker_mesh(tmp_path))
        mesh.store = server.address()
        for name, subscriber in subscribers.items():
            await stack.enter_async_context(subscriber.listening())
            only = "confirmed" if name == "collecting" else "order"
            by_key = {"eventmesh.io/order-by": "partitionkey"} if name == "ordered" else None
            await mesh.trigger(name, subscriber.url, delivery=FAST_RETRIES, annotations=by_key, type=only)
        chaos = Chaos(mesh, server, tmp_path, victims)
        await chaos.start("first")
        # From then on the triggers have their places, and miss nothing.
        await chaos.activators["first"].delivering(*subscribers)
        await chaos.start("second")
        background = TaskGroup("chaos")
        stack.push_async_callback(background.stop)
        chaos_over = background.spawn("kill", chaos.run())
        keys = [f"key{number}" for number in range(SENDERS)]
        per_key = [iter(range(at, EVENTS, SENDERS)) for at in range(SENDERS)]
        await asyncio.gather(*(_send_all(chaos, key, numbers) for key, numbers in zip(keys, per_key, strict=True)))
        await asyncio.wait((chaos_over,))
        sent = {f"e{number}" for number in range(EVENTS)}
        assert chaos.accepted == sent
        for name, subscriber in subscribers.items():
            expected = {f"reply-{event_id}" for event_id in sent} if name == "collecting" else sent
            await subscriber.until(lambda s=subscriber, e=expected: e <= s.ids(), LONGEST_S)  # type: ignore[misc]
            assert subscriber.ids() == expected
        assert order.holds(), order.by_key
        assert chaos.kills == Counter(victims)
    repeated = {name: len(s.got) - len(s.ids()) for name, s in subscribers.items()}
    with capsys.disabled():
        sys.stdout.write(
            f"\n  {server.engine}, seed {SEED}: {EVENTS} events accepted, killed {dict(chaos.kills)}, "
            f"refused {dict(chaos.refused)}, received again {repeated}\n"
        )
