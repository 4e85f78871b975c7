"""Clusters and endpoints: where requests go in each mode, as each role sees it."""

from __future__ import annotations

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import ClusterDiscoveryType

from eventmesh.kube.objects import Key
from eventmesh.model.cluster import Balancing, Cluster
from eventmesh.xds.control import envoy
from eventmesh.xds.control.envoy import MAX_HELD_REQUESTS, Hold, Protocol
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.policy.values import ClusterPolicy, LoadBalancing
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.services import BROKER_CLUSTER, Clusters, Settings, resolve
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_cluster
from tests.unit.xds.control.dialogue import CDS, EDS
from tests.unit.xds.control.views import (
    built,
    cluster_of,
    hosts_of,
    ingress,
    path,
    revision,
    rule,
    serverless,
    service,
    slice_,
    split,
    world,
)

ACTIVATOR = {"127.0.0.2:8012"}


def read_back(resource: Resource) -> Cluster:
    """Return what our data plane makes of a published cluster."""
    return read_cluster(read_wire(message_type("envoy.config.cluster.v3.Cluster"), resource.body, "", []), []).cluster


POD = {"10.0.0.1:8012"}


def endpoints(watcher: Watcher, cluster: str, settings: Settings | None = None) -> tuple[set[str], set[str]]:
    """Return where a cluster leads: for gateways and sidecars, and for the activator."""
    builder = built(watcher, settings)
    sets = [builder.sets(Audience(role))[EDS] for role in (Role.GATEWAY, Role.ACTIVATOR)]
    return hosts_of(sets[0][cluster]), hosts_of(sets[1][cluster])


@pytest.mark.parametrize(
    ("mode", "pods", "expected"),
    [
        ("Serve", ["10.0.0.1"], (POD, POD)),
        ("Proxy", ["10.0.0.1"], (ACTIVATOR, POD)),
        ("Serve", [], (ACTIVATOR, set())),
        ("Proxy", [], (ACTIVATOR, set())),
    ],
)
def test_a_revision_leads_to_its_pods_or_to_the_activator(
    mode: str, pods: list[str], expected: tuple[set[str], set[str]]
) -> None:
    watcher = world(serverless=[serverless("rev", mode)], slice=[slice_("rev-private", *pods, port=8012)])
    assert endpoints(watcher, "ns/rev") == expected


def test_several_activators_all_take_part() -> None:
    settings = Settings(activators=(("10.1.0.1", 8012), ("10.1.0.2", 8012)))
    watcher = world(serverless=[serverless("rev", "Proxy")])
    assert endpoints(watcher, "ns/rev", settings)[0] == {"10.1.0.1:8012", "10.1.0.2:8012"}


def test_pods_that_are_not_ready_take_no_requests() -> None:
    watcher = world(serverless=[serverless("rev")], slice=[slice_("rev-private", "10.0.0.1", port=8012, ready=False)])
    assert endpoints(watcher, "ns/rev") == (ACTIVATOR, set())


def test_metric_ports_of_a_revision_are_never_sent_requests() -> None:
    pieces = slice_("rev-private", "10.0.0.1", port=8012)
    pieces["ports"] = [{"name": "http-autometric", "port": 9090}, {"name": "http", "port": 8012}]
    watcher = world(serverless=[serverless("rev")], slice=[pieces])
    assert endpoints(watcher, "ns/rev")[0] == POD


def test_the_activators_cluster_holds_and_keeps_to_the_containers_concurrency() -> None:
    watcher = world(serverless=[serverless("rev")], revision=[revision("rev", 7)])
    plain, holding = Clusters(Settings()).clusters(watcher.of("ns"))
    assert cluster_of(plain["ns/rev"]).metadata is None
    said = cluster_of(holding["ns/rev"]).metadata
    assert said is not None
    fields = said.filter_metadata["eventmesh"].fields
    assert (fields["hold"].bool_value, fields["max_requests_per_endpoint"].number_value) == (True, 7.0)
    breakers = cluster_of(holding["ns/rev"]).circuit_breakers
    assert breakers is not None and breakers.thresholds[0].max_pending_requests == MAX_HELD_REQUESTS


@pytest.mark.parametrize(
    ("concurrency", "expected"),
    [
        (0, Balancing.LEAST_REQUEST),
        (1, Balancing.FIRST_AVAILABLE),
        (3, Balancing.FIRST_AVAILABLE),
        (4, Balancing.ROUND_ROBIN),
        (1000, Balancing.ROUND_ROBIN),
    ],
)
def test_the_activator_balances_by_containerconcurrency_as_knatives_does(concurrency: int, expected: Balancing) -> None:
    watcher = world(serverless=[serverless("rev")], revision=[revision("rev", concurrency)])
    plain, holding = Clusters(Settings()).clusters(watcher.of("ns"))
    assert read_back(holding["ns/rev"]).balancing is expected
    assert read_back(plain["ns/rev"]).balancing is Balancing.ROUND_ROBIN


def test_a_policys_balancing_holds_at_the_activator_in_place_of_knatives() -> None:
    wanted = ClusterPolicy(balancing=LoadBalancing.RANDOM)
    resource = envoy.cluster("ns/rev", Protocol.HTTP1, Hold(1), wanted)
    assert read_back(resource).balancing is Balancing.RANDOM


def test_the_protocol_follows_the_revision_and_the_port() -> None:
    ports = [
        {"name": "http", "port": 80},
        {"name": "http2-web", "port": 81},
        {"name": "x", "port": 82, "appProtocol": "kubernetes.io/h2c"},
        {"name": "bolt", "port": 12200},
        {"name": "udp", "port": 53, "protocol": "UDP"},
    ]
    watcher = world(serverless=[serverless("rev", protocol="h2c")], service=[service("svc", *ports)])
    plain, _ = Clusters(Settings()).clusters(watcher.of("ns"))
    http2 = {name for name, r in plain.items() if cluster_of(r).typed_extension_protocol_options}
    assert http2 == {"ns/rev", "ns/svc:81", "ns/svc:82"}
    said = cluster_of(plain["ns/svc:12200"]).metadata
    assert said is not None and said.filter_metadata["eventmesh"].fields["protocol"].string_value == "bolt"
    assert "ns/svc:53" not in plain


def test_a_service_port_leads_to_the_slices_that_carry_its_name() -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    pieces = [slice_("svc", "10.0.0.1", "10.0.0.2", port=8080, name="a")]
    watcher = world(service=[service("svc", *ports)], slice=pieces)
    assigned = built(watcher).sets(Audience(Role.GATEWAY))[EDS]
    assert hosts_of(assigned["ns/svc:80"]) == {"10.0.0.1:8080", "10.0.0.2:8080"}
    assert hosts_of(assigned["ns/svc:81"]) == set()


def test_an_external_name_is_resolved_by_the_data_plane() -> None:
    watcher = world(service=[service("svc", {"port": 443}, type="ExternalName", externalName="example.com")])
    clusters, _ = Clusters(Settings()).clusters(watcher.of("ns"))
    plain, _ = Clusters(Settings()).endpoints(watcher.of("ns"))
    assert cluster_of(clusters["ns/svc:443"]).type is ClusterDiscoveryType.LOGICAL_DNS
    assert "ns/svc:443" not in plain


def test_the_service_of_a_channel_leads_to_the_activators() -> None:
    host = "imc-dispatcher.knative-eventing.svc.cluster.local"
    watcher = world(service=[service("orders-kn-channel", {"port": 80}, type="ExternalName", externalName=host)])
    assert set(built(watcher).sets(Audience(Role.GATEWAY))[CDS]) == {BROKER_CLUSTER}
    assert resolve(watcher.of("ns"), Key("ns", "orders-kn-channel"), 80) == BROKER_CLUSTER


def test_brokers_take_events_in_at_the_activators() -> None:
    assert endpoints(world(), BROKER_CLUSTER) == ({"127.0.0.2:8080"}, {"127.0.0.2:8080"})


def test_what_has_not_changed_is_the_same_object_again() -> None:
    clusters = Clusters(Settings())
    watcher = world(service=[service("svc")], slice=[slice_("svc", "10.0.0.1")])
    before = clusters.endpoints(watcher.of("ns"))[0]["ns/svc:80"]
    watcher.slice(None, slice_("other", "10.0.0.9"))
    assert clusters.endpoints(watcher.of("ns"))[0]["ns/svc:80"] is before


def test_a_cluster_that_only_a_route_names_exists_and_is_empty() -> None:
    clusters = Clusters(Settings())
    watcher = world(ingress=[ingress("a", rule("a.test", paths=[path(split("missing", port="web"))]))])
    plain, holding = clusters.clusters(watcher.of("ns"))
    assert "ns/missing:web" in plain and "ns/missing:web" in holding
    assert hosts_of(clusters.endpoints(watcher.of("ns"))[0]["ns/missing:web"]) == set()
    watcher.service(None, service("missing", {"name": "web", "port": 80}))
    assert "ns/missing:web" not in clusters.clusters(watcher.of("ns"))[0]


def test_building_only_what_was_touched_gives_the_same_as_building_all() -> None:
    watcher = world(
        serverless=[serverless("rev", "Proxy"), serverless("other")],
        service=[service("svc"), service("still")],
        slice=[slice_("svc", "10.0.0.1"), slice_("still", "10.0.0.7"), slice_("rev-private", "10.0.0.2", port=8012)],
    )
    clusters = Clusters(Settings())
    clusters.clusters(watcher.of("ns"))
    before = clusters.endpoints(watcher.of("ns"))
    watcher.take_touched()
    watcher.slice(None, slice_("svc", "10.0.0.3"))
    watcher.serverless(None, serverless("rev", "Serve"))
    watcher.slice(None, slice_("other-private", "10.0.0.4", port=8012))
    touched = watcher.take_touched()
    assert {key.name for key in touched.endpoints} == {"svc", "rev", "other"}
    partial = clusters.endpoints(watcher.of("ns"), touched.endpoints)
    assert set(partial[0]) == {"ns/svc:80", "ns/rev", "ns/other"}
    together = tuple(known | moved for known, moved in zip(before, partial, strict=True))
    assert together == Clusters(Settings()).endpoints(watcher.of("ns"))
    watcher.slice(slice_("svc", "10.0.0.3"), None)
    gone = clusters.endpoints(watcher.of("ns"), watcher.take_touched().endpoints)
    assert hosts_of(gone[0]["ns/svc:80"]) == set()
