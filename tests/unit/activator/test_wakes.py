"""Which revisions behind an address are asleep, and that they are poked."""

from __future__ import annotations

from dataclasses import replace

from eventmesh.activator.wakes import asleep_behind, waker
from eventmesh.model.cluster import Cluster, Endpoint
from tests.unit.activator.test_demand import HELLO, SNAPSHOT, SPLIT

ASLEEP = replace(
    SNAPSHOT,
    clusters=tuple(
        Cluster(f"default/{name}", hold=True) for name in ("hello-1", "split-1", "split-2", "other", "tagged")
    ),
)


def test_what_has_no_endpoint_is_asleep_and_is_poked() -> None:
    poked: list[str] = []
    wake = waker(lambda: ASLEEP, poked.append)
    assert wake(f"http://{HELLO}/a")
    assert not wake("http://192.0.2.1:8080/")
    assert poked == ["default/hello-1"]


def test_of_a_split_only_the_larger_part_is_woken() -> None:
    assert asleep_behind(f"http://{SPLIT}/", ASLEEP) == ["default/split-1"]


def test_what_has_an_endpoint_or_never_holds_is_left_alone() -> None:
    awake = replace(ASLEEP, clusters=(Cluster("default/hello-1", (Endpoint("127.0.0.1:1"),), hold=True),))
    plain = replace(ASLEEP, clusters=(Cluster("default/hello-1"),))
    assert asleep_behind(f"http://{HELLO}/", awake) == asleep_behind(f"http://{HELLO}/", plain) == []
