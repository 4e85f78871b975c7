"""What need not be kept any longer: places of deleted Triggers, and events that nobody waits for."""

from __future__ import annotations

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shares import HOUSEKEEPING
from eventmesh.activator.broker.store.values import KEEP_NOTHING, Retention
from eventmesh.activator.broker.triggers import TriggerSource
from eventmesh.base import log
from eventmesh.base.clock import Clock

TRIM_INTERVAL_S = 30.0
"""Events that nobody waits for are deleted this often."""

_log = log.get("activator.broker.trimming")


class Trimmer:
    """Keeps the store as small as it can be."""

    def __init__(
        self, store: EventStore, triggers: TriggerSource, clock: Clock, retention: Retention = KEEP_NOTHING
    ) -> None:
        """`retention`: what stays although nobody waits for it."""
        self._store = store
        self._retention = retention
        self._triggers = triggers
        self._clock = clock
        self._told: frozenset[str] = frozenset()
        """Triggers of which it was said that they keep old events."""

    async def run(self) -> None:
        """Trim again and again, until cancelled. `triggers` must know all Triggers by then."""
        while True:
            await self._clock.sleep(TRIM_INTERVAL_S)
            try:
                gone = await self.trim()
                await self.tell()
            except StoreError as error:
                _log.error("event store", reason=error)
            else:
                _log.debug("trimmed", events=gone)

    async def trim(self) -> int:
        """Forget deleted Triggers, delete what nobody waits for; return how many events went. Raises StoreError.

        Where several processes share the store one of them does it.
        """
        if not self._store.shares.mine(HOUSEKEEPING):
            return 0
        # A Trigger that was deleted while this process was down would keep every event from then on from going.
        known = await self._store.triggers()
        # One that another works on is there, although this process may not have heard of it yet.
        others = await self._store.shares.held_by_others()
        for uid in known:
            if uid not in others and not self._triggers.exists(uid):
                await self._store.forget_trigger(uid)
        total = 0
        while gone := await self._store.trim(self._retention):
            total += gone
        return total

    async def tell(self) -> None:
        """Say in the log which triggers keep events that would be gone without them, once for each. Raises StoreError.

        Their backlog is theirs for as long as it takes: nothing of it goes because it is old. Where several processes
        share the store the one that trims it says so.
        """
        if not self._store.shares.mine(HOUSEKEEPING):
            return
        holders = frozenset(await self._store.history.holders(self._retention, self._clock.now().timestamp()))
        known = self._triggers.subscriptions()
        for uid in holders - self._told:
            name = f"{known[uid].namespace}/{known[uid].name}" if uid in known else ""
            _log.warning("trigger keeps old events", trigger=name, uid=uid, hint="deliver, dead-letter or delete it")
        for uid in self._told - holders:
            _log.info("trigger keeps old events no longer", uid=uid)
        self._told = holders
