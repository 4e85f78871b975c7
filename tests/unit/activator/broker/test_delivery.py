"""The state table: what is sent when, and how each event ends. Virtual time throughout."""

from __future__ import annotations

import pytest

from eventmesh.activator.broker.delivery import (
    MAX_IN_FLIGHT,
    SLEEP_RETRY_S,
    Again,
    Answer,
    DeliveryTable,
    Purpose,
    Send,
    Settled,
)
from eventmesh.activator.broker.store.api import Outcome
from eventmesh.model.delivery import BackoffPolicy, DeliveryPolicy

NO_CAPACITY = Answer(0, "no_capacity")
ONCE = DeliveryPolicy(retry=0)
TWICE = DeliveryPolicy(retry=1, backoff_delay_s=2.0)


def one(table: DeliveryTable, now: float = 0.0) -> Send:
    (send,) = table.next_sends(now)
    return send


def test_an_event_is_sent_once_and_settled_by_any_2xx() -> None:
    table = DeliveryTable(ONCE)
    for sequence, status in ((7, 200), (8, 202), (9, 204)):
        table.offer(sequence)
        send = one(table)
        assert send == Send(sequence, 1, Purpose.DELIVER)
        assert list(table.next_sends(0.0)) == []
        assert table.answered(send, Answer(status), 0.0) == Settled(Outcome.DELIVERED)
    assert len(table) == 0


@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 503, 0])
def test_a_retried_answer_is_tried_again_after_the_wait(status: int) -> None:
    table = DeliveryTable(TWICE)
    table.offer(1)
    assert table.answered(one(table), Answer(status, "timeout" if not status else ""), 10.0) == Again(12.0)
    assert list(table.next_sends(11.9)) == []
    assert table.wake_at() == 12.0
    assert one(table, 12.0) == Send(1, 2, Purpose.DELIVER)


@pytest.mark.parametrize("status", [100, 301, 400, 401, 403, 410, 422])
def test_other_answers_are_final(status: int) -> None:
    table = DeliveryTable(TWICE)
    table.offer(1)
    end = table.answered(one(table), Answer(status), 0.0)
    assert end == Settled(Outcome.KEPT, f"subscriber: answered {status}", Answer(status), 1)


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (DeliveryPolicy(retry=3, backoff=BackoffPolicy.LINEAR, backoff_delay_s=3.0), [3.0, 6.0, 9.0]),
        (DeliveryPolicy(retry=3, backoff=BackoffPolicy.EXPONENTIAL, backoff_delay_s=3.0), [3.0, 6.0, 12.0]),
        (DeliveryPolicy(retry=2, backoff_delay_s=3000.0), [3000.0, 3600.0]),
    ],
)
def test_waits_grow_as_documented_and_are_capped(policy: DeliveryPolicy, waits: list[float]) -> None:
    table = DeliveryTable(policy)
    table.offer(1)
    now = 0.0
    for wait in waits:
        assert table.answered(one(table, now), Answer(500), now) == Again(now + wait)
        now += wait
    assert isinstance(table.answered(one(table, now), Answer(500), now), Settled)


@pytest.mark.parametrize(
    ("status", "limit", "header", "wait"),
    [
        (429, 60.0, 30.0, 30.0),
        (503, 60.0, 90.0, 60.0),
        (429, 0.0, 30.0, 2.0),
        (500, 60.0, 30.0, 2.0),
        (429, 60.0, 1.0, 2.0),
    ],
)
def test_retry_after_is_honoured_within_bounds(status: int, limit: float, header: float, wait: float) -> None:
    table = DeliveryTable(DeliveryPolicy(retry=1, backoff_delay_s=2.0, retry_after_max_s=limit))
    table.offer(1)
    assert table.answered(one(table), Answer(status, retry_after_s=header), 0.0) == Again(wait)


def test_a_dead_letter_goes_to_its_sink_with_the_same_retries() -> None:
    table = DeliveryTable(DeliveryPolicy(retry=1, backoff_delay_s=2.0, dead_letter_uri="http://sink"))
    table.offer(1)
    table.answered(one(table), Answer(400), 0.0)
    assert table.last_failure(1) == Answer(400)
    letter = one(table)
    assert letter == Send(1, 1, Purpose.DEAD_LETTER)
    assert table.answered(letter, Answer(500), 0.0) == Again(2.0)
    assert table.answered(one(table, 2.0), Answer(202), 2.0) == Settled(Outcome.DEAD_LETTERED)


def test_a_dead_letter_that_its_sink_refuses_is_kept_with_both_reasons() -> None:
    table = DeliveryTable(DeliveryPolicy(retry=0, dead_letter_uri="http://sink"))
    table.offer(1)
    table.answered(one(table), Answer(500), 0.0)
    end = table.answered(one(table), Answer(0, "connect_failed"), 0.0)
    reason = "subscriber: answered 500; dead letter sink: no answer: connect_failed"
    assert end == Settled(Outcome.KEPT, reason, Answer(500), 1)


def test_at_zero_one_scout_waits_and_the_others_stay() -> None:
    table = DeliveryTable(ONCE)
    for sequence in (1, 2, 3):
        table.offer(sequence)
    sends = list(table.next_sends(0.0))
    for send in sends:
        table.answered(send, NO_CAPACITY, 0.0)
    assert table.asleep
    scout = one(table)
    assert scout == Send(1, 1, Purpose.SCOUT)
    assert list(table.next_sends(100.0)) == []
    table.answered(scout, Answer(200), 100.0)
    assert not table.asleep
    assert [send.sequence for send in table.next_sends(100.0)] == [2, 3]


def test_a_scout_without_room_to_wait_is_sent_again_later_and_costs_no_attempt() -> None:
    table = DeliveryTable(ONCE)
    table.offer(1)
    table.answered(one(table), NO_CAPACITY, 0.0)
    assert table.answered(one(table), NO_CAPACITY, 5.0) == Again(5.0 + SLEEP_RETRY_S)
    scout = one(table, 6.0)
    assert scout == Send(1, 1, Purpose.SCOUT)
    assert table.answered(scout, Answer(200), 6.0) == Settled(Outcome.DELIVERED)


def test_a_failing_scout_wakes_the_trigger_too() -> None:
    table = DeliveryTable(TWICE)
    table.offer(1)
    table.answered(one(table), NO_CAPACITY, 0.0)
    assert table.answered(one(table), Answer(500), 0.0) == Again(2.0)
    assert not table.asleep


def test_requests_in_flight_are_bounded() -> None:
    table = DeliveryTable(ONCE)
    for sequence in range(MAX_IN_FLIGHT + 5):
        table.offer(sequence)
    sends = list(table.next_sends(0.0))
    assert len(sends) == MAX_IN_FLIGHT
    table.answered(sends[0], Answer(200), 0.0)
    assert one(table).sequence == MAX_IN_FLIGHT
