"""The broker without a network: real store, real tables, subscribers that a test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from eventmesh.activator.broker.admittance import Credentials
from eventmesh.activator.broker.dispatcher import Dispatcher
from eventmesh.activator.broker.ingress import Ingress
from eventmesh.activator.broker.prewarmer import Prewarmer
from eventmesh.activator.broker.store.sqlite import SqliteStore
from eventmesh.base.clock import SystemClock
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers
from tests.waiting import WAIT_S


@dataclass
class Answered:
    """Shaped like the core's Response."""

    status: int = 202
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    error: str = ""


Script = Callable[[str, Event], Answered]


class ScriptedSubscribers:
    """Answers by the script, and remembers who got what."""

    def __init__(self) -> None:
        self.script: Script = lambda uri, event: Answered()
        self.got: list[tuple[str, Event, list[tuple[str, str]]]] = []
        self.arrived = asyncio.Event()

    async def post(
        self, uri: str, headers: object, body: bytes, *, timeout_s: float, hold: bool, peer: object
    ) -> Answered:  # the shape of Response is what counts
        pairs: list[tuple[str, str]] = list(headers)  # type: ignore[call-overload]  # the protocol's Headers
        event = http.decode(pairs, body)
        self.got.append((uri, event, pairs))
        self.arrived.set()
        return self.script(uri, event)

    async def until(self, count: int) -> None:
        while len(self.got) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), WAIT_S)


class Broker:
    """A broker process's worth of parts over one data directory."""

    def __init__(self, directory: Path, triggers: FixedTriggers, credentials: Credentials | None = None) -> None:
        clock = SystemClock()
        self.directory = directory
        self.subscribers = ScriptedSubscribers()
        self.store = SqliteStore(directory / "events.db", clock)
        self.ingress = Ingress(self.store, triggers, clock)
        self.asleep: set[str] = set()
        """Addresses that are woken by a guess."""
        self.prewarmer = Prewarmer(triggers, lambda: triggers.budgets, self.store, clock, self._wake)
        self.dispatcher = Dispatcher(
            self.store,
            triggers,
            self.ingress,
            self.subscribers,  # type: ignore[arg-type]  # its answers have the shape of Response
            clock,
            answered=self.prewarmer.answered,
            credentials=credentials,
        )
        self.dispatcher.start()
        self.ingress.subscribe(self.prewarmer)
        self.prewarmer.start()

    def _wake(self, uri: str) -> bool:
        was_asleep = uri in self.asleep
        self.asleep.discard(uri)
        return was_asleep

    async def send(self, number: int, event_type: str = "order", **more: str) -> None:
        attributes = {"id": str(number), "source": "/s", "type": event_type, "specversion": "1.0", **more}
        await self.ingress.accept(BROKER, Event(attributes, b"{}"), [("x-request-id", f"r{number}")])

    async def stop(self) -> None:
        await self.prewarmer.stop()
        await self.dispatcher.stop()
        await self.store.close()


async def opened(broker: Broker, name: str) -> None:
    """Return once the trigger has its place in the store: it receives what is accepted from then on."""
    await broker.store.open_trigger(f"uid-{name}", BROKER)


async def settled(broker: Broker, key: tuple[str, str], count: int) -> None:
    while broker.dispatcher.measures.outcomes[key] < count:
        await asyncio.sleep(0.005)
