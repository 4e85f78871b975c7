"""Turns, lots, loads, priorities and localities: which endpoint a request gets. Virtual time."""

from __future__ import annotations

from collections import Counter

import pytest

from eventmesh.model.cluster import Balancing, Cluster, Endpoint
from tests.unit.core.balanced import MANY, asked
from tests.unit.core.playbook import Playbook, snapshot


def test_endpoints_take_turns() -> None:
    mesh = Playbook(snapshot(Cluster("up", MANY[:3], balancing=Balancing.ROUND_ROBIN)))
    turns = [asked(mesh) for _ in range(9)]
    assert turns[:3] == turns[3:6] == turns[6:] and len(set(turns)) == 3


def test_endpoints_are_drawn_by_lot() -> None:
    mesh = Playbook(snapshot(Cluster("up", MANY, balancing=Balancing.RANDOM)))
    counted = Counter(asked(mesh) for _ in range(200))
    assert len(counted) == 5 and max(counted.values()) < 80


def test_of_two_endpoints_the_less_loaded_gets_the_request() -> None:
    mesh = Playbook(snapshot(Cluster("up", MANY[:2], balancing=Balancing.LEAST_REQUEST)))
    for _ in range(40):
        mesh.connect().says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    # Drawn blindly, two shares of forty differ by six on average; one step apart needs a look at the load.
    assert abs(Counter(peer.address for peer in mesh.dials)[MANY[0].address] - 20) <= 2


PARTLY = tuple(Endpoint(f"10.0.1.{n}:80", healthy=n == 0) for n in range(2))
NEXT = (Endpoint("10.0.2.0:80", priority=1),)


def test_the_next_priority_takes_what_the_first_cannot() -> None:
    mesh = Playbook(snapshot(Cluster("up", PARTLY + NEXT)))
    counted = Counter(asked(mesh) for _ in range(300))
    assert set(counted) == {"10.0.1.0:80", "10.0.2.0:80"} and abs(counted["10.0.1.0:80"] - 210) < 35


def test_the_first_priority_takes_all_again_when_it_is_whole() -> None:
    mesh = Playbook(snapshot(Cluster("up", PARTLY + NEXT)))
    asked(mesh)
    mesh.apply(snapshot(Cluster("up", tuple(Endpoint(one.address) for one in PARTLY) + NEXT)))
    assert {asked(mesh) for _ in range(50)} == {endpoint.address for endpoint in PARTLY}


def test_localities_share_by_their_weights() -> None:
    near = (Endpoint("10.0.1.0:80", locality="near", locality_weight=9),)
    far = tuple(Endpoint(f"10.0.2.{n}:80", locality="far", locality_weight=1) for n in range(3))
    mesh = Playbook(snapshot(Cluster("up", near + far, locality_weighted=True)))
    counted = Counter(asked(mesh) for _ in range(400))
    assert abs(counted["10.0.1.0:80"] - 360) < 25 and len(counted) == 4


@pytest.mark.parametrize(
    ("cluster", "field"),
    [
        (Cluster("up", MANY, panic_percent=101.0), "panic_percent"),
        (Cluster("up", MANY, maglev_table_size=65_536), "maglev_table_size"),
        (Cluster("up", MANY, maglev_table_size=5_000_077), "maglev_table_size"),
        (Cluster("up", MANY, min_ring_size=0), "min_ring_size"),
        (Cluster("up", MANY, min_ring_size=10, max_ring_size=9), "min_ring_size"),
        (Cluster("up", MANY, max_ring_size=8_388_609), "max_ring_size"),
    ],
)
def test_what_cannot_be_is_refused_by_field(cluster: Cluster, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Playbook(snapshot(cluster))
