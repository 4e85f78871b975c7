from __future__ import annotations

import pytest

from eventmesh.xds.identity.spiffe import MAX_CHARS, MeshParts, SpiffeId, check_trust_domain


def test_an_id_is_read_as_it_is_written() -> None:
    found = SpiffeId("cluster.local", "shop", "robot")
    assert str(found) == "spiffe://cluster.local/ns/shop/sa/robot"
    assert SpiffeId.parse(str(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://cluster.local/ns/shop/sa/robot",
        "spiffe://cluster.local/ns/shop",
        "spiffe://cluster.local/ns/shop/sa/robot/more",
        "spiffe://cluster.local/ns/shop/sa/",
        "spiffe://CLUSTER/ns/shop/sa/robot",
        "spiffe://cluster.local/ns/../sa/robot\n",
        "spiffe://cluster.local/ns/shop/sa/" + "r" * MAX_CHARS,
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no spiffe://"):
        SpiffeId.parse(text)


def test_a_trust_domain_that_no_id_could_bear_is_refused() -> None:
    assert check_trust_domain("mesh.example.com") == "mesh.example.com"
    for text in ("", "Mesh", "a/b", "x" * 256):
        with pytest.raises(ValueError, match="trust domain"):
            check_trust_domain(text)


def test_the_meshs_own_parts_are_three_different_ones() -> None:
    parts = MeshParts.of("cluster.local")
    assert len({parts.gateway, parts.activator, parts.control}) == 3
