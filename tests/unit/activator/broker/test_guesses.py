"""Functions woken on a guess: when, how many, and what becomes of it; and a chain of four simulated in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from eventmesh.activator.broker.foresight import Forecast, Foresight
from eventmesh.activator.broker.guesses import LEAD_S, LIFE_S, MAX_PLANNED, Ending, Guesses
from eventmesh.activator.broker.triggers import Subscription
from eventmesh.cloudevents.event import Event
from eventmesh.model.delivery import DeliveryControls
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers


def event(kind: str) -> Event:
    return Event({"id": "1", "source": "/s", "type": kind, "specversion": "1.0"})


class Scene:
    """Triggers t0, t1, ... for events e0, e1, ..., all asleep, and what happened to them."""

    def __init__(self, count: int = 4) -> None:
        self.triggers = FixedTriggers()
        for step in range(count):
            self.triggers.add(f"t{step}", type=f"e{step}")
        self.awake: set[str] = set()
        self.woken: list[str] = []
        self.endings: list[tuple[str, Ending]] = []
        self.guesses = Guesses(
            self._wake, lambda subscription, ending: self.endings.append((subscription.name, ending))
        )

    def _wake(self, subscription: Subscription, cause: int) -> bool:
        if subscription.name in self.awake:
            return False
        self.awake.add(subscription.name)
        self.woken.append(subscription.name)
        return True

    def foresee(self, now: float, *steps: tuple[str, float], budget: int = 9) -> None:
        forecasts = [Forecast(f"uid-{name}", 1.0, in_s) for name, in_s in steps]
        self.guesses.plan(forecasts, self.triggers.known, 1, now)
        self.guesses.due({BROKER: budget}, now)


def test_what_comes_soon_is_woken_at_once_and_the_rest_shortly_before_its_time() -> None:
    scene = Scene()
    scene.foresee(100.0, ("t1", 0.3), ("t2", LEAD_S), ("t3", 3600.0))
    assert scene.woken == ["t1", "t2"]
    at = 100.0 + 3600.0 - LEAD_S
    scene.guesses.arrived(BROKER, event("e1"))
    scene.guesses.arrived(BROKER, event("e2"))
    assert scene.guesses.next_at() == at
    scene.guesses.due({BROKER: 9}, at)
    assert scene.woken == ["t1", "t2", "t3"]


def test_an_event_for_its_trigger_makes_a_guess_used() -> None:
    scene = Scene()
    scene.foresee(0.0, ("t1", 1.0))
    scene.guesses.arrived("demo/other", event("e1"))
    scene.guesses.arrived(BROKER, event("e2"))
    assert scene.endings == []
    scene.guesses.arrived(BROKER, event("e1"))
    assert scene.endings == [("t1", Ending.USED)]
    assert scene.guesses.next_at() is None


def test_a_guess_that_nothing_came_of_is_wasted_after_its_life() -> None:
    scene = Scene()
    scene.foresee(0.0, ("t1", 1.0))
    until = 1.0 + LIFE_S
    assert scene.guesses.next_at() == until
    scene.guesses.due({BROKER: 9}, until - 0.1)
    assert scene.endings == []
    scene.guesses.due({BROKER: 9}, until)
    assert scene.endings == [("t1", Ending.WASTED)]


def test_no_more_are_awake_on_a_guess_than_the_budget_says() -> None:
    scene = Scene()
    scene.foresee(0.0, ("t1", 0.1), ("t2", 0.2), ("t3", 0.3), budget=2)
    assert scene.woken == ["t1", "t2"]
    assert scene.endings == [("t3", Ending.OVER_BUDGET)]
    # One that was used is no guess any more.
    scene.guesses.arrived(BROKER, event("e1"))
    scene.foresee(1.0, ("t3", 0.1), budget=2)
    assert scene.woken == ["t1", "t2", "t3"]


def test_a_broker_without_a_budget_wakes_nobody() -> None:
    scene = Scene()
    scene.foresee(0.0, ("t1", 0.1), budget=0)
    assert scene.woken == []


def test_a_function_that_is_awake_costs_no_budget() -> None:
    scene = Scene()
    scene.awake.add("t1")
    scene.foresee(0.0, ("t1", 0.1), ("t2", 0.2), budget=1)
    assert scene.woken == ["t2"]
    assert scene.endings == []


def test_a_function_that_fell_asleep_during_a_guess_is_woken_again_by_the_next() -> None:
    scene = Scene()
    scene.foresee(0.0, ("t1", 0.1))
    scene.awake.clear()
    scene.foresee(20.0, ("t1", 0.1))
    assert scene.woken == ["t1", "t1"]
    assert scene.guesses.next_at() == pytest.approx(20.1 + LIFE_S)


def test_a_trigger_may_keep_its_function_out_of_it() -> None:
    scene = Scene()
    scene.triggers.control("t1", DeliveryControls(prewarm=False))
    scene.foresee(0.0, ("t1", 0.1), ("gone", 0.1))
    assert scene.woken == []
    assert scene.guesses.next_at() is None


def test_triggers_are_followed_as_they_change_and_forgotten_when_they_go() -> None:
    scene = Scene()
    scene.foresee(0.0, ("t1", 0.1), ("t2", 0.1))
    known = dict(scene.triggers.known)
    del known["uid-t1"]
    known["uid-t2"] = replace(known["uid-t2"], passes=scene.triggers.known["uid-t3"].passes)
    scene.guesses.follow(known)
    scene.guesses.arrived(BROKER, event("e1"))
    scene.guesses.arrived(BROKER, event("e2"))
    assert scene.endings == []
    scene.guesses.arrived(BROKER, event("e3"))
    assert scene.endings == [("t2", Ending.USED)]


def test_what_is_planned_is_bounded() -> None:
    scene = Scene(1)
    known = {f"uid-{n}": replace(scene.triggers.known["uid-t0"], uid=f"uid-{n}") for n in range(MAX_PLANNED + 1)}
    scene.guesses.plan([Forecast(uid, 1.0, 3600.0) for uid in known], known, 1, 0.0)
    assert len(scene.guesses) == MAX_PLANNED
    assert scene.endings == [("t0", Ending.OVER_BUDGET)]


START_S, WORK_S = 0.3, 0.02


class Simulation:
    """A chain of functions that sleep, each with a start of its own, under a broker that delivers without delay."""

    def __init__(self, budget: int) -> None:
        self.scene = Scene()
        self.foresight = Foresight()
        self.budget = budget
        self.now = 0.0
        self._ready_at: dict[str, float] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = count()
        self.finished_at = 0.0

    def run(self) -> float:
        """Let everything fall asleep, send e0, and return how long it took until the last function was done."""
        self.scene.awake.clear()
        self._ready_at.clear()
        began = self.now = self.now + 1000.0
        self._accept(0)
        while self._queue:
            self.now, _, act = heapq.heappop(self._queue)
            act()
        return self.finished_at - began

    def _accept(self, step: int) -> None:
        cause, accepted_at = event(f"e{step}"), self.now
        self.scene.guesses.arrived(BROKER, cause)
        known = {BROKER: list(self.scene.triggers.known.values())}
        foreseen = self.foresight.forecast(BROKER, cause, known)
        self.scene.guesses.plan(foreseen, self.scene.triggers.known, step, self.now)
        self.scene.guesses.due({BROKER: self.budget}, self.now)
        self.scene.awake.add(f"t{step}")
        for name in self.scene.awake:
            self._ready_at.setdefault(name, self.now + START_S)
        done_at = max(self.now, self._ready_at[f"t{step}"]) + WORK_S
        heapq.heappush(self._queue, (done_at, next(self._tie), lambda: self._done(step, cause, accepted_at)))

    def _done(self, step: int, cause: Event, accepted_at: float) -> None:
        reply = event(f"e{step + 1}") if step < 3 else None
        self.foresight.learn(f"uid-t{step}", cause, reply, self.now - accepted_at)
        self.finished_at = self.now
        if reply is not None:
            self._accept(step + 1)


def test_a_chain_of_four_that_was_seen_once_costs_one_cold_start() -> None:
    simulation = Simulation(budget=8)
    assert simulation.run() == pytest.approx(4 * (START_S + WORK_S))
    assert simulation.run() == pytest.approx(START_S + 4 * WORK_S)
    assert [ending for _, ending in simulation.scene.endings] == [Ending.USED] * 3


def test_a_chain_of_four_without_a_budget_costs_four_cold_starts() -> None:
    simulation = Simulation(budget=0)
    simulation.run()
    assert simulation.run() == pytest.approx(4 * (START_S + WORK_S))


def test_a_chain_within_a_small_budget_costs_what_is_left() -> None:
    simulation = Simulation(budget=1)
    simulation.run()
    assert START_S + 4 * WORK_S < simulation.run() < 4 * (START_S + WORK_S)
