"""When to build and publish: at once after quiet, paced under load, endpoints always ahead of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.changes import Changed, Effect
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.snapshot_cache import SnapshotCache

MIN_PAUSE_S = 0.005
"""Between two full builds; what one request of a client such as kn changes arrives in one burst."""

PAUSE_FACTOR = 4
"""A full build that took t is followed by a pause of 4 t: under endless change building takes a fifth of a core."""

MAX_PAUSE_S = 1.0
"""However large the mesh, a change waits no longer than this for its build."""

_log = log.get("xds.publisher")


@frozen
class Publication:
    """What was published last, and when."""

    generation: int
    at: float
    """Monotonic seconds."""


class Changes(Protocol):
    """Who knows what has changed; each answer is given once."""

    def take_changed(self) -> Changed:
        """Return all that has changed."""
        ...

    def take_touched(self) -> Changed:
        """Return whose endpoints have changed, and keep the rest for `take_changed`."""
        ...


class Publisher:
    """Turns views into publications. `touch` says that the view has changed; a task of its own does the rest."""

    def __init__(
        self,
        cache: SnapshotCache,
        builder: ResourceBuilder,
        view: Callable[[str], View],
        changes: Changes,
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        """`view` returns what to build of a namespace, `changes` tells what of it."""
        self._cache = cache
        self._builder = builder
        self._view = view
        self._changes = changes
        self._clock = clock
        self._metrics = metrics or Metrics()
        self._tasks = TaskGroup("xds.publisher")
        self._wake = asyncio.Event()
        self._dirty = Effect.NOTHING
        self._not_before = float("-inf")
        self._alarm: asyncio.Task[None] | None = None
        self._on_published: Callable[[Publication, Effect], None] = lambda publication, effect: None

    def listen(self, on_published: Callable[[Publication, Effect], None]) -> None:
        """Call `on_published` after each publication with how much of the view it contains."""
        self._on_published = on_published

    def touch(self, effect: Effect) -> None:
        """Have `effect` published; returns at once."""
        if effect is Effect.NOTHING:
            return
        if effect.value > self._dirty.value:
            self._dirty = effect
        self._wake.set()

    def start(self) -> None:
        """Publish everything now, then whatever changes."""
        self._dirty = Effect.EVERYTHING
        self._step()
        self._tasks.spawn("publish", self._run())

    async def stop(self) -> None:
        """Publish no more."""
        await self._tasks.stop()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._step()

    def _step(self) -> None:
        now = self._clock.monotonic()
        if self._dirty is Effect.EVERYTHING and now >= self._not_before:
            self._full(now)
        elif self._dirty is not Effect.NOTHING:
            self._publish_endpoints(now)
            if self._dirty is Effect.EVERYTHING:
                self._wait_for_turn(self._not_before - now)
            else:
                self._dirty = Effect.NOTHING

    def _full(self, now: float) -> None:
        self._dirty = Effect.NOTHING
        generation = self._build(self._changes.take_changed())
        took = self._clock.monotonic() - now
        self._not_before = now + took + min(max(took * PAUSE_FACTOR, MIN_PAUSE_S), MAX_PAUSE_S)
        _log.debug("published", generation=generation, build_ms=round(took * 1000, 2))
        self._on_published(Publication(generation, now), Effect.EVERYTHING)

    def _publish_endpoints(self, now: float) -> None:
        generation = self._build(self._changes.take_touched())
        self._on_published(Publication(generation, now), Effect.ENDPOINTS)

    def _build(self, changed: Changed) -> int:
        began = self._clock.monotonic()
        self._metrics.publications["everything" if changed.namespaces else "endpoints"] += 1
        self._builder.update(self._view, changed)
        concerned = filter(self._builder.affects, self._cache.audiences())
        generation = self._cache.update({audience: self._builder.sets(audience) for audience in concerned})
        self._metrics.build.observe(self._clock.monotonic() - began)
        return generation

    def _wait_for_turn(self, seconds: float) -> None:
        if self._alarm is None or self._alarm.done():
            self._alarm = self._tasks.spawn("pause", self._ring(seconds))

    async def _ring(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._wake.set()
