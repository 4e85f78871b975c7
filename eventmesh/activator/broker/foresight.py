"""Which triggers an event will lead to after those that take it now: replies seen so far, along the filters.

Pure: what triggers answered goes in, forecasts come out. Who acts on a forecast, and what it may cost, is no business
of this file (`guesses`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventmesh.activator.broker.triggers import Subscription
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event

KEEP: Final = 0.8
"""What remains of older replies with each new one: a trigger that answers otherwise from now on is believed after
four events, one that does so once in a while is not believed at all."""

LIKELY: Final = 0.5
"""Less likely than this is not forecast: more wakes would be for nothing than not."""

FOLLOWED: Final = 0.05
"""A branch less likely than this is not followed: ten of them together would rarely make a likely one."""

MAX_AHEAD: Final = 8
"""Steps that one event is followed: longer chains are forecast again by the replies on their way."""

MAX_BRANCHES: Final = 256
"""Triggers looked at for one event: with everything subscribed to everything, a forecast must still be cheap."""

MAX_HABITS: Final = 1024
"""Pairs of trigger and event type of which replies are remembered, those used last."""

MAX_LIKE_BYTES: Final = 2048
"""Attributes of a remembered reply: real ones have a few hundred bytes. A longer reply is none that we foresee; with
these three limits all that is remembered is at most some 16 MiB, and some hundred KiB where nobody means harm."""

MAX_KINDS: Final = 8
"""Types and sources of replies remembered of one habit: a function that invents a type each time fills no memory."""

_SLOWER: Final = 1.2
"""By so much a reply may come later than the soonest before it and count in full."""

_LEAST_S: Final = 0.001
"""What the soonest grows from: nothing grows from zero."""


@frozen
class Forecast:
    """A trigger that will probably get an event."""

    trigger: str
    """UID."""
    chance: float
    in_s: float
    """When, from the event that was looked at: no later than the soonest replies so far would have it."""


@dataclass(slots=True)
class _Kind:
    """Replies of one type and source; `like` is the last of them, without its data."""

    like: Event
    weight: float = 0.0


@dataclass(slots=True)
class _Habit:
    """What one trigger answers to one type of event."""

    total: float = 0.0
    soonest_s: float = math.inf
    kinds: dict[tuple[str, str], _Kind] = field(default_factory=dict)

    def learn(self, reply: Event | None, after_s: float) -> None:
        for kind in self.kinds.values():
            kind.weight *= KEEP
        self.total = self.total * KEEP + 1.0
        if reply is None or _size(reply) > MAX_LIKE_BYTES:
            return
        self.soonest_s = min(after_s, max(self.soonest_s, _LEAST_S) * _SLOWER)
        name = (reply.type, reply.source)
        kind = self.kinds.get(name) or _Kind(reply)
        kind.like = Event.checked(reply.attributes, None)
        kind.weight += 1.0
        self.kinds[name] = kind
        if len(self.kinds) > MAX_KINDS:
            del self.kinds[min(self.kinds, key=lambda known: self.kinds[known].weight)]


@frozen
class _Branch:
    """A trigger that gets an event like `event` with this chance."""

    subscription: Subscription
    event: Event
    chance: float
    in_s: float


class Foresight:
    """What triggers have answered so far, by UID and type of the event they got."""

    def __init__(self) -> None:
        self._habits: dict[tuple[str, str], _Habit] = {}
        """Those used last are last."""

    def learn(self, trigger: str, cause: Event, reply: Event | None, after_s: float) -> None:
        """Take in what became of an event: the reply as its broker stored it, `after_s` behind its cause, or none."""
        name = (trigger, cause.type)
        habit = self._habits.pop(name, None) or _Habit()
        self._habits[name] = habit
        habit.learn(reply, max(0.0, after_s))
        if len(self._habits) > MAX_HABITS:
            del self._habits[next(iter(self._habits))]

    def forecast(
        self, broker: str, event: Event, subscriptions: Mapping[str, Sequence[Subscription]]
    ) -> list[Forecast]:
        """Return the triggers that an event of `broker` will probably lead to, those that take it now left out.

        `subscriptions` are those of each broker, by its key. Nobody is named twice: an event that comes to a trigger
        by several ways counts with the sum of their chances, and with the soonest of them.
        """
        found: dict[str, Forecast] = {}
        looked = 0
        branches = list(_taking(broker, event, 1.0, 0.0, subscriptions))
        seen = {branch.subscription.uid for branch in branches}
        for _ in range(MAX_AHEAD):
            reached: dict[tuple[str, str], _Branch] = {}
            for branch in branches:
                for after in self._after(branch, subscriptions):
                    looked += 1
                    if looked > MAX_BRANCHES:
                        return _likely(found)
                    name = (after.subscription.uid, after.event.type)
                    reached[name] = _joined(reached.get(name), after)
            # A trigger that has been passed is not passed again: circles end here.
            branches = [branch for (uid, _), branch in reached.items() if uid not in seen]
            seen |= {branch.subscription.uid for branch in branches}
            for branch in branches:
                _add(found, branch)
            if not branches:
                break
        return _likely(found)

    def _after(self, branch: _Branch, subscriptions: Mapping[str, Sequence[Subscription]]) -> Iterator[_Branch]:
        habit = self._habits.get((branch.subscription.uid, branch.event.type))
        if habit is None:
            return
        # What was handed to a broker or channel is stored there, and counts as the reply.
        goes_to = branch.subscription.subscriber_key or branch.subscription.reply_to
        for kind in habit.kinds.values():
            chance = branch.chance * kind.weight / habit.total
            if chance >= FOLLOWED:
                in_s = branch.in_s + habit.soonest_s
                yield from _taking(goes_to, kind.like, chance, in_s, subscriptions)


def _size(event: Event) -> int:
    return sum(len(name) + len(event.text(name).encode()) for name in event.attributes)


def _taking(
    broker: str, event: Event, chance: float, in_s: float, subscriptions: Mapping[str, Sequence[Subscription]]
) -> Iterator[_Branch]:
    for subscription in subscriptions.get(broker, ()):
        if subscription.passes(event):
            yield _Branch(subscription, event, chance, in_s)


def _joined(one: _Branch | None, other: _Branch) -> _Branch:
    if one is None:
        return other
    chance = min(1.0, one.chance + other.chance)
    return _Branch(one.subscription, one.event, chance, min(one.in_s, other.in_s))


def _add(found: dict[str, Forecast], branch: _Branch) -> None:
    uid = branch.subscription.uid
    known = found.get(uid)
    chance, in_s = (known.chance, known.in_s) if known else (0.0, branch.in_s)
    found[uid] = Forecast(uid, min(1.0, chance + branch.chance), min(in_s, branch.in_s))


def _likely(found: Mapping[str, Forecast]) -> list[Forecast]:
    return [forecast for forecast in found.values() if forecast.chance >= LIKELY]
