"""The state table: what is sent when, and how each event ends. Virtual time throughout."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventmesh.activator.broker.delivery import (
    MAX_BLOCKED,
    MAX_IN_FLIGHT,
    MAX_LOADED,
    NO_IDENTITY_RETRY_S,
    PACE_SLACK_S,
    SLEEP_RETRY_S,
    Again,
    Answer,
    DeliveryTable,
    Purpose,
    Send,
    Settled,
)
from eventmesh.activator.broker.store.values import Outcome
from eventmesh.model.delivery import BackoffPolicy, DeliveryControls, DeliveryPolicy

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


def test_an_event_without_an_identity_to_send_under_waits_and_loses_no_attempt() -> None:
    table = DeliveryTable(replace(ONCE, dead_letter_uri="http://letters/"))
    table.offer(1)
    for now in (0.0, 1.0, 2.0):
        assert table.answered(one(table, now), Answer(0, "no_identity"), now) == Again(now + NO_IDENTITY_RETRY_S)
    assert table.answered(one(table, 3.0), Answer(500), 3.0) == Again(0.0)
    letter = one(table, 3.0)
    assert (letter.purpose, letter.attempt) == (Purpose.DEAD_LETTER, 1)
    assert table.answered(letter, Answer(0, "no_identity"), 3.0) == Again(4.0)
    assert table.answered(one(table, 4.0), Answer(202), 4.0) == Settled(Outcome.DEAD_LETTERED)


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


def sent(table: DeliveryTable, now: float = 0.0) -> list[int]:
    return [send.sequence for send in table.next_sends(now)]


def test_a_group_is_delivered_one_after_the_other_and_others_do_not_wait() -> None:
    table = DeliveryTable(TWICE)
    for sequence, group in ((1, "a"), (2, "a"), (3, "b"), (4, ""), (5, "a"), (6, "b")):
        table.offer(sequence, group=group)
    first = {send.sequence: send for send in table.next_sends(0.0)}
    assert list(first) == [1, 3, 4]
    assert table.answered(first[1], Answer(503), 0.0) == Again(2.0), "and 2 waits with it"
    table.answered(first[3], Answer(200), 0.0)
    assert sent(table) == [] and table.waits_for_record, "a crash now would repeat 3, and 6 must not have gone before"
    table.recorded(3)
    assert sent(table) == [6] and not table.waits_for_record
    again = one(table, 2.0)
    table.answered(again, Answer(400), 2.0)
    table.recorded(1)
    assert sent(table, 2.0) == [2], "given up is settled: the next one of the group goes"


def test_a_group_that_is_over_begins_anew() -> None:
    table = DeliveryTable(ONCE)
    for sequence in (1, 2):
        table.offer(sequence, group="a")
        table.answered(one(table), Answer(200), 0.0)
        table.recorded(sequence)
    assert len(table) == 0


def test_an_event_whose_letter_is_under_way_still_holds_its_group() -> None:
    table = DeliveryTable(DeliveryPolicy(retry=0, dead_letter_uri="http://sink"))
    table.offer(1, group="a")
    table.offer(2, group="a")
    table.answered(one(table), Answer(400), 0.0)
    letter = one(table)
    assert (letter.sequence, letter.purpose) == (1, Purpose.DEAD_LETTER)
    table.answered(letter, Answer(200), 0.0)
    table.recorded(1)
    assert sent(table) == [2]


def test_a_stuck_group_leaves_room_for_others_up_to_a_limit() -> None:
    table = DeliveryTable(TWICE)
    table.offer(0, group="stuck")
    for sequence in range(1, 2 * MAX_LOADED):
        table.offer(sequence, group="stuck")
    assert table.room == MAX_LOADED - 1
    for sequence in range(2 * MAX_LOADED, MAX_BLOCKED + 1):
        table.offer(sequence, group="stuck")
    assert table.room == 0


def test_entries_of_the_queue_are_counted_without_those_that_wait_for_another_of_their_group() -> None:
    table = DeliveryTable(ONCE)
    table.offer(1, group="a")
    for entry in (1, 2):
        table.offer(entry, entry, "a")
    table.offer(3, 3)
    assert table.queued == 1
    own, single = table.next_sends(0.0)
    table.answered(single, Answer(202), 0.0)
    table.answered(own, Answer(202), 0.0)
    assert table.queued == 0
    table.recorded(1)
    assert table.queued == 1
    table.withdrawn(one(table), Outcome.EXPIRED)
    assert table.queued == 0


def test_the_same_event_may_be_under_way_twice() -> None:
    table = DeliveryTable(ONCE)
    table.offer(1)
    table.offer(1, entry=7)
    own, again = table.next_sends(0.0)
    assert (own.key, again.key) == ((1, 0), (1, 7))
    table.answered(again, Answer(200), 0.0)
    assert len(table) == 1


def test_a_paused_trigger_sends_nothing_until_it_goes_on() -> None:
    table = DeliveryTable(TWICE, DeliveryControls(paused=True))
    table.offer(1)
    assert (sent(table), table.wake_at()) == ([], None)
    table.controls = DeliveryControls()
    assert sent(table) == [1]


def test_a_rate_spaces_requests_retries_included() -> None:
    table = DeliveryTable(TWICE, DeliveryControls(rate_per_s=2.0))
    for sequence in range(4):
        table.offer(sequence)
    assert sent(table, 10.0) == [0]
    at = table.wake_at()
    assert at is not None
    assert 10.0 < at <= 10.5
    assert sent(table, at - 0.01) == []
    assert sent(table, at) == [1]


@pytest.mark.parametrize("rate", [0.5, 10.0, 1000.0])
def test_a_rate_is_held_over_any_time_but_for_its_slack(rate: float) -> None:
    table = DeliveryTable(ONCE, DeliveryControls(rate_per_s=rate))
    for sequence in range(400):
        table.offer(sequence)
    now = 0.0
    times: list[float] = []
    while len(times) < 60:
        for send in list(table.next_sends(now)):
            times.append(now)
            table.answered(send, Answer(200), now)
        now = max(now + 0.0001, table.wake_at() or now)
    for first in range(len(times)):
        for last in range(first + 1, len(times)):
            assert last - first <= (times[last] - times[first] + PACE_SLACK_S) * rate + 1


def test_a_withdrawn_event_is_over_and_lets_its_group_go_on() -> None:
    table = DeliveryTable(ONCE)
    table.offer(1, group="a")
    table.offer(2, group="a")
    assert table.withdrawn(one(table), Outcome.EXPIRED, "late") == Settled(Outcome.EXPIRED, "late")
    table.recorded(1)
    assert sent(table) == [2]


def test_what_waits_for_a_subscriber_without_room_is_told_as_load() -> None:
    table = DeliveryTable(TWICE)
    for sequence in range(5):
        table.offer(sequence)
    assert table.unserved == 0, "nobody has said that there is no room"
    for send in list(table.next_sends(0.0)):
        table.answered(send, NO_CAPACITY, 0.0)
    assert one(table).purpose is Purpose.SCOUT
    assert table.unserved == 4, "the scout is a request, and seen as one"
    for sequence in range(5, 3 * MAX_IN_FLIGHT):
        table.offer(sequence)
    assert table.unserved == MAX_IN_FLIGHT - 1, "more would not be sent at once"
    table.controls = DeliveryControls(rate_per_s=1.0)
    assert table.unserved == 0
