"""A broker with its senders and subscribers in virtual time, and everything that can go wrong with them.

All chances come from one seed. Promises are looked at as things happen (`Subscriber.take`) and at the end; one that is
broken is told with the seed and the time.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from eventmesh.activator.broker.dispatcher import Dispatcher
from eventmesh.activator.broker.ingress import Ingress
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.history import Reach
from eventmesh.activator.broker.store.queue import Selection
from eventmesh.activator.broker.store.values import Retention
from eventmesh.activator.broker.trimming import Trimmer
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import BackoffPolicy, DeliveryControls, DeliveryPolicy
from tests.sim.disk import Disk, put
from tests.sim.inline_store import InlineCommitter, KillableStore, opened
from tests.sim.virtual_time import SimClock, VirtualLoop
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers
from tests.unit.activator.broker.offline_broker import Answered

SENDERS = 4
PER_SECOND = 1.2
"""Events that all senders send together, on average."""
KEEP = Retention(max_age_s=900.0, max_bytes=1 << 30)
RETRIES = DeliveryPolicy(retry=1_000, backoff=BackoffPolicy.LINEAR, backoff_delay_s=0.5, timeout_s=10.0)
DRAIN_S = 4 * 3600.0
"""What is due is delivered so long after everything works again: waits between retries grow to an hour."""

MEAN_S: Mapping[str, float] = {"kill": 400.0, "power cut": 400.0, "partition": 200.0, "pause": 400.0, "clock": 400.0}
"""How long it takes until something goes wrong again, on average."""


class PromiseBroken(AssertionError):
    """What must not happen has."""


@dataclass
class Subscriber:
    """Who gets events, and remembers them."""

    name: str
    rng: random.Random
    world: World
    cut_off_until: float = 0.0
    taken: set[str] = field(default_factory=set)
    """Ids that it answered with success, and the answer arrived."""
    got: Counter[str] = field(default_factory=Counter)
    newest: dict[str, int] = field(default_factory=dict)
    """By key: the highest number that it was sent."""

    async def post(self, event: Event, timeout_s: float) -> Answered:
        """Answer a request, if it arrives and the answer does."""
        now = asyncio.get_running_loop().time
        if now() < self.cut_off_until and self.rng.random() < 0.5:
            await asyncio.sleep(timeout_s)
            return Answered(504, error="timeout")
        await asyncio.sleep(self.rng.expovariate(1 / 0.03))
        self.take(event)
        if now() < self.cut_off_until:
            await asyncio.sleep(timeout_s)
            return Answered(504, error="timeout")
        chance = self.rng.random()
        if chance < 0.03:
            return Answered(self.rng.choice((500, 503, 429)))
        if chance < 0.033:
            return Answered(400)
        self.taken.add(event.id)
        waited = now() - self.world.sent_at[event.id]
        self.world.slowest[self.name] = max(self.world.slowest.get(self.name, 0.0), waited)
        return Answered(200)

    def take(self, event: Event) -> None:
        """Look at what comes."""
        self.got[event.id] += 1
        passed = self.name != "some" or event.id in self.world.rare
        self.world.watch(passed, f"{self.name} got {event.id}, which its filter does not let pass")
        sender, _, number = event.id.partition("-")
        self.world.watch(event.id in self.world.sent, f"{self.name} got {event.id}, which nobody sent")
        self.world.watch(event.data == event.id.encode() * 50, f"{self.name} got {event.id} with other data")
        if self.name == "ordered":
            before = self.newest.get(sender, 0)
            self.world.watch(int(number) >= before, f"{event.id} came behind number {before} of its key")
            self.newest[sender] = int(number)


class World:
    """One history."""

    def __init__(
        self, seed: int, directory: Path, disk: Disk, loop: VirtualLoop, monkeypatch: pytest.MonkeyPatch, hurry: float
    ) -> None:
        """`hurry`: so many times as often as usual something goes wrong; 0: never."""
        self.seed = seed
        self.sent: set[str] = set()
        self.accepted: dict[str, int] = {}
        """Ids that were acknowledged, and their sequences."""
        self.sent_at: dict[str, float] = {}
        self.slowest: dict[str, float] = {}
        """By subscriber: the longest that it waited for an event, from when that was sent first."""
        self.slowest_acceptance_s = 0.0
        self.rare: set[str] = set()
        """Those that all three subscribers are to get."""
        self.faults: Counter[str] = Counter()
        self._disk = disk
        self._hurry = hurry
        self._rng = random.Random(seed)
        self._loop = loop
        self._clock = SimClock(loop)
        self._directory = directory
        self._life = 0
        self._monkeypatch = monkeypatch
        self._triggers = FixedTriggers()
        self._triggers.add("all", RETRIES)
        self._triggers.add("ordered", RETRIES, DeliveryControls(order_by="partitionkey"))
        self._triggers.add("some", RETRIES, None, type="rare")
        self.subscribers = {
            name: Subscriber(name, random.Random(self._rng.random()), self) for name in ("all", "ordered", "some")
        }
        self._up = asyncio.Event()
        self._failures: list[PromiseBroken] = []
        self._sending: set[asyncio.Task[Any]] = set()
        InlineCommitter.delays = random.Random(seed)

    def watch(self, holds: bool, broken: str) -> None:
        """Remember that a promise does not hold; the history ends soon. For those whom the broker itself calls."""
        if not holds:
            self.broken(broken)

    def require(self, holds: bool, broken: str) -> None:
        """Raise PromiseBroken when a promise does not hold."""
        if not holds:
            raise self.broken(broken)

    def broken(self, what: str) -> PromiseBroken:
        """Return the error that says which promise is broken, when, and how to see it again."""
        error = PromiseBroken(f"SEED={self.seed}, {self._loop.time():.3f} s, life {self._life}: {what}")
        self._failures.append(error)
        return error

    def story(self) -> object:
        """Return what happened, to be compared with the same seed's next history."""
        got = {name: list(subscriber.got.items()) for name, subscriber in self.subscribers.items()}
        return self.accepted, got, self.faults, self._loop.time()

    async def live(self, hours: float) -> None:
        """Let so much time pass with everything that goes wrong, mend all, and judge."""
        await self._start(self._directory / "life-0")
        for uid in self._triggers.known:
            await self._store.open_trigger(uid, BROKER)
        until = hours * 3600.0
        around = TaskGroup("world")
        senders = [around.spawn(f"sender {n}", self._send_all(f"s{n}", until)) for n in range(SENDERS)]
        troubles = [around.spawn(kind, self._trouble(kind, until)) for kind in MEAN_S if self._hurry]
        await asyncio.gather(*troubles)
        self._raise_what_was_seen()
        await asyncio.gather(*senders)
        await self._drain()
        await self._judge()
        await self._end()
        await self._store.close()

    async def _start(self, directory: Path) -> None:
        try:
            self._store: KillableStore = opened(directory / "events.db", self._clock, self._monkeypatch)
        except StoreError as error:
            raise self.broken(f"the store does not open: {error}") from error
        self._ingress = Ingress(self._store, self._triggers, self._clock, lambda _broker: 3600.0)
        self._dispatcher = Dispatcher(
            self._store,
            self._triggers,
            self._ingress,
            self,  # type: ignore[arg-type]  # its answers have the shape of Response
            self._clock,
        )
        self._dispatcher.start()
        self._tasks = TaskGroup("broker")
        self._tasks.spawn("trim", Trimmer(self._store, self._triggers, self._clock, KEEP).run())
        self._up.set()

    async def _end(self) -> None:
        self._up.clear()
        self._triggers._listeners.clear()
        for waiting in self._sending:
            waiting.cancel()
        await self._tasks.stop()
        await self._dispatcher._tasks.stop()

    async def post(self, uri: str, headers: Any, body: bytes, *, timeout_s: float, **_: object) -> Answered:
        """Do what the mesh does between the broker and a subscriber."""
        return await self.subscribers[uri.split("/")[2]].post(http.decode(list(headers), body), timeout_s)

    async def _send_all(self, sender: str, until: float) -> None:
        rng = random.Random(f"{self.seed} {sender}")
        number = 0
        while self._loop.time() < until:
            await asyncio.sleep(rng.expovariate(PER_SECOND / SENDERS))
            number += 1
            event_id = f"{sender}-{number}"
            self.sent.add(event_id)
            kind = "rare" if rng.random() < 0.2 else "often"
            if kind == "rare":
                self.rare.add(event_id)
            attributes = {"id": event_id, "source": "/sim", "type": kind, "specversion": "1.0", "partitionkey": sender}
            while event_id not in self.accepted:
                await self._up.wait()
                await self._send(Event(attributes, event_id.encode() * 50))

    async def _send(self, event: Event) -> None:
        began = self._loop.time()
        self.sent_at.setdefault(event.id, began)
        sender = asyncio.current_task()
        assert sender is not None
        request = asyncio.get_running_loop().create_task(self._ingress.accept(BROKER, event, []))
        self._sending.add(request)
        try:
            stored = await request
        except asyncio.CancelledError:
            if sender.cancelling():
                raise
            # The broker has died: nobody knows whether it has the event.
            await asyncio.sleep(0.1)
        except StoreError:
            await asyncio.sleep(1.0)
        else:
            self.accepted[event.id] = stored.sequence
            self.slowest_acceptance_s = max(self.slowest_acceptance_s, self._loop.time() - began)
        finally:
            self._sending.discard(request)

    async def _trouble(self, kind: str, until: float) -> None:
        rng = random.Random(f"{self.seed} {kind}")
        while True:
            await asyncio.sleep(rng.expovariate(self._hurry / MEAN_S[kind]))
            if self._loop.time() >= until or self._failures:
                return
            self.faults[kind] += 1
            match kind:
                case "kill" | "power cut":
                    await self._die(power=kind == "power cut", rng=rng)
                case "partition":
                    subscriber = rng.choice(list(self.subscribers.values()))
                    subscriber.cut_off_until = self._loop.time() + rng.uniform(1.0, 120.0)
                case "pause":
                    self._loop.pause(rng.uniform(0.1, 60.0))
                case _:
                    self._clock.step(rng.choice((-1, 1)) * rng.uniform(1.0, 3600.0))

    async def _die(self, *, power: bool, rng: random.Random) -> None:
        if not self._up.is_set():
            return
        self._up.clear()
        moment = len(self._disk.changes)
        files = self._disk.after_power_cut(moment, rng) if power else self._disk.after_kill(moment)
        await self._end()
        self._store.kill()
        shutil.rmtree(self._directory / f"life-{self._life}")
        self._life += 1
        self._disk.changes.clear()
        for name, data in files.items():
            self._disk.put(name, data)
        directory = put(files, self._directory / f"life-{self._life}")
        await asyncio.sleep(rng.uniform(0.1, 20.0))
        await self._start(directory)

    async def _drain(self) -> None:
        """Wait until every trigger is done; raises PromiseBroken when that takes too long."""
        end = self._loop.time() + DRAIN_S
        while True:
            await asyncio.sleep(30.0)
            levels = await self._store.history.levels()
            if all(level.pending == level.queued == 0 for level in levels.values()):
                return
            self.require(self._loop.time() < end, f"still to be delivered: {dict(levels)}")

    def _raise_what_was_seen(self) -> None:
        if self._failures:
            raise self._failures[0]

    async def _judge(self) -> None:
        self._raise_what_was_seen()
        letters = await self._store.history.dead_letters(Selection(BROKER), limit=1_000_000)
        kept = {(letter.name.partition("/")[2], letter.stored.event.id) for letter in letters if letter.stored}
        for event_id, sequence in self.accepted.items():
            for name, subscriber in self.subscribers.items():
                ended = event_id in subscriber.taken or (name, event_id) in kept
                wanted = name != "some" or event_id in self.rare
                self.require(ended or not wanted, f"{name} never got {event_id}, which was acknowledged")
            await self._judge_timeline(sequence)

    async def _judge_timeline(self, sequence: int) -> None:
        known = await self._store.history.timeline(sequence)
        if known is not None:
            reached = {known.triggers[uid] for uid in ("uid-all", "uid-ordered")}
            self.require(reached == {Reach.ENDED}, f"the timeline of {sequence} does not tell how it ended: {reached}")
