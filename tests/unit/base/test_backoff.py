from __future__ import annotations

from eventmesh.base.backoff import Backoff, exponential_s


def test_waits_double_to_the_cap_and_start_again_after_reset() -> None:
    backoff = Backoff(1.0, 5.0, draw=lambda: 1.0)
    assert [backoff.next_s() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_jitter_stays_in_the_upper_half() -> None:
    assert Backoff(4.0, 4.0, draw=lambda: 0.0).next_s() == 2.0


def test_any_number_of_failures_gives_the_cap() -> None:
    assert exponential_s(10**9, 0.005, 30.0) == 30.0
