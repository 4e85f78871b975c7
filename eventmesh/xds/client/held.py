"""Resources that go live when what they name is there, or after their time is up; their former version stays until
then. One kind of them at a time: `known` says what each kind waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from eventmesh.base.frozen import frozen

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Held(Generic[T_co]):
    """A resource: its live version, and a newer one that waits since a monotonic time."""

    live: T_co | None = None
    waiting: T_co | None = None
    since: float = 0.0

    def versions(self) -> list[T_co]:
        """Return its versions, the live one first."""
        return [version for version in (self.live, self.waiting) if version is not None]


def wait(kind: dict[str, Held[T]], arrived: Mapping[str, T], now: float) -> None:
    """Have what has arrived wait, unless it is live already."""
    for name, resource in arrived.items():
        held = kind.get(name)
        if held is None:
            kind[name] = Held(waiting=resource, since=now)
        elif held.live == resource:
            kind[name] = Held(live=held.live)
        else:
            # A resource that keeps changing has waited since the first change.
            since = held.since if held.waiting is not None else now
            kind[name] = Held(live=held.live, waiting=resource, since=since)


def settle(
    kind: dict[str, Held[T]],
    now: float,
    ready: Callable[[str, T], bool],
    timeout_s: Callable[[T], float],
    went_live: Callable[[str, T], None],
) -> None:
    """Let go live what is ready, or has waited for its time (0: as long as it takes)."""
    for name, held in list(kind.items()):
        waiting = held.waiting
        if waiting is None:
            continue
        limit = timeout_s(waiting)
        if ready(name, waiting) or (limit and now >= held.since + limit):
            kind[name] = Held(live=waiting)
            went_live(name, waiting)


def deadlines(kind: Mapping[str, Held[T]], timeout_s: Callable[[T], float]) -> Iterable[float]:
    """Yield when each that waits goes live whatever is missing."""
    for held in kind.values():
        if held.waiting is not None and timeout_s(held.waiting):
            yield held.since + timeout_s(held.waiting)
