"""Which endpoint a request gets over HTTP/2. Virtual time."""

from __future__ import annotations

import dataclasses
from collections import Counter

from eventmesh.model.cluster import Balancing, Endpoint
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import Subsets
from eventmesh.model.route import Forward, Route, WeightedCluster
from tests.unit.core.http2_world import MANY, World, cluster
from tests.unit.core.test_retries import counters


def test_endpoints_take_turns() -> None:
    turns = World(cluster("up", *MANY[:3], balancing=Balancing.ROUND_ROBIN)).one_at_a_time(9)
    assert turns[:3] == turns[3:6] == turns[6:] and set(turns) == set(MANY[:3])


def test_endpoints_are_drawn_by_lot() -> None:
    counted = Counter(World(cluster("up", *MANY, balancing=Balancing.RANDOM)).one_at_a_time(200))
    assert set(counted) == set(MANY) and max(counted.values()) < 80


def test_of_two_endpoints_the_less_loaded_gets_the_request() -> None:
    world = World(cluster("up", *MANY[:2], balancing=Balancing.LEAST_REQUEST))
    for _ in range(40):
        world.asks()
    assert abs(Counter(address for address, _ in world.asked())[MANY[0]] - 20) <= 2


def test_in_a_panic_all_endpoints_get_requests() -> None:
    endpoints = (Endpoint(MANY[0], healthy=False), Endpoint(MANY[1]))
    for percent, expected in ((60, set(MANY[:2])), (50, {MANY[1]})):
        world = World(dataclasses.replace(cluster(panic_percent=percent), endpoints=endpoints))
        assert set(world.one_at_a_time(6)) == expected
        assert counters(world.mesh)["lb_healthy_panic"] == (6 if percent == 60 else 0)


def test_the_next_priority_takes_what_the_first_cannot() -> None:
    endpoints = (Endpoint(MANY[0], healthy=False), Endpoint(MANY[1], priority=1))
    assert set(World(dataclasses.replace(cluster(), endpoints=endpoints)).one_at_a_time(4)) == {MANY[1]}


def test_localities_share_by_their_weights() -> None:
    near = (Endpoint(MANY[0], locality="near", locality_weight=9),)
    far = tuple(Endpoint(address, locality="far", locality_weight=1) for address in MANY[1:])
    world = World(dataclasses.replace(cluster(locality_weighted=True), endpoints=near + far))
    counted = Counter(world.one_at_a_time(400))
    assert abs(counted[MANY[0]] - 360) < 25 and len(counted) == 5


def test_a_subset_is_chosen_by_metadata() -> None:
    endpoints = tuple(
        Endpoint(address, metadata=(("stage", name),)) for address, name in zip(MANY, "abcde", strict=True)
    )
    subsets = dataclasses.replace(cluster(), endpoints=endpoints, subsets=Subsets((("stage",),)))
    action = Forward((WeightedCluster("up", subset=(("stage", "c"),)),))
    assert set(World(subsets, routes=(Route(RouteMatch(), action),)).one_at_a_time(6)) == {MANY[2]}
