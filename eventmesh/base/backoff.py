"""Waiting longer after each failure, with jitter so that many clients do not return together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


def _drawn() -> float:
    # Few processes ever wait so; `random` and the hashes that seed it are a millisecond of the start of all others.
    import random

    return random.random()  # noqa: S311 - spreads clients, keeps no secret


@dataclass(slots=True)
class Backoff:
    """Exponential growth from `first_s` to `cap_s`; each wait is drawn from its upper half."""

    first_s: float
    cap_s: float
    draw: Callable[[], float] = _drawn
    """A number in [0, 1); injected so that tests know the waits."""
    _failures: int = field(default=0, init=False)

    def next_s(self) -> float:
        """Return how long to wait after one more failure."""
        wait = exponential_s(self._failures, self.first_s, self.cap_s)
        self._failures += 1
        return wait * (0.5 + 0.5 * self.draw())

    def reset(self) -> None:
        """Start again from `first_s`: the other side has answered."""
        self._failures = 0


def exponential_s(failures: int, first_s: float, cap_s: float) -> float:
    """Return `first_s` doubled `failures` times, at most `cap_s`."""
    # 2**64 nanoseconds is past any cap; the bound keeps the power from growing without end.
    return float(min(cap_s, first_s * 2 ** min(failures, 64)))
