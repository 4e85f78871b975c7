"""What replies so far say of the triggers that an event will lead to."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.foresight import (
    MAX_AHEAD,
    MAX_BRANCHES,
    MAX_HABITS,
    MAX_KINDS,
    MAX_LIKE_BYTES,
    Foresight,
)
from eventmesh.activator.broker.triggers import Subscription
from eventmesh.cloudevents.event import Event
from tests.unit.activator.broker.fixed_triggers import BROKER, FixedTriggers


def event(kind: str, **more: str) -> Event:
    return Event({"id": "1", "source": "/s", "type": kind, "specversion": "1.0", **more}, b"{}")


def chain(length: int) -> tuple[Foresight, dict[str, list[Subscription]]]:
    """Return triggers t0, t1, ... of which each takes events e0, e1, ... and answers with the next after 2 s."""
    triggers, foresight = FixedTriggers(), Foresight()
    for step in range(length):
        triggers.add(f"t{step}", type=f"e{step}")
        foresight.learn(f"uid-t{step}", event(f"e{step}"), event(f"e{step + 1}"), 2.0)
    return foresight, {BROKER: list(triggers.known.values())}


def told(foresight: Foresight, first: Event, known: dict[str, list[Subscription]]) -> dict[str, tuple[float, float]]:
    found = foresight.forecast(BROKER, first, known)
    return {forecast.trigger: (round(forecast.chance, 3), forecast.in_s) for forecast in found}


def test_a_chain_is_foreseen_to_its_end_with_the_time_of_each_step() -> None:
    foresight, known = chain(4)
    assert told(foresight, event("e0"), known) == {"uid-t1": (1.0, 2.0), "uid-t2": (1.0, 4.0), "uid-t3": (1.0, 6.0)}


def test_nothing_is_foreseen_before_a_reply_was_seen() -> None:
    _, known = chain(2)
    assert told(Foresight(), event("e0"), known) == {}


def test_a_trigger_made_after_the_replies_were_seen_is_foreseen() -> None:
    triggers, foresight = FixedTriggers(), Foresight()
    triggers.add("price", type="placed")
    foresight.learn("uid-price", event("placed"), event("priced", region="north"), 0.1)
    triggers.add("north", type="priced", region="north")
    triggers.add("south", type="priced", region="south")
    assert list(told(foresight, event("placed"), {BROKER: list(triggers.known.values())})) == ["uid-north"]


def test_another_habit_is_believed_after_four_replies_and_an_exception_is_not() -> None:
    foresight, known = chain(2)
    for _ in range(10):
        foresight.learn("uid-t0", event("e0"), event("e1"), 2.0)
    foresight.learn("uid-t0", event("e0"), None, 0.0)
    assert list(told(foresight, event("e0"), known)) == ["uid-t1"]
    for _ in range(3):
        foresight.learn("uid-t0", event("e0"), None, 0.0)
    assert told(foresight, event("e0"), known) == {}


def test_what_a_trigger_answers_to_one_type_says_nothing_of_another() -> None:
    triggers, foresight = FixedTriggers(), Foresight()
    triggers.add("all")
    triggers.add("alarm", type="alarm")
    foresight.learn("uid-all", event("hot"), event("alarm"), 1.0)
    known = {BROKER: list(triggers.known.values())}
    assert list(told(foresight, event("hot"), known)) == ["uid-alarm"]
    assert told(foresight, event("cold"), known) == {}


def test_several_ways_to_one_trigger_count_together() -> None:
    triggers, foresight = FixedTriggers(), Foresight()
    triggers.add("price", type="placed")
    triggers.add("ship", source="/price")
    for currency in ("eur", "usd", "gbp"):
        foresight.learn("uid-price", event("placed"), event(currency, source="/price"), 1.0)
    known = {BROKER: list(triggers.known.values())}
    assert told(foresight, event("placed"), known) == {"uid-ship": (1.0, 1.0)}


def test_the_soonest_reply_counts_and_one_slow_reply_changes_little() -> None:
    foresight, known = chain(2)
    foresight.learn("uid-t0", event("e0"), event("e1"), 600.0)
    ((_, in_s),) = told(foresight, event("e0"), known).values()
    assert in_s == pytest.approx(2.4)


def test_an_event_without_a_reply_says_nothing_of_how_soon_replies_come() -> None:
    foresight, known = chain(2)
    foresight.learn("uid-t0", event("e0"), None, 0.0)
    foresight.learn("uid-t0", event("e0"), event("e1"), 2.0)
    assert [in_s for _, in_s in told(foresight, event("e0"), known).values()] == [2.0]


def test_a_reply_in_no_time_is_not_expected_in_no_time_for_ever() -> None:
    foresight, known = chain(2)
    foresight.learn("uid-t0", event("e0"), event("e1"), 0.0)
    for _ in range(60):
        foresight.learn("uid-t0", event("e0"), event("e1"), 30.0)
    ((_, in_s),) = told(foresight, event("e0"), known).values()
    assert in_s > 5.0


def test_a_circle_ends() -> None:
    triggers, foresight = FixedTriggers(), Foresight()
    triggers.add("ping", type="ping")
    triggers.add("pong", type="pong")
    foresight.learn("uid-ping", event("ping"), event("pong"), 1.0)
    foresight.learn("uid-pong", event("pong"), event("ping"), 1.0)
    assert told(foresight, event("ping"), {BROKER: list(triggers.known.values())}) == {"uid-pong": (1.0, 1.0)}


def test_a_long_chain_is_followed_for_so_many_steps() -> None:
    foresight, known = chain(2 * MAX_AHEAD)
    assert len(told(foresight, event("e0"), known)) == MAX_AHEAD


def test_with_everything_subscribed_to_everything_a_bounded_number_is_looked_at() -> None:
    triggers, foresight = FixedTriggers(), Foresight()
    looked = 0

    def passes(_: Event) -> bool:
        nonlocal looked
        looked += 1
        return True

    triggers.add("first", type="e0")
    subscriptions = [triggers.known["uid-first"]]
    for number in range(50):
        triggers.add(f"t{number}")
        made = triggers.known[f"uid-t{number}"]
        subscriptions.append(
            Subscription(made.uid, "demo", f"t{number}", BROKER, made.subscriber_uri, passes, made.policy, BROKER)
        )
    for subscription in subscriptions:
        for kind in ("e0", "e1"):
            foresight.learn(subscription.uid, event(kind), event("e1"), 0.1)
    foresight.forecast(BROKER, event("e0"), {BROKER: subscriptions})
    assert looked <= MAX_BRANCHES + 2 * len(subscriptions)


def test_what_is_remembered_is_bounded() -> None:
    foresight, known = chain(2)
    for number in range(MAX_KINDS + 5):
        foresight.learn("uid-t0", event("e0"), event(f"invented-{number}"), 0.1)
    assert told(foresight, event("e0"), known) == {}
    for number in range(MAX_HABITS):
        foresight.learn(f"uid-{number}", event("e0"), None, 0.0)
    habits = foresight._habits
    assert len(habits) == MAX_HABITS
    assert ("uid-t0", "e0") not in habits
    assert max(len(habit.kinds) for habit in habits.values()) <= MAX_KINDS


def test_a_reply_of_endless_attributes_is_not_remembered() -> None:
    foresight, known = chain(2)
    assert list(told(foresight, event("e0"), known)) == ["uid-t1"]
    for _ in range(5):
        foresight.learn("uid-t0", event("e0"), event("e1", note="x" * MAX_LIKE_BYTES), 2.0)
    assert told(foresight, event("e0"), known) == {}
    kept = foresight._habits["uid-t0", "e0"].kinds.values()
    assert all("note" not in kind.like.attributes for kind in kept)
