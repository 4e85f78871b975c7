"""Who of the activators that share a store is alive, and which triggers each works on: told by the journal alone.

Each beats once a second. One that has not beaten while another beat five times is expelled by that one, and what it
worked on may be claimed; an activator whose own beat has not been written for `FENCE_S` has stopped by then, whatever
it knows. No two clocks are compared: only how fast they run must agree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b

import apsw

from eventmesh.activator.broker.store.changes import Write
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shares import HOUSEKEEPING
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup

BEAT_S = 1.0
"""Between two beats of an activator: one sync a second."""

DEAD_BEATS = 5
"""Beats of one activator without any of another, which is dead then: four seconds at the least, however late the first
of them was."""

FENCE_S = 3.5
"""An activator without a written beat for so long stops: before another may have counted it dead."""

MAX_CLAIMED = 1_000
"""Shares of one claim or release, some 40 KiB; the next look goes on with the rest."""

TABLES = """
CREATE TABLE IF NOT EXISTS members (member TEXT PRIMARY KEY, beats INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shares (share TEXT PRIMARY KEY, member TEXT NOT NULL) WITHOUT ROWID;
"""

_log = log.get("activator.broker.membership")


@frozen
class Beat:
    """An activator is alive."""

    member: str

    def apply(self, connection: apsw.Connection) -> None:
        """Count it."""
        sql = "INSERT INTO members VALUES (?, 1) ON CONFLICT (member) DO UPDATE SET beats = beats + 1"
        connection.execute(sql, (self.member,))


@frozen
class Leave:
    """An activator has stopped."""

    member: str

    def apply(self, connection: apsw.Connection) -> None:
        """Give free what it worked on."""
        connection.execute("DELETE FROM members WHERE member = ?", (self.member,))
        connection.execute("DELETE FROM shares WHERE member = ?", (self.member,))


@frozen
class Expel:
    """An activator seems to be dead."""

    member: str
    beats: int
    """How often it had beaten; when it has again by now it is alive."""

    def apply(self, connection: apsw.Connection) -> None:
        """Give free what it worked on."""
        if list(connection.execute("SELECT 1 FROM members WHERE member = ? AND beats = ?", (self.member, self.beats))):
            Leave(self.member).apply(connection)


@frozen
class Claim:
    """An activator would work on what is free."""

    member: str
    shares: Sequence[str]

    def apply(self, connection: apsw.Connection) -> None:
        """Let it have what nobody has."""
        if list(connection.execute("SELECT 1 FROM members WHERE member = ?", (self.member,))):
            rows = [(share, self.member) for share in self.shares]
            connection.executemany("INSERT OR IGNORE INTO shares VALUES (?, ?)", rows)


@frozen
class Release:
    """An activator has stopped to work on something."""

    member: str
    shares: Sequence[str]

    def apply(self, connection: apsw.Connection) -> None:
        """Give it free."""
        rows = [(share, self.member) for share in self.shares]
        connection.executemany("DELETE FROM shares WHERE share = ? AND member = ?", rows)


@frozen
class State:
    """What the journal says of it, as far as it is known here."""

    beats: Mapping[str, int]
    """By member."""
    shares: Mapping[str, str]
    """Share -> member."""


def owner_of(share: str, members: Collection[str]) -> str:
    """Return which of the members is to work on a share: evenly spread, and few move when one comes or goes."""
    return max(members, key=lambda member: blake2b(f"{share}\0{member}".encode(), digest_size=8).digest())


class Membership:
    """The `Shares` of one activator among others."""

    def __init__(self, member: str, write: Write, read: Callable[[], Awaitable[State]], clock: Clock) -> None:
        self._member = member
        self._write = write
        self._read = read
        self._clock = clock
        self._wanted: set[str] = set()
        self._held: frozenset[str] = frozenset()
        """What this process is to work on."""
        self._begun: set[str] = set()
        """What it does work on, as it says itself."""
        self._fence_at = 0.0
        self._beats = 0
        """Written by this process."""
        self._seen: dict[str, tuple[int, int]] = {}
        """Another member -> how often it had beaten when last looked at, and how often this one had by then."""
        self._listeners: list[Callable[[], None]] = []
        self._changed = asyncio.Event()
        self._tasks = TaskGroup("membership")

    def start(self) -> None:
        """Begin to beat."""
        self._tasks.spawn("beat", self._beat())
        self._tasks.spawn("fence", self._fence())
        self._tasks.spawn("look", self._look_again())

    async def leave(self) -> None:
        """Give up everything at once, instead of being missed."""
        if not len(self._tasks):
            return
        await self._tasks.stop()
        self._hold(frozenset())
        with suppress(StoreError):
            await self._write(Leave(self._member))

    def poke(self) -> None:
        """Look again: the journal has said something of members or shares."""
        self._changed.set()

    def want(self, shares: Collection[str]) -> None:
        """Say what there is to work on."""
        wanted = {*shares, HOUSEKEEPING}
        if wanted != self._wanted:
            self._wanted = wanted
            self.poke()

    def mine(self, share: str) -> bool:
        """Return whether this process is to work on it now."""
        return share in self._held

    async def held_by_others(self) -> Collection[str]:
        """Return what others have claimed and not given up."""
        return {share for share, member in (await self._read()).shares.items() if member != self._member}

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever `mine` may answer otherwise."""
        self._listeners.append(changed)

    def began(self, share: str) -> None:
        """Take in that this process works on it."""
        self._begun.add(share)

    def ended(self, share: str) -> None:
        """Take in that it does no more."""
        self._begun.discard(share)
        self.poke()

    def _hold(self, held: frozenset[str]) -> None:
        if held != self._held:
            _log.info("shares", held=len(held), gained=len(held - self._held), lost=len(self._held - held))
            self._held = held
            for changed in self._listeners:
                changed()

    async def _beat(self) -> None:
        while True:
            sent_at = self._clock.monotonic()
            try:
                await self._write(Beat(self._member))
            except StoreError as error:
                _log.debug("no beat", reason=error)
            else:
                self._beats += 1
                self._fence_at = sent_at + FENCE_S
                self.poke()
            await self._clock.sleep(BEAT_S)

    async def _fence(self) -> None:
        while True:
            left = self._fence_at - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(left)
                continue
            if self._held:
                _log.error("nothing is delivered here: the store cannot be reached", since_s=FENCE_S)
                self._hold(frozenset())
            await self._clock.sleep(BEAT_S / 4)

    async def _look_again(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._look(await self._read())
            except StoreError as error:
                # The next beat that is written asks for another look.
                _log.debug("shares cannot be changed", reason=error)

    async def _look(self, state: State) -> None:
        for member, beats in self._dead(state):
            _log.warning("an activator has not beaten any more; its work is taken over", member=member)
            await self._write(Expel(member, beats))
        if self._member not in state.beats or self._fence_at <= self._clock.monotonic():
            return
        due = {share for share in self._wanted if owner_of(share, state.beats) == self._member}
        has = {share for share, member in state.shares.items() if member == self._member}
        self._hold(frozenset(has & due))
        given_up = has - due - self._begun
        if given_up:
            await self._write(Release(self._member, sorted(given_up)[:MAX_CLAIMED]))
        free = due - state.shares.keys()
        if free:
            await self._write(Claim(self._member, sorted(free)[:MAX_CLAIMED]))

    def _dead(self, state: State) -> list[tuple[str, int]]:
        dead = []
        for member, beats in state.beats.items():
            seen, mine = self._seen.get(member, (-1, 0))
            if member == self._member:
                continue
            if beats != seen:
                self._seen[member] = (beats, self._beats)
            elif self._beats - mine >= DEAD_BEATS:
                dead.append((member, beats))
        self._seen = {member: seen for member, seen in self._seen.items() if member in state.beats}
        return dead
