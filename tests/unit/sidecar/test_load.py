"""What the autoscaler is told, in virtual time."""

import pytest

from eventmesh.autoscale.stat import Stat
from eventmesh.core.actions import LoadRow
from eventmesh.sidecar.load import WINDOW_S, LoadMeter, StatHandler
from tests.manual_clock import ManualClock


class Engine:
    """Gives out prepared rows, each once."""

    def __init__(self) -> None:
        self.rows: list[LoadRow] = []

    def take_load(self, now: float) -> list[LoadRow]:
        rows, self.rows = self.rows, []
        return rows


async def test_a_window_averages_what_several_looks_saw() -> None:
    clock, engine = ManualClock(), Engine()
    meter = LoadMeter(engine.take_load, "user", clock)
    engine.rows = [("user", 4.0, 10, 2.0, 5), ("other", 9.0, 9, 9.0, 9)]
    await clock.advance(0.5)
    meter.observe()
    await clock.advance(1.5)
    assert meter.close_window() == pytest.approx((1.0, 5.0, 0.5, 2.5))
    assert meter.requests == 10


async def test_a_window_is_never_shorter_than_a_second() -> None:
    clock, engine = ManualClock(), Engine()
    meter = LoadMeter(engine.take_load, "user", clock)
    await clock.advance(WINDOW_S / 2)
    assert meter.close_window() is None
    await clock.advance(WINDOW_S / 2)
    assert meter.close_window() == (0, 0, 0, 0)


async def test_scrapes_between_windows_get_the_last_one_again() -> None:
    clock, engine = ManualClock(), Engine()
    handler = StatHandler(LoadMeter(engine.take_load, "user", clock), "pod-1", clock)
    assert handler.current() == Stat("pod-1")
    engine.rows = [("user", 3.0, 6, 0.0, 0)]
    await clock.advance(2)
    first = handler.current()
    assert (first.average_concurrent_requests, first.request_count, first.process_uptime) == (3.0, 3.0, 2.0)
    await clock.advance(0.1)
    assert handler.current() is first
