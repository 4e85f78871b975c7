"""What the autoscaler is told: requests in the engine, and events that wait in the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from eventmesh.activator.reporter import PERIOD_S, Reporter
from eventmesh.autoscale.stat import decode_messages
from tests.waiting import WAIT_S


class Listening:
    """A way that keeps what was reported."""

    def __init__(self) -> None:
        self.reports: list[dict[str, tuple[float, float]]] = []
        self.heard = asyncio.Event()
        self.closed = False

    async def send(self, report: bytes) -> str:
        self.reports.append(
            {
                f"{message.namespace}/{message.name}": (
                    message.stat.average_concurrent_requests,
                    message.stat.request_count,
                )
                for message in decode_messages(report)
            }
        )
        self.heard.set()
        return ""

    async def close(self) -> None:
        self.closed = True


class OnePeriod:
    """Time that passes once."""

    def __init__(self) -> None:
        self._slept = False

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def unix_s(self) -> float:
        return self.now().timestamp()

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
        listening,
        "activator-1",
        lambda _now: load,
        OnePeriod(),
        lambda: waiting,
    )
    reporter.start()
    await asyncio.wait_for(listening.heard.wait(), WAIT_S)
    await reporter.stop()
    assert listening.closed
    assert listening.reports == [{"default/awake": (3.5, 7.0), "default/asleep": (40.0, 0.0)}]
