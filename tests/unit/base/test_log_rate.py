from __future__ import annotations

from eventmesh.base.log_rate import EVERY_S, LogRate
from tests.manual_clock import ManualClock


async def test_of_what_goes_on_one_line_passes_now_and_then_and_the_others_are_counted() -> None:
    clock = ManualClock()
    rate = LogRate(clock)
    assert [rate.allows() for _ in range(4)] == [True, False, False, False]
    assert rate.left_out == 0
    await clock.advance(EVERY_S)
    assert [rate.allows(), rate.left_out, rate.allows()] == [True, 3, False]
