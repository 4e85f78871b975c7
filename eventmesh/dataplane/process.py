"""What surrounds a data plane as a process: event loop, signals, limits of the operating system, garbage collector."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Callable, Coroutine
from typing import Final

import uvloop

from eventmesh.base import log
from eventmesh.base.tasks import first_of

_log = log.get("dataplane.process")

_GC_YOUNG: Final = 50_000
"""Allocations between collections of the youngest generation. The hot path makes no cycles; Python's 700 would make the
collector run hundreds of times a second for nothing."""


class Termination:
    """The wish to end: SIGTERM, SIGINT, or `/quitquitquit`. The second one means at once."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._at_once = asyncio.Event()

    def install(self) -> None:
        """Listen to the signals."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        """Ask for an orderly end; asked again, for an end at once."""
        (self._at_once if self._wanted.is_set() else self._wanted).set()

    async def wanted(self) -> None:
        """Return when the end has been asked for."""
        await self._wanted.wait()

    async def unless_at_once(self, work: Coroutine[object, object, None]) -> None:
        """Do `work`, the orderly end; return early, with it cancelled, when the end is asked for again."""
        await first_of(work, self._at_once.wait())


def run(main: Callable[[], Coroutine[object, object, int]]) -> int:
    """Run `main()` on uvloop until it returns the exit code."""
    _raise_file_limit()
    quiet_collector()

    async def watched() -> int:
        asyncio.get_running_loop().set_exception_handler(_log_stray_error)
        return await main()

    return uvloop.run(watched())


def _log_stray_error(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Write what nobody caught in our own form; the process goes on."""
    error = context.get("exception")
    _log.error(str(context.get("message")), exc_info=error if isinstance(error, BaseException) else False)


def _raise_file_limit() -> None:
    """Allow as many sockets as the administrator's hard limit does; the soft one (1024) is for select(2)'s sake."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def quiet_collector() -> None:
    """Turn the collector on, for what is made from now on: what is there lives as long as the process, so that nobody
    needs to look at it again (and its pages stay shared after a fork)."""
    gc.freeze()
    gc.set_threshold(_GC_YOUNG, 20, 100)
    gc.enable()
