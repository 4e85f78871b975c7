"""Tracing as Envoy spells it, in a listener and in a bootstrap, and as the mesh tells it by a cluster."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.tracing import Collector, OtlpProtocol, Tracing, Traffic
from eventmesh.xds.bootstrap import parse_bootstrap
from tests.unit.xds.documents import LISTENER, MANAGER, address, put, shop_document

OPENTELEMETRY = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig"
DETECTORS = "type.googleapis.com/envoy.extensions.tracers.opentelemetry.resource_detectors.v3"
GRPC = {
    "@type": OPENTELEMETRY,
    "service_name": "shop",
    "grpc_service": {
        "envoy_grpc": {"cluster_name": "otel", "authority": "otel.test"},
        "timeout": "0.25s",
        "initial_metadata": [{"key": "X-Key", "value": "k"}],
    },
    "resource_detectors": [
        {
            "name": "environment",
            "typed_config": {"@type": f"{DETECTORS}.EnvironmentResourceDetectorConfig"},
        }
    ],
}
HTTP = {
    "@type": OPENTELEMETRY,
    "http_service": {
        "http_uri": {"uri": "http://otel.test:4318/v1/traces?x=1", "cluster": "otel", "timeout": "1s"},
        "request_headers_to_add": [{"header": {"key": "Authorization", "value": "secret"}}],
    },
}


def with_tracing(tracing: object, common: object = None, metadata: object = None) -> dict[str, Any]:
    document = shop_document()
    otel = {
        "name": "otel",
        "load_assignment": {
            "cluster_name": "otel",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(4317)}}]}],
        },
    }
    if metadata is not None:
        otel["metadata"] = {"filter_metadata": {"eventmesh": {"tracing": metadata}}}
    document["static_resources"]["clusters"].append(otel)
    if tracing is not None:
        document = put(document, f"{MANAGER}.tracing", tracing)
    if common is not None:
        document["tracing"] = {"http": {"name": "envoy.tracers.opentelemetry", "typed_config": common}}
    return document


def provider(config: object) -> dict[str, Any]:
    return {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config}}


def read(document: dict[str, Any]) -> tuple[Tracing | None, Tracing | None]:
    """Return how the listener traces, and how everything else does."""
    snapshot = parse_bootstrap(json.dumps(document)).snapshot
    return snapshot.listeners[0].tracing, snapshot.tracing


def test_spans_go_to_a_cluster_over_grpc_or_http() -> None:
    tracing, common = read(with_tracing(provider(GRPC)))
    expected = Collector("otel", "otel.test", OtlpProtocol.GRPC, "/v1/traces", (("x-key", "k"),), "shop", 0.25)
    assert (tracing, common) == (Tracing(expected), None)
    tracing, _ = read(with_tracing(provider(HTTP)))
    headers = (("authorization", "secret"),)
    assert tracing == Tracing(
        Collector("otel", "otel.test:4318", OtlpProtocol.HTTP, "/v1/traces?x=1", headers, "", 1.0)
    )


def test_shares_are_told_in_per_cent() -> None:
    shares = {
        "client_sampling": {"value": 50},
        "random_sampling": {"value": 0.1},
        "overall_sampling": {},
        "max_path_tag_length": 64,
    }
    tracing, _ = read(with_tracing(provider(HTTP) | shares))
    assert tracing is not None
    told = (tracing.client_millionths, tracing.random_millionths, tracing.overall_millionths, tracing.max_text_bytes)
    assert told == (500_000, 1_000, 0, 64)


def test_a_listener_without_a_provider_uses_the_bootstraps() -> None:
    tracing, common = read(with_tracing({}, common=GRPC))
    assert tracing is not None and tracing.collector.cluster == "otel" and common is None
    assert read(with_tracing(None, common=GRPC)) == (None, None), "a listener that does not trace stays as it is"


def test_a_cluster_of_the_mesh_takes_the_spans_of_everything() -> None:
    said = {"protocol": "grpc", "sampling": 0.25, "authority": "otel:4317"}
    tracing, common = read(with_tracing(None, metadata=said))
    collector = Collector("otel", "otel:4317", OtlpProtocol.GRPC)
    assert (tracing, common) == (None, Tracing(collector, random_millionths=250_000))


def test_a_listeners_direction_is_envoys() -> None:
    document = put(shop_document(), f"{LISTENER}.traffic_direction", "OUTBOUND")
    assert parse_bootstrap(json.dumps(document)).snapshot.listeners[0].traffic is Traffic.OUTBOUND


ZIPKIN = {"name": "zipkin"}
BOTH = copy.deepcopy(GRPC) | {"http_service": HTTP["http_service"]}
NO_URI = {"@type": OPENTELEMETRY, "http_service": {"http_uri": {"uri": "otel:4318", "cluster": "otel"}}}
ELSEWHERE = {"@type": OPENTELEMETRY, "grpc_service": {"envoy_grpc": {"cluster_name": "nowhere"}}}


@pytest.mark.parametrize(
    ("tracing", "words"),
    [
        ({}, "tracing.provider: missing"),
        ({"provider": ZIPKIN}, "'zipkin' without typed_config is not supported"),
        (provider(BOTH), "needs grpc_service or http_service, one of them"),
        (provider({"@type": OPENTELEMETRY}), "needs grpc_service or http_service, one of them"),
        (provider(NO_URI), "http_uri.uri: 'otel:4318' is no absolute"),
        (provider(ELSEWHERE), "its spans go to the unknown cluster 'nowhere'"),
        (provider(GRPC) | {"random_sampling": {"value": 101}}, "random_sampling.value: 101.0 is out of range"),
        (provider(GRPC) | {"max_path_tag_length": 5_000}, "max_path_tag_length: 5000 is out of range"),
        (provider(GRPC) | {"spawn_upstream_span": True}, "spawn_upstream_span"),
        (provider(GRPC) | {"custom_tags": [{"tag": "a"}]}, "custom_tags"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_path(tracing: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(with_tracing(tracing)))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (True, "tracing: expected an object"),
        ({"protocol": "zipkin", "sampling": 1, "authority": "a"}, "tracing.protocol: expected grpc or http/protobuf"),
        ({"protocol": "grpc", "sampling": 2, "authority": "a"}, "tracing.sampling: expected a number from 0 to 1"),
        ({"protocol": "grpc", "sampling": 1}, "tracing.authority: missing"),
        ({"protocol": "grpc", "sampling": 1, "authority": "a", "x": 1}, "tracing.x: no such setting"),
    ],
)
def test_wrong_metadata_is_refused_by_its_path(said: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_bootstrap(json.dumps(with_tracing(None, metadata=said)))
    assert words in str(caught.value)
