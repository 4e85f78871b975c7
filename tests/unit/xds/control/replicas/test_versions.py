"""Replicas count publications each for itself; what is in them is compared by the versions of objects."""

from __future__ import annotations

import pytest

from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.replicas.versions import MAX_GENERATIONS, ObjectVersions, number_of

KINDS = ("ingresses", "endpointslices")


class World:
    """One replica's objects; `read` is up to which version each kind was read."""

    def __init__(self) -> None:
        self.read = dict.fromkeys(KINDS, 0)
        self.versions = ObjectVersions(lambda: KINDS, self.read.__getitem__)

    def event(self, kind: str, version: int, effect: Effect) -> None:
        self.read[kind] = version
        self.versions.changed(kind, version, effect)


def test_a_promise_needs_what_was_worth_a_publication_and_no_more() -> None:
    world = World()
    world.event("ingresses", 7, Effect.EVERYTHING)
    world.event("ingresses", 8, Effect.NOTHING)
    world.versions.published(1, Effect.EVERYTHING)
    assert world.versions.needs(1) == {"ingresses": 7}


def test_what_was_read_is_acknowledged_with_the_publication_that_follows_it() -> None:
    world = World()
    world.event("ingresses", 7, Effect.NOTHING)
    world.event("endpointslices", 9, Effect.EVERYTHING)
    world.versions.published(1, Effect.EVERYTHING)
    assert world.versions.acknowledged(lambda generation: True) == (1, {"ingresses": 7, "endpointslices": 9})


def test_what_is_worth_nothing_is_acknowledged_as_soon_as_it_is_read() -> None:
    world = World()
    world.versions.published(1, Effect.EVERYTHING)
    world.event("ingresses", 7, Effect.NOTHING)
    assert world.versions.acknowledged(lambda generation: True)[1]["ingresses"] == 7


def test_a_change_that_is_not_published_is_not_acknowledged() -> None:
    world = World()
    world.event("ingresses", 7, Effect.EVERYTHING)
    world.versions.published(1, Effect.EVERYTHING)
    world.event("ingresses", 8, Effect.EVERYTHING)
    world.event("endpointslices", 9, Effect.ENDPOINTS)
    world.versions.published(2, Effect.ENDPOINTS)
    assert world.versions.acknowledged(lambda generation: True) == (2, {"ingresses": 7, "endpointslices": 9})
    assert world.versions.needs(2) == {"ingresses": 7, "endpointslices": 9}


def test_an_older_publication_that_all_have_counts_for_what_it_contains() -> None:
    world = World()
    for generation in (1, 2, 3):
        world.event("ingresses", generation * 10, Effect.EVERYTHING)
        world.versions.published(generation, Effect.EVERYTHING)
    assert world.versions.acknowledged(lambda generation: generation <= 2) == (
        2,
        {"ingresses": 20, "endpointslices": 0},
    )


def test_nothing_is_acknowledged_while_somebody_has_nothing() -> None:
    world = World()
    world.versions.published(1, Effect.EVERYTHING)
    assert world.versions.acknowledged(lambda generation: False) == (-1, {})


def test_a_publication_that_is_forgotten_needs_what_the_oldest_known_one_does() -> None:
    world = World()
    for generation in range(1, MAX_GENERATIONS + 3):
        world.event("ingresses", generation, Effect.EVERYTHING)
        world.versions.published(generation, Effect.EVERYTHING)
    assert world.versions.needs(1) == {"ingresses": 3}
    assert world.versions.newest == MAX_GENERATIONS + 2


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("", 0), ("opaque-7", 0), ("-1", 0), ("٣", 0)])
def test_versions_that_are_no_numbers_order_nothing(text: str, number: int) -> None:
    assert number_of(text) == number
