"""Owned tasks: each has a name, belongs to a group, and is awaited when the group stops. And waits that let it stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from eventmesh.base import log

_log = log.get("base.tasks")


async def first_of(*work: Coroutine[object, object, object]) -> None:
    """Do all of `work` at once; return when the first has ended, with the others cancelled. Raises what that raises."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def is_set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Return whether `event` is set by then; None: whenever that is.

    Not `asyncio.wait_for`: that of Python 3.11 drops a cancellation which comes in the moment in which the event is
    set, and whoever stops the task waits for it for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class TaskGroup:
    """The background tasks of one component.

    Unlike `asyncio.TaskGroup` the group outlives one block and survives the failure of a member: a
    failed task is logged, and handed to `on_failure` when the component wants to stop because of it.
    """

    def __init__(self, name: str, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._name = name
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Start `coroutine` as the task `name`; return it, so that the caller may cancel it alone."""
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            _log.error("task failed", task=task.get_name(), exc_info=error)
            if self._on_failure is not None:
                self._on_failure(error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def stop(self) -> None:
        """Cancel every task and return when all have ended."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
