"""Configurations of HTTP filters as they are sent by name: which are live, and for how long others are awaited."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from eventmesh.xds.client.held import Held, deadlines, settle, wait
from eventmesh.xds.translate.sources import DEFAULT_FETCH_TIMEOUT_S

if TYPE_CHECKING:
    from eventmesh.xds.translate.discovered_filters import DiscoveredFilter, Extension


class Extensions:
    """What the filters named in listeners have been sent. `copy` before a change that may have to be taken back."""

    def __init__(self) -> None:
        self._held: dict[str, Held[Extension]] = {}
        self._outgrown: dict[str, tuple[Extension, ...]] = {}
        """What was live under a name before it became of another type, newest first: a listener that does not accept
        that type goes on by it until its own next version is there."""
        self._named: frozenset[str] = frozenset()
        self._due: dict[str, float] = {}
        """Until when each name is awaited that was not sent what is wanted; where the time is up, minus infinity."""

    def copy(self) -> Extensions:
        """Return an independent copy."""
        twin = Extensions.__new__(Extensions)
        twin._held, twin._named, twin._due = dict(self._held), self._named, dict(self._due)
        twin._outgrown = dict(self._outgrown)
        return twin

    def take(self, arrived: Mapping[str, Extension], now: float) -> None:
        """Take in what has been sent; `advance` then decides what of it goes live."""
        wait(self._held, {name: one for name, one in arrived.items() if name in self._named}, now)

    def name(self, filters: Iterable[DiscoveredFilter], now: float) -> None:
        """Take note of all filters that listeners name: what they newly want is awaited from now on, what none names is
        forgotten."""
        named: set[str] = set()
        due: dict[str, float] = {}
        needed: dict[str, list[Extension]] = {}
        for one in filters:
            named.add(one.name)
            sent = self.of(one)
            if not one.is_settled_by(sent):
                known = due.get(one.name, self._due.get(one.name, math.inf))
                due[one.name] = min(known, now + (one.fetch_timeout_s or math.inf))
            elif sent is not None and sent is not self.live(one.name):
                needed.setdefault(one.name, []).append(sent)
        self._named, self._due = frozenset(named), due
        self._outgrown = {
            name: tuple(one for one in self._outgrown[name] if one in kept) for name, kept in needed.items()
        }
        for name in self._held.keys() - self._named:
            del self._held[name]

    def advance(self, now: float, ready: Callable[[str, Extension], bool]) -> bool:
        """Let go live what is `ready`, or has waited long enough; return whether anything has."""
        self._due = {name: at if at > now else -math.inf for name, at in self._due.items()}
        before = self.all_live()
        went: list[str] = []
        settle(self._held, now, ready, lambda _: DEFAULT_FETCH_TIMEOUT_S, lambda name, _: went.append(name))
        for name in went:
            self._outgrow(name, before.get(name))
        return bool(went)

    def _outgrow(self, name: str, former: Extension | None) -> None:
        newest = self._held[name].live
        if newest is None or not newest.kind:
            # The server has taken the filter back, of whatever type.
            self._outgrown.pop(name, None)
        elif former is not None and former.kind != newest.kind:
            older = self._outgrown.get(name, ())
            self._outgrown[name] = (former, *(one for one in older if one.kind not in (former.kind, newest.kind)))

    def is_settled(self, one: DiscoveredFilter) -> bool:
        """Tell whether a listener need not wait for this filter."""
        return one.is_settled_by(self.of(one)) or self._due.get(one.name) == -math.inf

    def of(self, one: DiscoveredFilter) -> Extension | None:
        """Return what is live for a listener that names a filter so: the newest of a type that it accepts, else the
        newest."""
        newest = self.live(one.name)
        if newest is None or newest.kind in one.kinds:
            return newest
        return next((older for older in self._outgrown.get(one.name, ()) if older.kind in one.kinds), newest)

    def for_all(self, filters: Iterable[DiscoveredFilter]) -> dict[str, Extension]:
        """Return what is live for these filters of one listener, by name."""
        return {one.name: sent for one in filters if (sent := self.of(one)) is not None}

    def live(self, name: str) -> Extension | None:
        """Return what is live under this name."""
        held = self._held.get(name)
        return held.live if held is not None else None

    def all_live(self) -> dict[str, Extension]:
        """Return all that is live, by name."""
        return {name: held.live for name, held in self._held.items() if held.live is not None}

    def is_waiting(self, name: str = "") -> bool:
        """Tell whether what was sent last under this name, or under any, is not live yet."""
        some = self._held.values() if not name else filter(None, (self._held.get(name),))
        return any(held.waiting is not None for held in some)

    def deadlines(self, awaited: Iterable[DiscoveredFilter]) -> Iterable[float]:
        """Yield when something goes live whatever is missing, of what was sent and of listeners that wait for these."""
        yield from deadlines(self._held, lambda _: DEFAULT_FETCH_TIMEOUT_S)
        due = (self._due.get(one.name, math.inf) for one in awaited if not self.is_settled(one))
        yield from filter(math.isfinite, due)
