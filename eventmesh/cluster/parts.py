"""Parts that are started in order and stopped in the opposite order, whatever happens in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

Stop = Callable[[], Awaitable[None]]


class Parts:
    """What has been started so far."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    def add(self, stop: Stop) -> None:
        """Have `stop` awaited when everything stops, before what was added earlier."""
        self._stack.push_async_callback(stop)

    def add_sync(self, stop: Callable[[], None]) -> None:
        """Have `stop` called when everything stops, before what was added earlier."""
        self._stack.callback(stop)

    async def stop(self) -> None:
        """Stop everything; the first error is raised after all have been stopped."""
        await self._stack.aclose()
