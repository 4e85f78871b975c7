"""Asks filters what the core wants to know of requests, and tells it what they say.

One of the places where a broad `except` may stand: a filter that fails leaves its request to the failure policy, is
counted and logged, and the next request is asked about as before.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventmesh.base import log
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane.filter_files import FilterFiles
from eventmesh.dataplane.filters import Decision, Filter, Go, Reply, Seen
from eventmesh.model.authz import PythonFilter

if TYPE_CHECKING:
    from eventmesh.core._core import Request
    from eventmesh.model.snapshot import Snapshot
    from eventmesh.transport.driver import Driver

_log = log.get("dataplane.screening")

MAX_AWAITING: Final = 1_024
"""Filters that await something at once: as many as the core lets wait for a decision. One whose request has been given
up still counts until its own time is over."""


class Screening:
    """The filters of a configuration, at work."""

    def __init__(self, directory: Path | None, driver: Driver) -> None:
        """`directory` is where files of filters are; None: nowhere."""
        self._files = FilterFiles(directory)
        self._driver = driver
        self._filters: Mapping[str, Filter] = {}
        self._longest_s: dict[str, float] = {}
        self._tasks = TaskGroup("filters")
        self._awaiting = 0

    def prepare(self, snapshot: Snapshot) -> Mapping[str, Filter]:
        """Return the filters that `snapshot` names. Raises ConfigError for one that there is not, or that
        cannot be made of what the snapshot says."""
        self._files.keep(self._filters)
        return self._files.find(wanted(snapshot))

    def use(self, snapshot: Snapshot, filters: Mapping[str, Filter]) -> None:
        """Ask `filters` from now on, which `prepare` returned for this snapshot."""
        self._filters = filters
        self._longest_s = {}
        for _, one in wanted(snapshot):
            self._longest_s[one.asked_as] = max(one.timeout_s, self._longest_s.get(one.asked_as, 0.0))

    def ask(self, token: int, name: str, request: Request) -> None:
        """Ask the filter `name` about a request; the engine is told what it says, now or later."""
        found = self._filters.get(name)
        if found is None or self._awaiting >= MAX_AWAITING:
            self._driver.undecided(token)
            return
        try:
            said = found(_seen(request))
        except Exception as error:
            self._failed(token, name, error)
            return
        if inspect.isawaitable(said):
            self._awaiting += 1
            self._tasks.spawn(f"filter {name}", self._await(token, name, said))
        else:
            self._tell(token, name, said)

    async def _await(self, token: int, name: str, said: Awaitable[Decision]) -> None:
        try:
            async with asyncio.timeout(self._longest_s.get(name, 0.0)):
                decision = await said
        except Exception as error:
            self._failed(token, name, error)
        else:
            self._tell(token, name, decision)
        finally:
            self._awaiting -= 1

    def _tell(self, token: int, name: str, decision: Decision) -> None:
        try:
            match decision:
                case Go(headers, remove):
                    self._driver.let_through(token, tuple(headers.items()), remove)
                case Reply(status, body, headers):
                    content = body.encode() if isinstance(body, str) else body
                    self._driver.turn_away(token, status, tuple(headers.items()), content)
                case _:
                    raise TypeError(f"a filter returns Go or Reply, not {decision!r}")
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            self._failed(token, name, error)

    def _failed(self, token: int, name: str, error: Exception) -> None:
        _log.error("filter failed", filter=name, exc_info=error)
        self._driver.undecided(token)

    async def stop(self) -> None:
        """Ask no more."""
        await self._tasks.stop()


def wanted(snapshot: Snapshot) -> Iterator[tuple[str, PythonFilter]]:
    """Yield every filter in Python that a snapshot names, behind the name of its step."""
    for filters in snapshot.filters():
        yield from ((one.name, one.step) for one in filters.access if isinstance(one.step, PythonFilter))


def _seen(request: Request) -> Seen:
    headers: dict[str, str] = {}
    for name, value in request.headers:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Seen(request.method, request.authority, request.path, headers, request.protocol, request.peer)
