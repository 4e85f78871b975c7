"""Which functions are awake on a guess, within their broker's budget, and what became of each guess.

Pure: `now` comes in, orders come out. A guess is *used* when an event for its trigger comes, and *wasted* when none
has come by the time at which the function would be asleep again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from eventmesh.activator.broker.foresight import Forecast
from eventmesh.activator.broker.triggers import Subscription
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event

LEAD_S: Final = 5.0
"""How long before its event a function is woken: longer than nearly all of them take to start, and no longer, since a
function before it in the chain may work for an hour."""

LIFE_S: Final = 60.0
"""How long after its time an event is waited for: Knative's default stable window, after which a function that nobody
called is asleep again."""

MAX_PLANNED: Final = 1024
"""Guesses of all brokers that wait for their time or their event: far more than budgets allow to be awake at once."""


class Ending(Enum):
    """What became of a guess."""

    USED = "used"
    WASTED = "wasted"
    OVER_BUDGET = "over_budget"
    """It was likely, and not acted on: as many as allowed were awake already."""


@frozen
class Guess:
    """A function that is to be awake before its event is there."""

    subscription: Subscription
    wake_at: float
    until: float
    """When it was for nothing."""
    cause: int
    """Sequence of the event that it was made for."""
    awake: bool = False


Wake = Callable[[Subscription, int], bool]
"""Wakes a subscriber for what will follow the event of that sequence; returns whether there was anything to wake."""

Ended = Callable[[Subscription, Ending], None]
"""Is told what became of a guess."""


class Guesses:
    """The guesses of all brokers of a process, one a trigger."""

    def __init__(self, wake: Wake, ended: Ended) -> None:
        self._wake = wake
        self._ended = ended
        self._guesses: dict[str, Guess] = {}
        """By UID of the trigger."""

    def __len__(self) -> int:
        return len(self._guesses)

    def plan(self, forecasts: Iterable[Forecast], known: Mapping[str, Subscription], cause: int, now: float) -> None:
        """Take in what is foreseen of the event `cause`, for `due` to act on.

        What is planned already keeps the earlier time to wake and the later one to give up.
        """
        for forecast in forecasts:
            subscription = known.get(forecast.trigger)
            if subscription is None or not subscription.controls.prewarm:
                continue
            wake_at, until = now + max(0.0, forecast.in_s - LEAD_S), now + forecast.in_s + LIFE_S
            before = self._guesses.get(forecast.trigger)
            if before is not None:
                awake = before.awake
                if awake and wake_at <= now:
                    # It may have gone to sleep again: a guess lives longer than some windows.
                    self._wake(subscription, cause)
                wake_at, until = min(wake_at, before.wake_at), max(until, before.until)
            elif len(self._guesses) >= MAX_PLANNED:
                self._ended(subscription, Ending.OVER_BUDGET)
                continue
            else:
                awake = False
            self._guesses[forecast.trigger] = Guess(subscription, wake_at, until, cause, awake)

    def follow(self, known: Mapping[str, Subscription]) -> None:
        """Go on with triggers as they are now; those that are gone are waited for no more, and not counted."""
        for uid, guess in list(self._guesses.items()):
            if uid in known:
                self._guesses[uid] = replace(guess, subscription=known[uid])
            else:
                del self._guesses[uid]

    def arrived(self, broker: str, event: Event) -> None:
        """Take note of an event that a broker has accepted: guesses about it have come true."""
        for uid, guess in list(self._guesses.items()):
            subscription = guess.subscription
            if subscription.broker == broker and subscription.passes(event):
                del self._guesses[uid]
                if guess.awake:
                    self._ended(subscription, Ending.USED)

    def due(self, budgets: Mapping[str, int], now: float) -> None:
        """Wake whose time has come, as far as the budget of each broker goes, and give up what was for nothing."""
        awake: dict[str, int] = {}
        for uid, guess in list(self._guesses.items()):
            if guess.until <= now:
                del self._guesses[uid]
                if guess.awake:
                    self._ended(guess.subscription, Ending.WASTED)
            elif guess.awake:
                awake[guess.subscription.broker] = awake.get(guess.subscription.broker, 0) + 1
        soonest_first = sorted(self._guesses.items(), key=lambda item: item[1].wake_at)
        for uid, guess in soonest_first:
            broker = guess.subscription.broker
            if guess.awake or guess.wake_at > now:
                continue
            if awake.get(broker, 0) >= budgets.get(broker, 0):
                del self._guesses[uid]
                self._ended(guess.subscription, Ending.OVER_BUDGET)
            elif self._wake(guess.subscription, guess.cause):
                self._guesses[uid] = replace(guess, awake=True)
                awake[broker] = awake.get(broker, 0) + 1
            else:
                # It is awake, or nobody of ours: there is nothing to gain, and nothing to lose.
                del self._guesses[uid]

    def next_at(self) -> float | None:
        """Return when `due` has something to do although nothing else happened; None: never."""
        return min((guess.until if guess.awake else guess.wake_at for guess in self._guesses.values()), default=None)
