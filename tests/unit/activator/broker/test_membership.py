"""Who works on what, in virtual time: members over the same tables, and what each of them does when one dies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import apsw
import pytest_asyncio

from eventmesh.activator.broker.store.changes import Change
from eventmesh.activator.broker.store.errors import StoreError
from eventmesh.activator.broker.store.shared.membership import (
    BEAT_S,
    DEAD_BEATS,
    FENCE_S,
    MAX_CLAIMED,
    TABLES,
    Membership,
    State,
    owner_of,
)
from eventmesh.activator.broker.store.shares import HOUSEKEEPING
from tests.manual_clock import ManualClock

T = TypeVar("T")

TRIGGERS = [f"trigger-{number}" for number in range(20)]


class Tables:
    """What all members see, and which of them can write."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute(TABLES)
        self.clock = ManualClock()
        self.members: dict[str, Membership] = {}
        self.cut_off: set[str] = set()

    def member(self, name: str) -> Membership:
        """Start a member that wants all triggers, and works on what it holds until it holds it no more."""

        async def write(change: Change[T]) -> T:
            if name in self.cut_off:
                raise StoreError("no connection")
            result = change.apply(self.connection)
            for member in self.members.values():
                member.poke()
            return result

        async def read() -> State:
            members = dict(self.connection.execute("SELECT member, beats FROM members"))
            return State(members, dict(self.connection.execute("SELECT share, member FROM shares")))

        membership = self.members[name] = Membership(name, write, read, self.clock)
        membership.want(TRIGGERS)
        membership.start()
        return membership

    async def stop(self) -> None:
        for name, member in self.members.items():
            self.cut_off.add(name)
            await member.leave()

    def holders(self, share: str) -> list[str]:
        """Return who would work on it now."""
        return [name for name, member in self.members.items() if member.mine(share)]


@pytest_asyncio.fixture
async def tables() -> AsyncIterator[Tables]:
    made = Tables()
    yield made
    await made.stop()


async def test_one_alone_has_everything(tables: Tables) -> None:
    alone = tables.member("a")
    await tables.clock.advance(BEAT_S)
    assert all(alone.mine(share) for share in [*TRIGGERS, HOUSEKEEPING])


async def test_more_shares_than_one_claim_holds_are_claimed_one_claim_after_another(tables: Tables) -> None:
    alone = tables.member("a")
    many = [f"many-{number}" for number in range(2 * MAX_CLAIMED + 1)]
    alone.want(many)
    await tables.clock.advance(BEAT_S)
    assert all(alone.mine(share) for share in many)


async def test_each_share_is_held_by_one_and_they_are_spread(tables: Tables) -> None:
    for name in "abc":
        tables.member(name)
        await tables.clock.advance(2 * BEAT_S)
    await tables.clock.advance(2 * BEAT_S)
    held = {share: tables.holders(share) for share in TRIGGERS}
    assert held == {share: [owner_of(share, "abc")] for share in TRIGGERS}
    assert {name for (name,) in held.values()} == {"a", "b", "c"}


async def test_a_share_is_handed_over_only_when_the_work_on_it_has_ended(tables: Tables) -> None:
    first = tables.member("a")
    await tables.clock.advance(BEAT_S)
    moving = next(share for share in TRIGGERS if owner_of(share, "ab") == "b")
    first.began(moving)
    second = tables.member("b")
    await tables.clock.advance(5 * BEAT_S)
    assert not first.mine(moving)
    assert not second.mine(moving), "the first still works on it"
    first.ended(moving)
    await tables.clock.advance(BEAT_S)
    assert second.mine(moving)


async def test_each_knows_what_others_work_on(tables: Tables) -> None:
    first, second = tables.member("a"), tables.member("b")
    await tables.clock.advance(3 * BEAT_S)
    held = {share for share in [*TRIGGERS, HOUSEKEEPING] if second.mine(share)}
    assert held and set(await first.held_by_others()) == held


async def test_one_that_is_cut_off_stops_before_another_takes_over(tables: Tables) -> None:
    first, second = tables.member("a"), tables.member("b")
    await tables.clock.advance(3 * BEAT_S)
    lost = [share for share in TRIGGERS if first.mine(share)]
    tables.cut_off.add("a")
    waited = 0.0
    while not second.mine(lost[0]):
        assert len(tables.holders(lost[0])) <= 1
        await tables.clock.advance(0.1)
        waited += 0.1
        assert waited < (DEAD_BEATS + 3) * BEAT_S
    assert not first.mine(lost[0])
    assert waited > FENCE_S - BEAT_S
    assert all(second.mine(share) for share in lost)


async def test_one_that_comes_back_takes_part_again(tables: Tables) -> None:
    tables.member("a"), tables.member("b")
    await tables.clock.advance(3 * BEAT_S)
    tables.cut_off.add("a")
    await tables.clock.advance((DEAD_BEATS + 3) * BEAT_S)
    tables.cut_off.clear()
    await tables.clock.advance(4 * BEAT_S)
    assert all(tables.holders(share) == [owner_of(share, "ab")] for share in TRIGGERS)


async def test_while_nobody_can_write_nobody_works_and_then_all_goes_on(tables: Tables) -> None:
    first, second = tables.member("a"), tables.member("b")
    await tables.clock.advance(3 * BEAT_S)
    tables.cut_off |= {"a", "b"}
    await tables.clock.advance(FENCE_S + BEAT_S)
    assert not any(first.mine(share) or second.mine(share) for share in TRIGGERS)
    tables.cut_off.clear()
    await tables.clock.advance(2 * BEAT_S)
    assert all(tables.holders(share) == [owner_of(share, "ab")] for share in TRIGGERS), "and nobody was expelled"


async def test_one_that_leaves_is_not_waited_for(tables: Tables) -> None:
    first, second = tables.member("a"), tables.member("b")
    await tables.clock.advance(3 * BEAT_S)
    await first.leave()
    await tables.clock.advance(BEAT_S / 2)
    assert all(second.mine(share) for share in TRIGGERS)
    assert not any(first.mine(share) for share in TRIGGERS)


def test_few_shares_move_when_a_member_comes() -> None:
    shares = [f"s{number}" for number in range(1_000)]
    moved = [share for share in shares if owner_of(share, "abc") != owner_of(share, "abcd")]
    assert all(owner_of(share, "abcd") == "d" for share in moved)
    assert 150 < len(moved) < 350
