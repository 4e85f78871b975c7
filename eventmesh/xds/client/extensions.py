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
        self._named: frozenset[str] = frozenset()
        self._due: dict[str, float] = {}
        """Until when each name is awaited that was not sent what is wanted; where the time is up, minus infinity."""

    def copy(self) -> Extensions:
        """Return an independent copy."""
        twin = Extensions.__new__(Extensions)
        twin._held, twin._named, twin._due = dict(self._held), self._named, dict(self._due)
        return twin

    def take(self, arrived: Mapping[str, Extension], now: float) -> None:
        """Take in what has been sent; `advance` then decides what of it goes live."""
        wait(self._held, {name: one for name, one in arrived.items() if name in self._named}, now)

    def name(self, filters: Iterable[DiscoveredFilter], now: float) -> None:
        """Take note of all filters that listeners name: what they newly want is awaited from now on, what none names is
        forgotten."""
        named: set[str] = set()
        due: dict[str, float] = {}
        for one in filters:
            named.add(one.name)
            if not one.is_settled_by(self.live(one.name)):
                known = due.get(one.name, self._due.get(one.name, math.inf))
                due[one.name] = min(known, now + (one.fetch_timeout_s or math.inf))
        self._named, self._due = frozenset(named), due
        for name in self._held.keys() - self._named:
            del self._held[name]

    def advance(self, now: float, ready: Callable[[str, Extension], bool]) -> bool:
        """Let go live what is `ready`, or has waited long enough; return whether anything has."""
        self._due = {name: at if at > now else -math.inf for name, at in self._due.items()}
        went: list[str] = []
        settle(self._held, now, ready, lambda _: DEFAULT_FETCH_TIMEOUT_S, lambda name, _: went.append(name))
        return bool(went)

    def is_settled(self, one: DiscoveredFilter) -> bool:
        """Tell whether a listener need not wait for this filter."""
        return one.is_settled_by(self.live(one.name)) or self._due.get(one.name) == -math.inf

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
