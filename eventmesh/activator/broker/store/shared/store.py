"""A store that several activators share: what one of them changes stands in a journal, and each has a view of it.

All promises are those of the embedded store, because the tables and the statements are the same; the journal adds that
a 202 does not depend on this machine, and that others may take over. What an engine cannot keep is `Journal.warnings`.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import uuid4

from eventmesh.activator.broker.store.api import Elsewhere
from eventmesh.activator.broker.store.changes import Change
from eventmesh.activator.broker.store.errors import CorruptJournal, CorruptStore, StoreError
from eventmesh.activator.broker.store.history import EventHistory
from eventmesh.activator.broker.store.insertion import Accept
from eventmesh.activator.broker.store.opening import lock, make_directory
from eventmesh.activator.broker.store.queue import EventQueue
from eventmesh.activator.broker.store.replays import EventReplays
from eventmesh.activator.broker.store.shared import entries
from eventmesh.activator.broker.store.shared.journal import Bounds, EntriesGone, Entry, Journal
from eventmesh.activator.broker.store.shared.membership import Beat, Claim, Expel, Leave, Membership, Release, State
from eventmesh.activator.broker.store.shared.view import NOWHERE, Place, Step, View
from eventmesh.activator.broker.store.shared.writer import Writer
from eventmesh.activator.broker.store.sqlite_queue import Redrive
from eventmesh.activator.broker.store.sqlite_replays import StartReplay
from eventmesh.activator.broker.store.values import (
    KEEP_NOTHING,
    Attempt,
    NewEvent,
    Progress,
    Retention,
    Settlement,
    StoredEvent,
)
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup

T = TypeVar("T")

VIEW_FILE = "view.db"
MEMBER_FILE = "member"

OPEN_WAIT_S = 5.0
"""How long a question waits for a view that is not there yet; longer than a start takes when the server is there."""

RETRY_S = 0.5
"""Wait before the server is tried again."""

SNAPSHOT_AFTER_BYTES = 64 << 20
"""A journal shorter than this is not worth a snapshot."""

NOT_OPEN = "the event store is not open yet"

_MEMBERS = (Beat, Leave, Expel, Claim, Release)

_log = log.get("activator.broker.store")


class ViewLost(StoreError):
    """The view is damaged; the journal is not."""


class SharedStore:
    """An `EventStore` over a journal. Must be made in a running event loop; opens by itself, as soon as the server lets
    it."""

    def __init__(self, journal: Journal, directory: Path, clock: Clock, open_wait_s: float = OPEN_WAIT_S) -> None:
        """A question waits `open_wait_s` for the view; raises StoreError when another process has the directory."""
        make_directory(directory)
        self._lock = lock(directory / MEMBER_FILE)
        self._path = directory / VIEW_FILE
        self._journal = journal
        self._clock = clock
        self._open_wait_s = open_wait_s
        self._writer = Writer(journal)
        self._view: View | None = None
        self._place = NOWHERE
        self._open = asyncio.Event()
        self._why = NOT_OPEN
        self._damage: CorruptStore | None = None
        self._closing = False
        self._warned: Sequence[str] = ()
        self._elsewhere: Elsewhere | None = None
        self.kept_in = journal.where
        self.history = cast(EventHistory, _Part(self._ready, "history"))
        self.queue = cast(EventQueue, _Part(self._ready, "queue"))
        self.replays = cast(EventReplays, _Part(self._ready, "replays"))
        self.shares = Membership(_member(directory / MEMBER_FILE), self._write, self._members, clock)
        self._snapshots = asyncio.Lock()
        self._tasks = TaskGroup("event store")
        self._tasks.spawn("follow", self._run())
        self._tasks.spawn("write", self._writer.run())

    @property
    def doubts(self) -> Sequence[str]:
        """Return what the engine cannot keep, or does not tell."""
        return self._warned

    def follow(self, listener: Elsewhere) -> None:
        """Tell `listener` of what others do; they share the work from now on."""
        self._elsewhere = listener
        self.shares.start()

    async def _run(self) -> None:
        while self._damage is None and not self._closing:
            try:
                await self._follow(await self._opened())
            except (EntriesGone, ViewLost) as error:
                _log.warning("the view is made anew from the journal", reason=error)
                await self._discard()
            except CorruptStore as damage:
                self._damaged(damage)
            except StoreError as error:
                if self._why != str(error) and not self._closing:
                    self._why = str(error)
                    _log.error("event store", reason=error)
                await self._clock.sleep(RETRY_S)
            except Exception as error:
                # Whatever it is: without this task nothing of the store would ever change again.
                _log.error("event store", exc_info=error)
                await self._clock.sleep(RETRY_S)

    def _damaged(self, damage: CorruptStore) -> None:
        _log.error("no event is taken in or delivered", reason=damage)
        self._damage = damage
        self._writer.fail(damage)
        # Who waits for a view need not wait any longer.
        self._open.set()

    async def _opened(self) -> Bounds:
        """Return the journal's bounds, with a view that the journal goes on from."""
        bounds = await self._journal.open()
        if self._warned != self._journal.warnings:
            self._warned = self._journal.warnings
            for warning in self._warned:
                _log.warning("event store", promise=warning)
        if self._view is None:
            self._view = await self._open_view(bounds)
        place = self._place
        if place.identity and place.identity != bounds.identity:
            raise CorruptJournal(
                f"the journal is not the one that {self._path} is a view of ({place.identity}, and now "
                f"{bounds.identity}): it was made anew, and what it held is in that file only; to begin afresh, remove "
                "the file"
            )
        if place.position > bounds.last:
            raise CorruptJournal(
                f"the journal ends at entry {bounds.last}; entries {bounds.last + 1} to {place.position} were durable, "
                f"and are in {self._path} only; to go on without them, remove it"
            )
        if place.position + 1 < bounds.first:
            raise EntriesGone(f"the journal begins at entry {bounds.first}, the view ends at {place.position}")
        return bounds

    async def _open_view(self, bounds: Bounds) -> View:
        try:
            view = await self._view_at_place()
        except CorruptStore as damage:
            _log.warning("the view is damaged, and is made anew from the journal", reason=damage)
            self._remove_view()
            view = await self._view_at_place()
        if self._place.position or bounds.first <= 1:
            return view
        await view.close()
        self._remove_view()
        loading = self._path.with_name(f"{VIEW_FILE}-loading")
        if not await self._journal.load(loading):
            raise CorruptJournal(f"the journal begins at entry {bounds.first}, and no snapshot tells what was before")
        os.replace(loading, self._path)
        view = await self._view_at_place()
        if self._place.position + 1 < bounds.first:
            await view.close()
            self._remove_view()
            # It is a moment old: another has just made the next one.
            raise StoreError(f"the snapshot ends at entry {self._place.position}, the journal begins at {bounds.first}")
        return view

    async def _view_at_place(self) -> View:
        view = await asyncio.to_thread(View, self._path, self._clock, self._write)
        try:
            self._place = await view.place()
        except BaseException:
            await view.close()
            raise
        return view

    def _remove_view(self) -> None:
        for suffix in ("", "-wal", "-shm", "-sums"):
            self._path.with_name(VIEW_FILE + suffix).unlink(missing_ok=True)

    async def _discard(self) -> None:
        self._open.clear()
        self._writer.fail(StoreError("the view of the journal is made anew"))
        view, self._view = self._view, None
        if view is not None:
            await view.close()
        self._remove_view()

    async def _follow(self, bounds: Bounds) -> None:
        self._caught_up(bounds.last)
        async for batch in self._journal.follow(self._place.position):
            await self._take(bounds.identity, batch)
            self._caught_up(bounds.last)

    def _caught_up(self, last: int) -> None:
        if not self._open.is_set() and self._place.position >= last:
            _log.info("the view is up to date", position=self._place.position)
            self._open.set()

    async def _take(self, identity: str, batch: Sequence[Entry]) -> None:
        """Make a part of the journal part of the view."""
        assert self._view is not None  # noqa: S101  # `_opened` has made it
        authors = [entries.author_of(entry.position, entry.content) for entry in batch]
        steps = []
        for author, entry in zip(authors, batch, strict=True):
            own = self._writer.own(author)
            steps.append(Step(entry.position, entries.unpack(entry.content) if own is None else own))
        try:
            results = await self._view.apply(identity, steps)
        except CorruptStore as damage:
            # The journal is sound: only the copy of it here is not.
            raise ViewLost(str(damage)) from damage
        self._place = Place(identity, batch[-1].position)
        # What was in the way is over: it is told again when it comes again.
        self._why = NOT_OPEN
        for author, step, made in zip(authors, steps, results, strict=True):
            is_own = self._writer.applied(author, made)
            for change, result in zip(step.changes, made, strict=True):
                self._tell(change, result, is_own)

    def _tell(self, change: Change[Any], result: Any, is_own: bool) -> None:
        if isinstance(change, _MEMBERS):
            self.shares.poke()
        if is_own or self._elsewhere is None or not self._open.is_set():
            return
        match change:
            case Accept():
                for stored in result:
                    if not stored.duplicate:
                        self._elsewhere.accepted(stored)
            case Redrive():
                for letter in result[0]:
                    self._elsewhere.queued(letter.trigger)
            case StartReplay():
                self._elsewhere.replaying()

    async def _ready(self) -> View:
        """Return a view that is up to date; raises StoreError when there is none in time."""
        if not self._open.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._open_wait_s):
                    await self._open.wait()
        if self._closing:
            raise StoreError("the event store is closed")
        if self._damage is not None:
            raise CorruptJournal(str(self._damage))
        if self._view is None or not self._open.is_set():
            raise StoreError(self._why)
        return self._view

    async def _write(self, change: Change[T]) -> T:
        await self._ready()
        return await self._writer.write(change)

    async def _members(self) -> State:
        return await (await self._ready()).members()

    async def append(self, new: NewEvent) -> StoredEvent:
        """Return once the event is in the journal, and in the view of this process."""
        return await (await self._ready()).append(new)

    async def read(self, broker: str, after: int, limit: int, max_bytes: float = math.inf) -> Sequence[StoredEvent]:
        """Return events of `broker` beyond `after`, in order."""
        return await (await self._ready()).read(broker, after, limit, max_bytes)

    async def event(self, sequence: int) -> StoredEvent | None:
        """Return one event."""
        return await (await self._ready()).event(sequence)

    async def open_trigger(self, trigger: str, broker: str, start_at: float | None = None) -> Progress:
        """Return how far the trigger is."""
        return await (await self._ready()).open_trigger(trigger, broker, start_at)

    async def settle(self, settlements: Sequence[Settlement], attempts: Sequence[Attempt] = ()) -> None:
        """Record ends and attempts."""
        await (await self._ready()).settle(settlements, attempts)

    async def forget_trigger(self, trigger: str) -> None:
        """Drop what is known of a trigger."""
        await (await self._ready()).forget_trigger(trigger)

    async def triggers(self) -> Sequence[str]:
        """Return the UIDs of all triggers that have a place."""
        return await (await self._ready()).triggers()

    async def trim(self, retention: Retention = KEEP_NOTHING) -> int:
        """Delete events that nobody waits for; when nothing goes, shorten the journal where that is worth it."""
        view = await self._ready()
        gone = await view.trim(retention)
        if not gone:
            await self._shorten(view)
        return gone

    async def _shorten(self, view: View) -> None:
        size = (await self._journal.open()).size_bytes
        if size >= max(SNAPSHOT_AFTER_BYTES, 2 * await view.history.size_bytes()):
            await self.snapshot()

    async def snapshot(self) -> int:
        """Save the view and drop the entries that it holds; return the position of the last of them."""
        view = await self._ready()
        copy = self._path.with_name(f"{VIEW_FILE}-saving")
        async with self._snapshots:
            copy.unlink(missing_ok=True)
            try:
                position = await asyncio.to_thread(view.copy, copy)
                await self._journal.save(copy)
            finally:
                copy.unlink(missing_ok=True)
            await self._journal.cut(position)
        _log.info("the journal was cut", through=position)
        return position

    async def close(self) -> None:
        """Write what waits, leave the others, close the view."""
        await self.shares.leave()
        if self._open.is_set() and self._damage is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(OPEN_WAIT_S):
                    await self._writer.drained()
        # The journal first: a client library may swallow a cancellation that meets an answer, but not its own end.
        self._closing = True
        self._open.set()
        self._writer.close()
        await self._journal.close()
        await self._tasks.stop()
        if self._view is not None:
            await self._view.close()
        os.close(self._lock)


class _Part:
    """The history, queue or replays of a view that may not be there yet, by every name their methods have."""

    def __init__(self, ready: Callable[[], Awaitable[View]], name: str) -> None:
        self._ready = ready
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        async def ask(*arguments: Any, **named: Any) -> Any:
            part = getattr(await self._ready(), self._name)
            return await getattr(part, method)(*arguments, **named)

        return ask


def _member(path: Path) -> str:
    """Return the name that an activator of this directory has, now and after a restart: it goes on where it was."""
    if path.exists() and (name := path.read_text().strip()):
        return name
    name = uuid4().hex
    path.write_text(f"{name}\n")
    return name
