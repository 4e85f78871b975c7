"""The way to a control plane, as a bootstrap says it."""

from __future__ import annotations

import json

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.xds.bootstrap import AdsConfig, parse_bootstrap
from tests.unit.xds.documents import (
    ADS,
    indexed,
    put,
    shop_document,
)


def test_a_control_plane_is_reached_through_its_static_cluster() -> None:
    bootstrap = parse_bootstrap(json.dumps({**shop_document(), "dynamic_resources": ADS}))
    assert bootstrap.ads == AdsConfig(
        target="127.0.0.1:80", delta=True, listeners=True, clusters=True, node_on_first_message_only=True
    )


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
        ("dynamic_resources.lds_config", {"path": "/x"}, "dynamic_resources.lds_config.path"),
        ("dynamic_resources.cds_config", {}, "dynamic_resources.cds_config"),
        ("node.id", "", "node"),
    ],
)
def test_a_control_plane_that_cannot_be_used_is_told(path: str, value: object, told_at: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(put({**shop_document(), "dynamic_resources": ADS}, path, value)))
    assert caught.value.path == indexed(told_at)


def test_routes_by_rds_need_a_control_plane() -> None:
    document = shop_document()
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    del manager["route_config"]
    manager["rds"] = {"config_source": {"ads": {}}, "route_config_name": "public"}
    with pytest.raises(ConfigError, match="by rds"):
        parse_bootstrap(json.dumps(document))
    bootstrap = parse_bootstrap(json.dumps({**document, "dynamic_resources": ADS}))
    # The listener opens once its routes are there.
    assert (bootstrap.snapshot.listeners, bootstrap.resources.listeners[0].listener.route_table) == ((), "public")
