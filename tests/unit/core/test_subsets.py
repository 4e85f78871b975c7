"""A route picks out endpoints by their metadata, and falls back as its cluster says. Virtual time."""

from __future__ import annotations

import pytest

from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.policy import Fallback, Labels, Subsets
from tests.unit.core.balanced import asked, hashing
from tests.unit.core.requests import status

VERSIONS = tuple(
    Endpoint(f"10.0.{number}.1:80", metadata=(("stage", '"prod"'), ("version", f'"{number}"'))) for number in (1, 2)
)
SUBSETS = Subsets((("version",), ("stage", "version")))


@pytest.mark.parametrize(
    ("subset", "addresses"),
    [
        ((("version", '"2"'),), {"10.0.2.1:80"}),
        ((("version", '"1"'), ("stage", '"prod"')), {"10.0.1.1:80"}),
    ],
)
def test_a_subset_is_chosen_by_metadata(subset: Labels, addresses: set[str]) -> None:
    mesh = hashing(Cluster("up", VERSIONS, subsets=SUBSETS), subset=subset)
    assert {asked(mesh) for _ in range(4)} == addresses


@pytest.mark.parametrize(
    ("fallback", "default", "addresses"),
    [
        (Fallback.NONE, (), None),
        (Fallback.ANY, (), {"10.0.1.1:80", "10.0.2.1:80"}),
        (Fallback.DEFAULT, (("version", '"1"'),), {"10.0.1.1:80"}),
    ],
)
@pytest.mark.parametrize("subset", [(), (("version", '"3"'),), (("stage", '"prod"'),)])
def test_without_its_subset_a_request_falls_back(
    subset: Labels, fallback: Fallback, default: Labels, addresses: set[str] | None
) -> None:
    mesh = hashing(Cluster("up", VERSIONS, subsets=Subsets(SUBSETS.selectors, fallback, default)), subset=subset)
    if addresses is None:
        client = mesh.connect()
        client.says(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert status(client) == 503
    else:
        assert {asked(mesh) for _ in range(4)} == addresses
