"""The end of a pod: probes fail first, requests end next, the process last.

The routes that lead here are taken away by others, who need a moment. So a pod that is told to go first answers its
probes "not ready", goes on serving until no request has come for a while, and only then closes its doors
(knative/serving: pkg/queue/sharedmain, the preStop hook `/wait-for-drain`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from eventmesh.base.clock import Clock
from eventmesh.sidecar.load import LoadMeter
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request

LONGEST_WAIT_S: Final = 30.0
"""The wait for quiet ends after this even when requests keep coming: a client that holds on to a dead address must not
keep a pod alive."""

_LOOK_S: Final = 0.02
"""How often a pod that drains looks for new requests."""


class PodDrain:
    """Waits for quiet, once, whoever asks first."""

    def __init__(self, meter: LoadMeter, in_flight: Callable[[], int], clock: Clock, quiet_s: float) -> None:
        self.has_begun = False
        self._meter = meter
        self._in_flight = in_flight
        self._clock = clock
        self._quiet_s = quiet_s
        self._done = asyncio.Event()

    async def wait_for_quiet(self) -> None:
        """Begin to drain, if that has not been asked before, and return when the pod is quiet."""
        if self.has_begun:
            await self._done.wait()
            return
        self.has_begun = True
        try:
            await self._watch()
        finally:
            self._done.set()

    async def _watch(self) -> None:
        self._meter.observe()
        begun = last = self._clock.monotonic()
        seen = self._meter.requests
        while True:
            now = self._clock.monotonic()
            if self._meter.requests != seen or self._in_flight():
                seen, last = self._meter.requests, now
            if now - last >= self._quiet_s or now - begun >= LONGEST_WAIT_S:
                return
            await self._clock.sleep(_LOOK_S)
            self._meter.observe()


class DrainHandler:
    """Answers `GET :8022/wait-for-drain` when the pod is quiet."""

    def __init__(self, wait_for_quiet: Callable[[], Awaitable[None]]) -> None:
        self._wait_for_quiet = wait_for_quiet

    async def handle(self, request: Request) -> Reply:
        """Return 200 once no request has come for the quiet time."""
        await self._wait_for_quiet()
        return Reply.text(200, "drained\n")
