"""Clusters for addresses outside the mesh."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.activator.broker.triggers import Peer
from eventmesh.activator.subscribers import TABLES, outside
from eventmesh.model.listener import WireProtocol
from eventmesh.model.tls import NameKind

VECTORS = Path(__file__).parents[2] / "vectors" / "tls"
AUTHORITY = (VECTORS / "authority.pem").read_text()


def test_only_what_is_outside_gets_a_cluster_and_each_authority_one_of_its_own() -> None:
    other = (VECTORS / "stranger.pem").read_text()
    found = outside(
        [
            ("http://shop.default.svc.cluster.local/", Peer()),
            ("http://hook.test/a", Peer()),
            ("http://hook.test/b", Peer()),
            ("https://hook.test/", Peer(authorities=AUTHORITY)),
            ("https://hook.test/", Peer(authorities=other)),
        ]
    )
    addresses = [cluster.endpoints[0].address for cluster in found.clusters]
    assert sorted(addresses) == ["hook.test:443", "hook.test:443", "hook.test:80"]
    tls = [cluster.tls for cluster in found.clusters if cluster.tls is not None]
    assert {one.ca for one in tls} == {AUTHORITY, other}
    assert {(name.kind, name.text) for one in tls for name in one.names} == {(NameKind.DNS, "hook.test")}


def test_one_whose_authorities_the_engine_does_not_take_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = outside([("https://hook.test/", Peer(authorities="no certificate")), ("http://other.test/", Peer())])
    assert [cluster.endpoints[0].address for cluster in found.clusters] == ["other.test:80"]
    assert len(caplog.records) == 1


def test_an_address_is_spoken_to_in_the_protocol_of_its_method_and_the_mesh_by_tables_of_its_own() -> None:
    spoken = (WireProtocol.HTTP1, WireProtocol.HTTP2, WireProtocol.BOLT)
    found = outside([(uri, Peer(speaks=one)) for one in spoken for uri in ("http://hook.test:9/", "http://a.b.svc/")])
    assert {cluster.protocol for cluster in found.clusters} == set(spoken)
    assert not {table.name for table in found.route_tables} & set(TABLES)
