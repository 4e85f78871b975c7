"""Clusters for addresses outside the mesh."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventmesh.activator.broker.triggers import Peer
from eventmesh.activator.subscribers import TABLES, Surroundings, ways
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.tls import NameKind

VECTORS = Path(__file__).parents[2] / "vectors" / "tls"
AUTHORITY = (VECTORS / "authority.pem").read_text()


def test_only_what_is_outside_gets_a_cluster_and_each_authority_one_of_its_own() -> None:
    other = (VECTORS / "stranger.pem").read_text()
    found = ways(
        [
            ("http://shop.default.svc.cluster.local/", Peer()),
            ("http://hook.test/a", Peer()),
            ("http://hook.test/b", Peer()),
            ("https://hook.test/", Peer(authorities=AUTHORITY)),
            ("https://hook.test/", Peer(authorities=other)),
        ],
        Surroundings(),
    )
    addresses = [cluster.endpoints[0].address for cluster in found.clusters]
    assert sorted(addresses) == ["hook.test:443", "hook.test:443", "hook.test:80"]
    tls = [cluster.tls for cluster in found.clusters if cluster.tls is not None]
    assert [one.ca.startswith((AUTHORITY, other)) for one in tls] == [True, True]
    assert {(name.kind, name.text) for one in tls for name in one.names} == {(NameKind.DNS, "hook.test")}


def test_bundles_and_the_machines_own_authorities_vouch_beside_those_of_an_address() -> None:
    other = (VECTORS / "stranger.pem").read_text()
    around = Surroundings(bundles=other)
    found = ways([("https://hook.test/", Peer(authorities=AUTHORITY)), ("https://10.0.0.1/", Peer("", other))], around)
    named, numbered = (cluster.tls for cluster in found.clusters if cluster.tls is not None)
    if not named.sni:
        named, numbered = numbered, named
    assert named.ca.startswith(f"{AUTHORITY}\n{other}\n") and len(named.ca) > len(AUTHORITY + other) + 2
    # The names in certificates prove nothing about a number: its own authorities alone do.
    assert numbered.ca == other


def test_https_inside_the_mesh_leads_to_this_process_or_to_the_endpoints_of_the_service() -> None:
    endpoints = (Endpoint("10.0.0.1:8443"), Endpoint("10.0.0.2:8443"))
    clusters = {"default/sink:443": Cluster("default/sink:443", endpoints)}
    around = Surroundings("", "127.0.0.1:8443", clusters)
    peer, job_sinks = Peer(authorities=AUTHORITY), "https://job-sink.knative-eventing.svc.cluster.local/default/jobs"
    (own,) = ways([(job_sinks, peer)], around).clusters
    assert own.endpoints == (Endpoint("127.0.0.1:8443"),)
    (sink,) = ways([("https://sink.default.svc.cluster.local/a", peer)], around).clusters
    assert sink.endpoints == endpoints and sink.tls is not None
    assert [name.text for name in sink.tls.names] == ["sink.default.svc.cluster.local"]
    assert ways([("https://none.default.svc.cluster.local/a", peer)], around).clusters == ()
    assert ways([(job_sinks, peer)], Surroundings()).clusters == ()


def test_one_whose_authorities_the_engine_does_not_take_is_left_out_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = ways(
        [("https://hook.test/", Peer(authorities="no certificate")), ("http://other.test/", Peer())], Surroundings()
    )
    assert [cluster.endpoints[0].address for cluster in found.clusters] == ["other.test:80"]
    assert len(caplog.records) == 1


def test_an_address_is_spoken_to_in_the_protocol_of_its_method_and_the_mesh_by_tables_of_its_own() -> None:
    spoken = (WireProtocol.HTTP1, WireProtocol.HTTP2, WireProtocol.BOLT)
    uris = ("http://hook.test:9/", "http://a.b.svc/")
    found = ways([(uri, Peer(speaks=one)) for one in spoken for uri in uris], Surroundings())
    assert {cluster.protocol for cluster in found.clusters} == set(spoken)
    assert not {table.name for table in found.route_tables} & set(TABLES)
