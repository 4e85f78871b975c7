"""What the autoscaler is told: requests in the engine, and events that wait in the store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from eventmesh.activator.reporter import PERIOD_S, Reporter
from eventmesh.autoscale.stat import decode_messages


@dataclass
class Answered:
    status: int = 200
    error: str = ""


class Listening:
    """A caller that keeps what was reported."""

    def __init__(self) -> None:
        self.reports: list[dict[str, tuple[float, float]]] = []
        self.heard = asyncio.Event()

    async def send(self, *words: object, **flags: object) -> Answered:
        body = words[5]
        assert isinstance(body, bytes)
        self.reports.append(
            {
                f"{message.namespace}/{message.name}": (
                    message.stat.average_concurrent_requests,
                    message.stat.request_count,
                )
                for message in decode_messages(body)
            }
        )
        self.heard.set()
        return Answered()


class OnePeriod:
    """Time that passes once."""

    def __init__(self) -> None:
        self._slept = False

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        assert seconds == PERIOD_S
        if self._slept:
            await asyncio.Event().wait()
        self._slept = True


async def test_events_that_wait_count_beside_requests() -> None:
    listening = Listening()
    load = [("default/awake", 2.5, 7, 0.0, 0), ("autoscaler", 1.0, 1, 0.0, 0), ("default/plain:80", 1.0, 1, 0.0, 0)]
    waiting = {"default/awake": 1.0, "default/asleep": 40.0}
    reporter = Reporter(
        "http://127.0.0.1:1/stats",
        "activator-1",
        lambda _now: load,
        listening,  # type: ignore[arg-type]  # only `send` is called
        OnePeriod(),
        lambda: waiting,
    )
    reporter.start()
    await asyncio.wait_for(listening.heard.wait(), 20)
    await reporter.stop()
    assert listening.reports == [{"default/awake": (3.5, 7.0), "default/asleep": (40.0, 0.0)}]
