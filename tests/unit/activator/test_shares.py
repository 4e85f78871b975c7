"""Whose pods are whose, where several activators serve a revision."""

from __future__ import annotations

import pytest

from eventmesh.activator.shares import ALONE, Place, place_among
from eventmesh.kube.api import Object
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.snapshot import Snapshot

PODS = tuple("abcdefgh")


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        (0, ["", "", ""]),
        (1, ["a", "a", "a"]),
        (2, ["a", "b", "a"]),
        (3, ["a", "b", "c"]),
        (5, ["ad", "be", "c"]),
        (6, ["ab", "cd", "ef"]),
        (8, ["abg", "cdh", "ef"]),
    ],
)
def test_pods_are_dealt_out_as_knatives_activators_do(pods: int, expected: list[str]) -> None:
    assert ["".join(Place(index, 3).of(PODS[:pods])) for index in range(3)] == expected


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("pods", range(9))
def test_every_pod_is_somebodys_and_nobody_elses_unless_there_are_too_few(pods: int, count: int) -> None:
    dealt = [pod for index in range(count) for pod in Place(index, count).of(PODS[:pods])]
    assert set(dealt) == set(PODS[:pods])
    if pods >= count:
        assert len(dealt) == pods


def cluster(name: str, slots: int, *, hold: bool = True) -> Cluster:
    endpoints = tuple(Endpoint(f"10.0.0.{number}:8012") for number in (2, 1))
    return Cluster(name, endpoints, hold=hold, max_requests_per_endpoint=slots)


def test_only_what_has_slots_to_count_is_divided() -> None:
    whole = Snapshot("1", clusters=(cluster("ns/one", 1), cluster("ns/any", 0), cluster("ns/svc:80", 1, hold=False)))
    one, other = Place(0, 2).narrowed(whole), Place(1, 2).narrowed(whole)
    assert [endpoint.address for endpoint in one.clusters[0].endpoints] == ["10.0.0.1:8012"]
    assert [endpoint.address for endpoint in other.clusters[0].endpoints] == ["10.0.0.2:8012"]
    assert one.clusters[1:] == other.clusters[1:] == whole.clusters[1:]
    assert ALONE.narrowed(whole) is whole


def piece(kind: str, *addresses: str, ready: bool | None = True) -> Object:
    return {
        "addressType": kind,
        "endpoints": [{"addresses": [one], "conditions": {"ready": ready}} for one in addresses],
    }


def test_an_activator_finds_itself_among_the_addresses_that_are_ready_in_whatever_slices_they_are() -> None:
    pieces = [piece("IPv4", "10.0.0.3", "10.0.0.1"), piece("IPv4", "10.0.0.2", ready=None)]
    pieces.append(piece("IPv4", "10.0.0.0", ready=False))
    assert [place_among(pieces, f"10.0.0.{own}") for own in (1, 2, 3)] == [Place(0, 3), Place(1, 3), Place(2, 3)]
    assert place_among(pieces, "10.0.0.0") == place_among(pieces, "") == ALONE


@pytest.mark.parametrize(("own", "index"), [("10.0.0.2", 1), ("fd00::1", 0)])
def test_a_service_of_two_address_families_counts_each_activator_once(own: str, index: int) -> None:
    pieces = [piece("IPv4", "10.0.0.1", "10.0.0.2"), piece("IPv6", "fd00::1", "fd00::2")]
    assert place_among(pieces, own) == Place(index, 2)
