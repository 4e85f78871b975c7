"""The key sets of issuers that policies name by address: got once for the whole mesh, renewed, and kept while they
cannot be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup, first_of

_log = log.get("xds.keys")

RETRY_FIRST_S: Final = 1.0
RETRY_CAP_S: Final = 60.0
"""An issuer that is back is asked again within a minute."""
MAX_KEY_SETS: Final = 256
"""Different addresses in the whole mesh: at 256 KiB each what hostile ones can fill is 64 MiB."""
MAX_AT_ONCE: Final = 8
"""Fetches under way: a mesh that begins does not open hundreds of connections."""
FIRST_WAIT_S: Final = 6.0
"""So long control that begins waits for key sets before it publishes: as long as most issuers may take to answer.
Data planes have what they had meanwhile."""

Fetch = Callable[[str, float], Awaitable[str]]
"""Gets the key set at an address within so many seconds; raises UnavailableError."""


@dataclass(slots=True)
class _Followed:
    """What is known of one address."""

    task: asyncio.Task[None]
    timeout_s: float
    text: str | None = None
    problem: str = ""
    """Of the last attempt; empty when that went well."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)


class KeySets:
    """Follows the addresses that are wanted."""

    def __init__(
        self,
        clock: Clock,
        fetch: Fetch,
        changed: Callable[[str, str | None], None],
        refresh_s: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`changed(address, text)` is called with each key set that differs from the one before; with an empty text if
        there is none to be had, with None when the address is not wanted any more, and with the former text when it
        begins, and when it ends, that it cannot be renewed."""
        self._clock = clock
        self._fetch = fetch
        self._changed = changed
        self._refresh_s = refresh_s
        self._draw = draw
        self._followed: dict[str, _Followed] = {}
        self._beyond: frozenset[str] = frozenset()
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks = TaskGroup("xds.keys")

    def want(self, addresses: Mapping[str, float]) -> None:
        """Follow these addresses, each with the seconds that its answer may take, and no others."""
        for address in self._followed.keys() - addresses.keys():
            self._followed.pop(address).task.cancel()
            self._changed(address, None)
        for address, timeout_s in addresses.items():
            known = self._followed.get(address)
            if known is not None:
                known.timeout_s = timeout_s
            elif len(self._followed) < MAX_KEY_SETS:
                task = self._tasks.spawn(address, self._follow(address))
                self._followed[address] = _Followed(task, timeout_s)
        before, self._beyond = self._beyond, frozenset(addresses.keys() - self._followed.keys())
        for address in self._beyond - before:
            self._changed(address, "")
        for address in before - addresses.keys():
            self._changed(address, None)

    def good(self) -> Mapping[str, str]:
        """Return the last good key sets, by address."""
        return {address: known.text for address, known in self._followed.items() if known.text is not None}

    def resume(self, kept: Mapping[str, str]) -> None:
        """Go by what was good before, where nobody has answered better yet."""
        for address, known in self._followed.items():
            if known.text is None and address in kept:
                known.text = kept[address]
                known.tried.set()
                self._changed(address, known.text)

    def problem(self, address: str) -> str:
        """Return why there is no key set of an address that is wanted; empty when there is one."""
        if address in self._beyond:
            return f"{MAX_KEY_SETS} other addresses are followed, and no more"
        known = self._followed.get(address)
        if known is None or known.text is not None:
            return ""
        return known.problem or "not answered yet"

    def stale(self, address: str) -> str:
        """Return why the key set of an address could not be renewed; empty when it could."""
        known = self._followed.get(address)
        return known.problem if known is not None and known.text is not None else ""

    async def begin(self, within_s: float = FIRST_WAIT_S) -> None:
        """Return when every address has been asked once; those that take longer count as without an answer."""

        async def tried() -> None:
            for followed in list(self._followed.values()):
                await followed.tried.wait()

        await first_of(tried(), self._clock.sleep(within_s))
        for address, followed in self._followed.items():
            if not followed.tried.is_set():
                followed.tried.set()
                self._changed(address, "")

    async def stop(self) -> None:
        """Ask nobody any more."""
        await self._tasks.stop()

    async def _follow(self, address: str) -> None:
        backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S, self._draw)
        while True:
            if await self._renew(address, self._followed[address]):
                backoff.reset()
                # Jitter: those who began together do not ask together for ever.
                await self._clock.sleep(self._refresh_s * (0.9 + 0.1 * self._draw()))
            else:
                await self._clock.sleep(min(backoff.next_s(), self._refresh_s))

    async def _renew(self, address: str, known: _Followed) -> bool:
        failed = bool(known.problem)
        try:
            async with self._turns:
                text = await self._fetch(address, known.timeout_s)
        except UnavailableError as error:
            known.problem = str(error)
            known.tried.set()
            if not failed:
                _log.warning("no key set", address=address, why=known.problem, former_stays=known.text is not None)
                self._changed(address, known.text or "")
            return False
        differs, known.text, known.problem = text != known.text, text, ""
        known.tried.set()
        if differs or failed:
            self._changed(address, text)
        return True
