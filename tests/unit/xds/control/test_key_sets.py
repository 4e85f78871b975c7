"""Key sets by address, in virtual time: fetched at once, renewed, and kept while they cannot be."""

from __future__ import annotations

import asyncio
import json

from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.xds.control.access.kept_keys import MAX_KEPT_BYTES, packed, unpacked
from eventmesh.xds.control.access.key_sets import FIRST_WAIT_S, MAX_AT_ONCE, MAX_KEY_SETS, RETRY_CAP_S, KeySets
from tests.manual_clock import ManualClock, settle
from tests.tokens import key_set

A, B = "https://a/keys", "https://b/keys"
REFRESH_S = 1000.0


class World:
    """Issuers that answer what is said here; an error is raised, and without a word they are silent."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.answers: dict[str, str | UnavailableError] = {}
        self.asked: list[tuple[float, str, float]] = []
        self.told: list[tuple[str, str | None]] = []
        self.sets = KeySets(self.clock, self.fetch, lambda *what: self.told.append(what), REFRESH_S, draw=lambda: 1.0)

    async def fetch(self, address: str, timeout_s: float) -> str:
        self.asked.append((self.clock.monotonic(), address, timeout_s))
        answer = self.answers.get(address)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, UnavailableError):
            raise answer
        assert answer is not None
        return answer

    def taken(self) -> list[tuple[str, str | None]]:
        told, self.told = self.told, []
        return told

    @property
    def times(self) -> list[float]:
        return [at for at, _, _ in self.asked]


async def test_a_set_is_fetched_at_once_and_renewed_and_told_only_when_it_differs() -> None:
    world = World()
    world.answers[A] = "one"
    world.sets.want({A: 5.0})
    await settle()
    assert world.taken() == [(A, "one")] and world.asked == [(0.0, A, 5.0)] and not world.sets.problem(A)
    await world.clock.advance(REFRESH_S)
    assert world.taken() == [] and world.times == [0.0, REFRESH_S]
    world.answers[A] = "two"
    await world.clock.advance(REFRESH_S)
    assert world.taken() == [(A, "two")]
    await world.sets.stop()


async def test_an_issuer_that_fails_is_asked_again_later_and_later_and_found_when_it_is_back() -> None:
    world = World()
    world.answers[A] = UnavailableError("answered 500")
    world.sets.want({A: 5.0})
    await world.clock.advance(7.5)
    assert world.times == [0.0, 1.0, 3.0, 7.0] and world.taken() == [(A, "")]
    assert world.sets.problem(A) == "answered 500" and not world.sets.stale(A)
    await world.clock.advance(1000)
    assert world.times[-1] - world.times[-2] == RETRY_CAP_S
    world.answers[A] = "one"
    await world.clock.advance(RETRY_CAP_S)
    assert world.taken() == [(A, "one")] and not world.sets.problem(A)
    await world.sets.stop()


async def test_the_last_good_set_stays_while_it_cannot_be_renewed_and_that_is_told_once() -> None:
    world = World()
    world.answers[A] = "one"
    world.sets.want({A: 5.0})
    await settle()
    world.answers[A] = UnavailableError("no answer within 5 s")
    world.taken()
    await world.clock.advance(REFRESH_S + 100)
    assert world.taken() == [(A, "one")] and world.sets.stale(A) == "no answer within 5 s" and not world.sets.problem(A)
    world.answers[A] = "one"
    await world.clock.advance(RETRY_CAP_S)
    assert world.taken() == [(A, "one")] and not world.sets.stale(A)
    await world.sets.stop()


async def test_an_address_that_is_not_wanted_any_more_is_forgotten_and_asked_no_more() -> None:
    world = World()
    world.answers.update({A: "one", B: "two"})
    world.sets.want({A: 5.0, B: 5.0})
    await settle()
    world.taken()
    world.sets.want({B: 7.0})
    assert world.taken() == [(A, None)]
    await world.clock.advance(REFRESH_S)
    assert world.asked[2:] == [(REFRESH_S, B, 7.0)]
    await world.sets.stop()


async def test_only_so_many_are_asked_at_once_and_only_so_many_followed() -> None:
    world = World()
    many = {f"https://{at}/": 5.0 for at in range(MAX_KEY_SETS + 1)}
    world.sets.want(many)
    await settle()
    assert len(world.asked) == MAX_AT_ONCE
    beyond = f"https://{MAX_KEY_SETS}/"
    assert world.taken() == [(beyond, "")] and f"{MAX_KEY_SETS} other addresses" in world.sets.problem(beyond)
    del many["https://0/"]
    world.sets.want(many)
    assert (beyond, None) not in world.taken() and world.sets.problem(beyond) == "not answered yet"
    world.sets.want({})
    assert len(world.taken()) == MAX_KEY_SETS
    await world.sets.stop()


async def test_control_begins_once_everybody_has_been_asked_or_after_a_while() -> None:
    world = World()
    world.answers.update({A: "one"})
    world.sets.want({A: 5.0, B: 30.0})
    tasks = TaskGroup("control")
    beginning = tasks.spawn("begin", world.sets.begin())
    await world.clock.advance(FIRST_WAIT_S - 1)
    assert not beginning.done() and world.taken() == [(A, "one")]
    await world.clock.advance(1)
    await beginning
    assert world.taken() == [(B, "")]
    await world.sets.begin()
    await world.sets.stop()


async def test_what_was_good_before_is_gone_by_until_somebody_answers() -> None:
    world = World()
    world.sets.want({A: 5.0})
    world.sets.resume({A: "old", B: "other"})
    assert world.taken() == [(A, "old")] and not world.sets.problem(A) and world.sets.good() == {A: "old"}
    await world.sets.begin()
    assert world.taken() == [], "nobody need wait for an answer"
    await world.sets.stop()


async def test_what_has_been_answered_is_better_than_what_was_good_before() -> None:
    world = World()
    world.answers[A] = "new"
    world.sets.want({A: 5.0})
    await settle()
    world.sets.resume({A: "old"})
    assert world.taken() == [(A, "new")] and world.sets.good() == {A: "new"}
    await world.sets.stop()


def test_kept_sets_are_read_back_and_what_is_none_is_passed_over() -> None:
    sets = {A: key_set("ES256"), B: key_set("EdDSA")}
    data = packed(sets)
    assert unpacked(data) == sets
    damaged = {"a": "{", "b": "[]", "c": '{"address": "x", "keys": "{}"}', "d": '{"address": "x", "keys": 7}', "e": "7"}
    assert unpacked({**data, **damaged}) == sets


def test_no_more_is_kept_than_a_config_map_may_hold() -> None:
    sets = {f"https://{at}/": "x" * 200_000 for at in range(4)}
    assert [json.loads(value)["address"] for value in packed(sets).values()] == ["https://0/", "https://1/"]
    assert sum(map(len, packed(sets).values())) <= MAX_KEPT_BYTES


def test_a_set_for_which_there_is_no_room_keeps_no_other_out() -> None:
    sets = {A: "x" * MAX_KEPT_BYTES, B: "small"}
    assert [json.loads(value)["address"] for value in packed(sets).values()] == [B]
