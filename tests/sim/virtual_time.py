"""An event loop whose time passes only when nobody can run, and then at once: hours in seconds, the same every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without I/O or threads."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_NothingHappens(self._pass))

    def time(self) -> float:
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds

    def pause(self, seconds: float) -> None:
        """Let time pass while nobody runs, as when the process is stopped or its machine sleeps."""
        self._now += seconds


class _NothingHappens(selectors.DefaultSelector):
    """Waits for nothing: the time it is asked to wait has passed."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for somebody else: nothing will ever happen again")
        self._passed(max(0.0, timeout))
        return []


class SimClock:
    """A `Clock` over a virtual loop; its wall clock can be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._set_by = 0.0

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self._loop.time() + self._set_by)

    def unix_s(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def step(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._set_by += seconds


async def at_once(function: Callable[..., T], *args: Any, **more: Any) -> T:
    """Do what `asyncio.to_thread` does, without the thread: in the same order every time."""
    await asyncio.sleep(0)
    return function(*args, **more)


def run(make: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in virtual time; return its result. Whatever it left running is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(make(loop))
