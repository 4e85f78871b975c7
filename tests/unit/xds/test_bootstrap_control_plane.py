"""The way to a control plane, as a bootstrap says it."""

from __future__ import annotations

import json

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.listener import WireProtocol
from eventmesh.xds.bootstrap import AdsConfig, parse_bootstrap
from tests.unit.xds.documents import MANAGER, ROUTER, TYPES, indexed, put, shop_document, subscribing

SERVICE = "dynamic_resources.ads_config.grpc_services.0"


def test_a_control_plane_is_reached_through_its_static_cluster() -> None:
    bootstrap = parse_bootstrap(json.dumps(subscribing(shop_document())))
    assert bootstrap.ads == AdsConfig(
        "control",
        delta=True,
        listeners=True,
        clusters=True,
        node_on_first_message_only=True,
        authority="127.0.0.1:18000",
    )


@pytest.mark.parametrize(
    ("target", "address", "authority"),
    [
        ("control.mesh:18000", "control.mesh:18000", "control.mesh:18000"),
        ("dns:///control.mesh:18000", "control.mesh:18000", "control.mesh:18000"),
        ("dns:control.mesh:18000", "control.mesh:18000", "control.mesh:18000"),
        ("ipv4:10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80"),
        ("ipv6:[::1]:80", "[::1]:80", "[::1]:80"),
        ("unix:/run/ads.sock", "unix:/run/ads.sock", "localhost"),
        ("unix:///run/ads.sock", "unix:/run/ads.sock", "localhost"),
    ],
)
def test_a_control_plane_given_by_its_address_gets_a_cluster_of_that_name(
    target: str, address: str, authority: str
) -> None:
    document = put(subscribing(shop_document()), SERVICE, {"google_grpc": {"target_uri": target}})
    bootstrap = parse_bootstrap(json.dumps(document))
    assert bootstrap.ads is not None
    assert (bootstrap.ads.cluster, bootstrap.ads.authority) == (target, authority)
    cluster = next(one for one in bootstrap.snapshot.clusters if one.name == target)
    assert (cluster.protocol, [one.address for one in cluster.endpoints]) == (WireProtocol.HTTP2, [address])


def test_the_stream_carries_the_metadata_and_the_authority_that_the_bootstrap_gives() -> None:
    document = put(subscribing(shop_document()), f"{SERVICE}.envoy_grpc.authority", "control.mesh")
    document = put(document, f"{SERVICE}.initial_metadata", [{"key": "x-tenant", "value": "shop"}])
    ads = parse_bootstrap(json.dumps(document)).ads
    assert ads is not None and (ads.authority, ads.metadata) == ("control.mesh", (("x-tenant", "shop"),))


def test_a_silent_control_plane_is_asked_whether_it_lives_unless_the_cluster_says_when() -> None:
    document = subscribing(shop_document())
    shop, control = parse_bootstrap(json.dumps(document)).snapshot.clusters
    assert (shop.keepalive_interval_s, control.keepalive_interval_s, control.keepalive_timeout_s) == (0, 310, 10)
    told = put(
        document,
        "static_resources.clusters.1.http2_protocol_options.connection_keepalive",
        {"interval": "30s", "timeout": "5s"},
    )
    _, control = parse_bootstrap(json.dumps(told)).snapshot.clusters
    assert (control.keepalive_interval_s, control.keepalive_timeout_s) == (30, 5)


def test_the_stream_cannot_bring_the_certificate_that_it_needs_itself() -> None:
    tls = {
        "name": "tls",
        "typed_config": {
            "@type": f"{TYPES}.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "tls_certificate_sds_secret_configs": [
                    {"name": "id", "sds_config": {"ads": {}, "resource_api_version": "V3"}}
                ]
            },
        },
    }
    document = put(subscribing(shop_document()), "static_resources.clusters.1.transport_socket", tls)
    with pytest.raises(ConfigError, match="names the secret 'id', which static_resources.secrets lacks"):
        parse_bootstrap(json.dumps(document))


@pytest.mark.parametrize(
    ("path", "value", "told_at"),
    [
        ("dynamic_resources.ads_config", None, "dynamic_resources.ads_config"),
        ("dynamic_resources.ads_config.api_type", "REST", "dynamic_resources.ads_config.api_type"),
        ("dynamic_resources.ads_config.grpc_services", [], "dynamic_resources.ads_config.grpc_services"),
        (
            "dynamic_resources.ads_config.grpc_services.0.envoy_grpc.cluster_name",
            "x",
            "dynamic_resources.ads_config.grpc_services.0.envoy_grpc.cluster_name",
        ),
        (
            "dynamic_resources.ads_config.grpc_services.0.envoy_grpc.cluster_name",
            "shop",
            "dynamic_resources.ads_config.grpc_services.0.envoy_grpc.cluster_name",
        ),
        (f"{SERVICE}.initial_metadata", [{"key": "X-Up", "value": ""}], f"{SERVICE}.initial_metadata.0.key"),
        (f"{SERVICE}.initial_metadata", [{"key": "grpc-x", "value": ""}], f"{SERVICE}.initial_metadata.0.key"),
        (f"{SERVICE}.initial_metadata", [{"key": "x", "value": "\u00e9"}], f"{SERVICE}.initial_metadata.0.value"),
        (SERVICE, {"google_grpc": {"target_uri": "nowhere"}}, f"{SERVICE}.google_grpc.target_uri"),
        ("dynamic_resources.lds_config", {"path": "/x"}, "dynamic_resources.lds_config.path"),
        ("dynamic_resources.cds_config", {}, "dynamic_resources.cds_config"),
        ("node.id", "", "node"),
    ],
)
def test_a_control_plane_that_cannot_be_used_is_told(path: str, value: object, told_at: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(put(subscribing(shop_document()), path, value)))
    assert caught.value.path == indexed(told_at)


def test_routes_by_rds_need_a_control_plane() -> None:
    document = shop_document()
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["route_config"]
    manager["rds"] = {"config_source": {"ads": {}}, "route_config_name": "public"}
    with pytest.raises(ConfigError, match="by rds"):
        parse_bootstrap(json.dumps(document))
    bootstrap = parse_bootstrap(json.dumps(subscribing(document)))
    # The listener opens once its routes are there.
    assert (bootstrap.snapshot.listeners, bootstrap.resources.listeners[0].listener.route_table) == ((), "public")


def test_filters_by_config_discovery_need_a_control_plane() -> None:
    fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    named = {"name": "faults", "config_discovery": {"config_source": {"ads": {}}, "type_urls": [fault]}}
    document = put(shop_document(), f"{MANAGER}.http_filters", [named, ROUTER])
    with pytest.raises(ConfigError, match="takes the filter 'faults' by config_discovery"):
        parse_bootstrap(json.dumps(document))
    bootstrap = parse_bootstrap(json.dumps(subscribing(document)))
    # The listener opens once the filter is there.
    assert bootstrap.snapshot.listeners == ()
