"""The promise of the 202: who was told "accepted" may forget the event, whenever the activator dies.

`kill -9` proves nothing about the disk, since the kernel keeps what was written; tests/peers/test_broker_disk.py does.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from eventmesh.activator.broker.app import STORE_FILE
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.base.clock import SystemClock
from eventmesh.kube.resources import BROKER
from tests.mesh.broker_mesh import SHOP, Activator, BrokerMesh, Received, Subscriber, broker_mesh, event_headers, send

SOAK = bool(os.environ.get("EVENTMESH_SOAK"))
SEED = int(os.environ.get("EVENTMESH_SEED", "1"))
KILLS = int(os.environ.get("EVENTMESH_KILLS") or (1_000 if SOAK else 4))
EVENTS = 300 + 10 * KILLS
LONGEST_S = 240.0 + 6.0 * KILLS
"""A start takes a second, on a busy machine some more."""
SENDERS = 16
STEPS_PER_EVENT = 5
"""At least: one request, received by `slow`, `failing` and `replying`, and the reply by `collecting`; of delayed
events these come later, of expired ones there is none, and those received by `ordered` are as many."""

DELAY_S = 1.0

FAST_RETRIES = {"retry": 10, "backoffPolicy": "linear", "backoffDelay": "PT0.01S"}


class Chaos:
    """An activator that dies at chosen steps and is started again.

    A step is a request sent or an event received: so it dies while accepting, delivering and storing replies alike.
    """

    def __init__(self, mesh: BrokerMesh, activator: Activator, kill_at: list[int]) -> None:
        self.activator = activator
        self.kills = 0
        self._mesh = mesh
        self._kill_at = sorted(kill_at)
        self._steps = 0
        self._up = asyncio.Event()
        self._up.set()

    def step(self) -> None:
        """Count; kill when it is time."""
        self._steps += 1
        if self._kill_at and self._steps >= self._kill_at[0] and self._up.is_set():
            self._kill_at.pop(0)
            self.kills += 1
            self._up.clear()
            self.activator.process.kill()

    async def broker(self) -> str:
        """Return the address of a broker that is up."""
        await self._up.wait()
        return self.activator.broker

    async def keep_up(self) -> None:
        """Start it again each time it is gone, until cancelled."""
        while True:
            await self.activator.gone()
            self.activator = await self._mesh.start_activator()
            self._up.set()


def is_expired(number: int) -> bool:
    """Return whether nobody is to get the event of that number."""
    return number % 20 == 7


class Senders:
    """Concurrent senders that repeat an event until it is accepted; each has a partition key of its own."""

    def __init__(self, chaos: Chaos) -> None:
        self.accepted: set[str] = set()
        self.due: dict[str, datetime] = {}
        """When delayed events are to be delivered."""
        self.failures: Counter[str] = Counter()
        self._chaos = chaos

    async def run(self, key: str, numbers: Iterator[int]) -> None:
        async with aiohttp.ClientSession() as session:
            for number in numbers:
                attributes = self._attributes(key, number)
                while not await self._accepted(session, f"e{number}", attributes):
                    pass

    def _attributes(self, key: str, number: int) -> dict[str, str]:
        if is_expired(number):
            return {"expirytime": "2001-01-01T00:00:00Z"}
        if number % 20 == 13:
            due = self.due[f"e{number}"] = datetime.now(UTC) + timedelta(seconds=DELAY_S)
            return {"deliverafter": due.isoformat()}
        return {"partitionkey": key}

    async def _accepted(self, session: aiohttp.ClientSession, event_id: str, attributes: dict[str, str]) -> bool:
        broker = await self._chaos.broker()
        self._chaos.step()
        try:
            status = await send(session, broker, event_id, b"x" * 1024, **attributes)
        except aiohttp.ClientError as error:
            self.failures[type(error).__name__] += 1
            # Its death is noticed by the next line read from it, not by an amount of time.
            await asyncio.sleep(0)
            return False
        assert status == 202
        self.accepted.add(event_id)
        return True


def _failing(rng: random.Random) -> Subscriber:
    """Return a subscriber that refuses each event up to twice before it takes it."""
    refusals: dict[str, int] = {}

    def answer(event: Received) -> web.Response:
        left = refusals.setdefault(event.id, rng.randrange(3))
        refusals[event.id] = left - 1
        return web.Response(status=rng.choice([500, 503, 429]) if left > 0 else 200)

    return Subscriber(answer)


class Punctual:
    """A subscriber's memory of when and in which order events came."""

    def __init__(self) -> None:
        self.first: dict[str, datetime] = {}
        self.by_key: dict[str, list[int]] = {}

    def __call__(self, event: Received) -> None:
        if event.id not in self.first:
            self.first[event.id] = datetime.now(UTC)
            self.by_key.setdefault(event.attributes.get("partitionkey", ""), []).append(int(event.id[1:]))

    def in_order(self) -> bool:
        """Return whether the events of each key came in the order in which they were sent."""
        return all(numbers == sorted(numbers) for key, numbers in self.by_key.items() if key)


def _replying(event: Received) -> web.Response:
    return web.Response(status=200, headers=event_headers(f"reply-{event.id}", type="confirmed"), body=b"{}")


@pytest.mark.timeout(LONGEST_S + 60.0)
async def test_every_accepted_event_and_every_reply_is_delivered_whenever_the_activator_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    punctual = Punctual()
    subscribers = {
        "slow": Subscriber(slow_s=0.02),
        "ordered": Subscriber(punctual),
        "failing": _failing(rng),
        "replying": Subscriber(_replying),
        "collecting": Subscriber(),
    }
    async with AsyncExitStack() as stack, asyncio.timeout(LONGEST_S):
        mesh = await stack.enter_async_context(broker_mesh(tmp_path))
        once = {"metadata": {"annotations": {"eventmesh.io/deduplicate": "1h"}}}
        await mesh.bench.api.patch(BROKER, SHOP, once, "default")
        for name, subscriber in subscribers.items():
            await stack.enter_async_context(subscriber.listening())
            only = "confirmed" if name == "collecting" else "order"
            by_key = {"eventmesh.io/order-by": "partitionkey"} if name == "ordered" else None
            await mesh.trigger(name, subscriber.url, delivery=FAST_RETRIES, annotations=by_key, type=only)
        activator = await mesh.start_activator()
        await activator.delivering(*subscribers)

        kill_at = rng.sample(range(SENDERS, EVENTS * STEPS_PER_EVENT), KILLS)
        chaos = Chaos(mesh, activator, kill_at)
        for subscriber in subscribers.values():
            subscriber.on_event = chaos.step
        # Of the standard library: an activator that does not start again ends the test, and not its patience.
        together = await stack.enter_async_context(asyncio.TaskGroup())
        keeper = together.create_task(chaos.keep_up())
        senders, numbers = Senders(chaos), iter(range(EVENTS))
        await asyncio.gather(*(senders.run(f"key{sender}", numbers) for sender in range(SENDERS)))

        assert senders.accepted == {f"e{number}" for number in range(EVENTS)}
        sent = {f"e{number}" for number in range(EVENTS) if not is_expired(number)}
        for name, subscriber in subscribers.items():
            expected = {f"reply-{event_id}" for event_id in sent} if name == "collecting" else sent
            await subscriber.until(lambda s=subscriber, e=expected: e <= s.ids(), LONGEST_S)  # type: ignore[misc]
            assert subscriber.ids() == expected, "and nothing that nobody sent, nor what had expired"
        assert punctual.in_order(), punctual.by_key
        assert all(punctual.first[event_id] >= due for event_id, due in senders.due.items())
        assert chaos.kills == KILLS
        keeper.cancel()
        chaos.activator.process.send_signal(signal.SIGTERM)
        assert await chaos.activator.ended() == 0
    store = SqliteStore(mesh.data_dir / STORE_FILE, SystemClock())
    stored = await store.read(f"default/{SHOP}", 0, 10 * EVENTS)
    await store.close()
    ids = Counter(event.event.id for event in stored)
    assert max(ids.values()) == 1, "an event that was sent twice was stored once, and so were repeated replies"
    repeated = {name: len(s.got) - len(s.ids()) for name, s in subscribers.items()}
    with capsys.disabled():
        sys.stdout.write(
            f"\n  seed {SEED}: {len(senders.accepted)} events accepted, {chaos.kills} kills, "
            f"{sum(senders.failures.values())} requests without an answer, received again: {repeated}\n"
        )
