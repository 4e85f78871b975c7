"""PingSources at work: one task a source, which sleeps until the next tick of its schedule.

A tick that was due while nobody ran is not made up for; a clock that is set back repeats none.
"""

from __future__ import annotations

import asyncio

from eventmesh.activator.sources.outbox import Outbox
from eventmesh.activator.sources.sinks import source_key
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import is_deleting, key_of
from eventmesh.kube.ping_source import Ping, parse_ping
from eventmesh.kube.resources import PING_SOURCE

MAX_SLEEP_S = 30.0
"""Longest sleep between two looks at the clock: so soon a clock that was set is noticed."""

_log = log.get("activator.sources.ping")


class PingSources:
    """Runs every PingSource that has a sink."""

    def __init__(self, sources: Informer, outbox: Outbox, clock: Clock) -> None:
        self._sources = sources
        self._outbox = outbox
        self._clock = clock
        self._running: dict[str, tuple[Ping, asyncio.Task[None]]] = {}
        self._tasks = TaskGroup("ping")

    def start(self) -> None:
        """Begin to send."""
        self._sources.add_handler(self._changed)

    async def stop(self) -> None:
        """Send no more."""
        await self._tasks.stop()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        uid = (new or old or {})["metadata"]["uid"]
        wanted = _compile(new) if new is not None else None
        running = self._running.get(uid)
        if running is not None:
            # A change of its status, or of anything that does not change what it sends, interrupts no wait.
            if running[0] == wanted:
                return
            running[1].cancel()
            del self._running[uid]
        if new is None:
            self._outbox.closed(uid)
        if wanted is not None:
            self._running[uid] = (wanted, self._tasks.spawn(f"{wanted.namespace}/{wanted.name}", self._run(wanted)))

    async def _run(self, ping: Ping) -> None:
        key = source_key(PING_SOURCE, ping.namespace, ping.name)
        await self._outbox.open(ping.uid, key)
        _log.info("sending", source=f"{ping.namespace}/{ping.name}", schedule=ping.schedule.expression)
        tick = ping.schedule.after(self._clock.now())
        while tick is not None:
            while (wait := (tick - self._clock.now()).total_seconds()) > 0:
                await self._clock.sleep(min(wait, MAX_SLEEP_S))
            try:
                event = Event(ping.attributes(tick), ping.data)
            except InvalidEvent as error:
                # Admission has made such an event and found it good; one stored before the rule was there ends here.
                _log.error("sends no event", source=f"{ping.namespace}/{ping.name}", reason=error)
                return
            await self._outbox.put(ping.uid, key, event)
            tick = ping.schedule.after(max(tick, self._clock.now()))


def _compile(source: Object) -> Ping | None:
    if is_deleting(source) or not (source.get("status") or {}).get("sinkUri"):
        return None
    try:
        return parse_ping(source)
    except ConfigError as error:
        # Told in the source's conditions by its controller.
        _log.warning("source does not run", source=key_of(source), reason=error)
        return None
