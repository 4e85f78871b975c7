"""Which endpoint a call gets, for each protocol of whole frames: Bolt, Dubbo 2, a declared one. Virtual time."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from eventmesh.model.cluster import Balancing, Endpoint
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import HashOn, HashPart, Subsets
from eventmesh.model.route import Forward, Route, WeightedCluster
from tests.unit.core.frames import FRAMES, Frames, one_at_a_time
from tests.unit.core.test_frame_policies import MANY, USER
from tests.unit.core.test_retries import counters

each = pytest.mark.parametrize("frames", FRAMES, ids=lambda frames: frames.name)


@each
def test_endpoints_take_turns(frames: Frames) -> None:
    turns = one_at_a_time(frames.mesh(frames.cluster("up", *MANY[:3], balancing=Balancing.ROUND_ROBIN)), frames, 9)
    assert turns[:3] == turns[3:6] == turns[6:] and set(turns) == set(MANY[:3])


@each
def test_endpoints_are_drawn_by_lot(frames: Frames) -> None:
    drawn = one_at_a_time(frames.mesh(frames.cluster("up", *MANY, balancing=Balancing.RANDOM)), frames, 200)
    counted = Counter(drawn)
    assert set(counted) == set(MANY) and max(counted.values()) < 80


@each
def test_of_two_endpoints_the_less_loaded_gets_the_call(frames: Frames) -> None:
    mesh = frames.mesh(frames.cluster("up", *MANY[:2], balancing=Balancing.LEAST_REQUEST))
    caller = mesh.connect()
    for id_ in range(40):
        caller.says(frames.call(id_, "find", {}))
    # Nobody answers. Drawn blindly, two shares of forty differ by six on average.
    size = len(frames.call(0, "find", {}))
    assert all(abs(len(mesh.dialled().takes()) // size - 20) <= 2 for _ in range(2))


@each
def test_in_a_panic_all_endpoints_get_calls(frames: Frames) -> None:
    endpoints = (Endpoint(MANY[0], healthy=False), Endpoint(MANY[1]))
    for percent, expected in ((60, set(MANY[:2])), (50, {MANY[1]})):
        mesh = frames.mesh(dataclasses.replace(frames.cluster(panic_percent=percent), endpoints=endpoints))
        assert set(one_at_a_time(mesh, frames, 6)) == expected
        assert counters(mesh)["lb_healthy_panic"] == (6 if percent == 60 else 0)


@each
def test_localities_share_by_their_weights(frames: Frames) -> None:
    near = (Endpoint(MANY[0], locality="near", locality_weight=9),)
    far = tuple(Endpoint(address, locality="far", locality_weight=1) for address in MANY[1:])
    mesh = frames.mesh(dataclasses.replace(frames.cluster(locality_weighted=True), endpoints=near + far))
    counted = Counter(one_at_a_time(mesh, frames, 400))
    assert abs(counted[MANY[0]] - 360) < 25 and len(counted) == 5


@each
def test_calls_are_hashed_by_their_headers(frames: Frames) -> None:
    action = Forward((WeightedCluster("up"),), hash_on=(HashOn(HashPart.HEADER, USER),))
    cluster = frames.cluster("up", *MANY, balancing=Balancing.MAGLEV)
    seen = set()
    for user in range(12):
        mesh = frames.mesh(cluster, routes=(Route(RouteMatch(), action),))
        (address,) = set(one_at_a_time(mesh, frames, 3, {USER: str(user)}))
        seen.add(address)
    assert len(seen) > 1


@each
def test_a_subset_is_chosen_by_metadata(frames: Frames) -> None:
    stages = zip(MANY, "abcde", strict=True)
    endpoints = tuple(Endpoint(address, metadata=(("stage", name),)) for address, name in stages)
    cluster = dataclasses.replace(frames.cluster(), endpoints=endpoints, subsets=Subsets((("stage",),)))
    action = Forward((WeightedCluster("up", subset=(("stage", "c"),)),))
    mesh = frames.mesh(cluster, routes=(Route(RouteMatch(), action),))
    assert set(one_at_a_time(mesh, frames, 6)) == {MANY[2]}


@each
def test_the_next_priority_takes_what_the_first_cannot(frames: Frames) -> None:
    endpoints = (Endpoint(MANY[0], healthy=False), Endpoint(MANY[1], priority=1))
    mesh = frames.mesh(dataclasses.replace(frames.cluster(), endpoints=endpoints))
    assert set(one_at_a_time(mesh, frames, 4)) == {MANY[1]}
