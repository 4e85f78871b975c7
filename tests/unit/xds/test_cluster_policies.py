"""Balancing, outlier detection and health checks of clusters as Envoy spells them."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.cluster import Balancing, Cluster, Endpoint
from eventmesh.model.policy import (
    Fallback,
    GrpcProbe,
    HashOn,
    HashPart,
    HealthCheck,
    HttpProbe,
    OutlierDetection,
    Subsets,
    TcpProbe,
)
from eventmesh.model.route import Forward
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_cluster
from eventmesh.xds.translate.route import read_route_table

CLUSTER, ROUTES = "envoy.config.cluster.v3.Cluster", "envoy.config.route.v3.RouteConfiguration"
TYPES = "type.googleapis.com/envoy.extensions.load_balancing_policies"
HTTP2: dict[str, Any] = {"http2_protocol_options": {}}
BOLT = {"metadata": {"filter_metadata": {"eventmesh": {"protocol": "bolt"}}}}


def _cluster(**fields: Any) -> Cluster:
    message = read_document(message_type(CLUSTER), {"name": "c", **fields}, "", [])
    again = read_wire(message_type(CLUSTER), write_wire(CLUSTER, message.fields), "", [])
    assert again == message
    return read_cluster(message, []).cluster


def _extension(name: str, **fields: Any) -> Cluster:
    config = {"@type": f"{TYPES}.{name}", **fields}
    policy = {"typed_extension_config": {"name": "p", "typed_config": config}}
    return _cluster(load_balancing_policy={"policies": [policy]})


@pytest.mark.parametrize("place", ["cluster", "options"])
def test_a_keep_alive_needs_the_time_of_its_answer(place: str) -> None:
    def with_keepalive(**terms: str) -> Cluster:
        http2 = {"http2_protocol_options": {"connection_keepalive": terms}}
        if place == "cluster":
            return _cluster(**http2)
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        typed = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": http2}
        return _cluster(typed_extension_protocol_options={options: typed})

    kept = with_keepalive(interval="30s", timeout="2.5s")
    assert (kept.keepalive_interval_s, kept.keepalive_timeout_s) == (30, 2.5)
    with pytest.raises(ConfigError, match=r"connection_keepalive\.timeout: missing"):
        with_keepalive(interval="30s")


def test_hash_policies_and_their_sizes() -> None:
    ring = _cluster(lb_policy="RING_HASH", ring_hash_lb_config={"minimum_ring_size": 9, "maximum_ring_size": 10})
    assert (ring.balancing, ring.min_ring_size, ring.max_ring_size) == (Balancing.RING_HASH, 9, 10)
    maglev = _cluster(lb_policy="MAGLEV", maglev_lb_config={"table_size": 101})
    assert (maglev.balancing, maglev.maglev_table_size) == (Balancing.MAGLEV, 101)
    assert _extension("ring_hash.v3.RingHash", minimum_ring_size=7).min_ring_size == 7
    assert _extension("maglev.v3.Maglev", table_size=7).maglev_table_size == 7


def test_panic_is_envoys_unless_requests_can_wait() -> None:
    assert _cluster().panic_percent == 50
    assert _cluster(common_lb_config={"healthy_panic_threshold": {"value": 12.5}}).panic_percent == 12.5
    assert _cluster(common_lb_config={"healthy_panic_threshold": {}}).panic_percent == 0
    assert _cluster(metadata={"filter_metadata": {"eventmesh": {"hold": True}}}).panic_percent == 0


def test_localities_are_weighted_when_asked_for() -> None:
    weighted: dict[str, Any] = {"locality_weighted_lb_config": {}}
    assert _cluster(common_lb_config=weighted).locality_weighted and not _cluster().locality_weighted
    assert _extension("round_robin.v3.RoundRobin", locality_lb_config=weighted).locality_weighted
    assert _extension("ring_hash.v3.RingHash", **weighted).locality_weighted


def test_endpoints_know_their_place() -> None:
    address = {"socket_address": {"address": "10.0.0.1", "port_value": 80}}
    labels = {"filter_metadata": {"envoy.lb": {"b": {"y": 1, "x": [True]}, "a": "1"}, "other": {"c": 1}}}
    group = {
        "locality": {"region": "r", "sub_zone": "s"},
        "priority": 2,
        "load_balancing_weight": 3,
        "lb_endpoints": [{"endpoint": {"address": address}, "metadata": labels}],
    }
    cluster = _cluster(load_assignment={"cluster_name": "c", "endpoints": [group]})
    metadata = (("a", '"1"'), ("b", '{"x": [true], "y": 1.0}'))
    assert cluster.endpoints == (Endpoint("10.0.0.1:80", 1, True, 2, "r//s", 3, metadata),)


def test_subsets_are_read() -> None:
    selectors = [{"keys": ["b", "a"]}, {"keys": ["a"]}]
    config = {"fallback_policy": "DEFAULT_SUBSET", "default_subset": {"a": "1"}, "subset_selectors": selectors}
    assert _cluster(lb_subset_config=config).subsets == Subsets((("a", "b"), ("a",)), Fallback.DEFAULT, (("a", '"1"'),))


def test_outlier_detection_has_envoys_defaults_and_every_setting_arrives() -> None:
    assert _cluster(outlier_detection={}).outlier == OutlierDetection()
    config = {
        "consecutive_5xx": 1,
        "consecutive_gateway_failure": 2,
        "interval": "3s",
        "base_ejection_time": "4s",
        "max_ejection_time": "5s",
        "max_ejection_percent": 6,
        "always_eject_one_host": True,
        "enforcing_consecutive_5xx": 7,
        "enforcing_consecutive_gateway_failure": 8,
        "enforcing_success_rate": 9,
        "success_rate_minimum_hosts": 10,
        "success_rate_request_volume": 11,
        "success_rate_stdev_factor": 12,
        "enforcing_failure_percentage": 13,
        "failure_percentage_threshold": 14,
        "failure_percentage_minimum_hosts": 15,
        "failure_percentage_request_volume": 16,
    }
    expected = OutlierDetection(1, 2, 3.0, 4.0, 5.0, 6, True, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
    assert _cluster(outlier_detection=config).outlier == expected


TERMS = {"timeout": "1s", "interval": "5s", "unhealthy_threshold": 2, "healthy_threshold": 3}


@pytest.mark.parametrize(
    ("how", "fields", "probe"),
    [
        ({"http_health_check": {"path": "/h"}}, {}, HttpProbe("/h")),
        (
            {
                "http_health_check": {
                    "path": "/h",
                    "host": "x",
                    "method": "HEAD",
                    "expected_statuses": [{"start": 200, "end": 300}],
                }
            },
            HTTP2,
            HttpProbe("/h", "x", "HEAD", ((200, 300),)),
        ),
        ({"grpc_health_check": {"service_name": "s", "authority": "a"}}, HTTP2, GrpcProbe("s", "a")),
        ({"tcp_health_check": {}}, BOLT, TcpProbe()),
    ],
)
def test_health_checks_are_read(how: dict[str, Any], fields: dict[str, Any], probe: object) -> None:
    check = _cluster(health_checks=[{**TERMS, **how}], **fields).health_check
    assert check == HealthCheck(probe, 1.0, 5.0, 5.0, 2, 3)  # type: ignore[arg-type]


def _hash_on(*policies: dict[str, Any]) -> tuple[HashOn, ...]:
    action = {"cluster": "a", "hash_policy": list(policies)}
    host = {"name": "h", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}
    message = read_document(message_type(ROUTES), {"name": "t", "virtual_hosts": [host]}, "", [])
    found = read_route_table(message, []).virtual_hosts[0].routes[0].action
    assert isinstance(found, Forward)
    return found.hash_on


def test_what_is_hashed_is_read() -> None:
    assert _hash_on(
        {"header": {"header_name": "X-User"}, "terminal": True},
        {"cookie": {"name": "Session"}},
        {"query_parameter": {"name": "q"}},
        {"connection_properties": {"source_ip": True}},
    ) == (
        HashOn(HashPart.HEADER, "x-user", terminal=True),
        HashOn(HashPart.COOKIE, "Session"),
        HashOn(HashPart.QUERY, "q"),
        HashOn(HashPart.SOURCE_IP),
    )
    for policy, path in (({"connection_properties": {}}, ""), ({"cookie": {"name": ""}}, ".cookie.name")):
        with pytest.raises(ConfigError) as caught:
            _hash_on(policy)
        assert caught.value.path == f"virtual_hosts[0].routes[0].route.hash_policy[0]{path}"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"lb_policy": "CLUSTER_PROVIDED"}, "lb_policy"),
        ({"ring_hash_lb_config": {"minimum_ring_size": 0}}, "ring_hash_lb_config.minimum_ring_size"),
        ({"ring_hash_lb_config": {"maximum_ring_size": 8_388_609}}, "ring_hash_lb_config.maximum_ring_size"),
        ({"ring_hash_lb_config": {"hash_function": "MURMUR_HASH_2"}}, "ring_hash_lb_config.hash_function"),
        ({"maglev_lb_config": {"table_size": 100}}, "maglev_lb_config.table_size"),
        (
            {"common_lb_config": {"healthy_panic_threshold": {"value": 101}}},
            "common_lb_config.healthy_panic_threshold.value",
        ),
        ({"lb_subset_config": {"subset_selectors": [{}]}}, "lb_subset_config.subset_selectors[0].keys"),
        (
            {"lb_subset_config": {}, "common_lb_config": {"locality_weighted_lb_config": {}}},
            "lb_subset_config.locality_weight_aware",
        ),
        ({"outlier_detection": {"interval": "0s"}}, "outlier_detection.interval"),
        ({"outlier_detection": {"max_ejection_percent": 101}}, "outlier_detection.max_ejection_percent"),
        (
            {"outlier_detection": {"split_external_local_origin_errors": True}},
            "outlier_detection.split_external_local_origin_errors",
        ),
        ({"health_checks": [TERMS]}, "health_checks[0]"),
        ({"health_checks": [{**TERMS, "tcp_health_check": {}}] * 2}, "health_checks[1]"),
        ({"health_checks": [{**TERMS, "timeout": "0s", "tcp_health_check": {}}]}, "health_checks[0].timeout"),
        (
            {"health_checks": [{**TERMS, "healthy_threshold": 0, "tcp_health_check": {}}]},
            "health_checks[0].healthy_threshold",
        ),
        (
            {"health_checks": [{**TERMS, "http_health_check": {"path": "x"}}]},
            "health_checks[0].http_health_check.path",
        ),
        (
            {"health_checks": [{**TERMS, "http_health_check": {"path": "/", "expected_statuses": [{"start": 300}]}}]},
            "health_checks[0].http_health_check.expected_statuses[0]",
        ),
        (
            {"health_checks": [{**TERMS, "http_health_check": {"path": "/"}}], **BOLT},
            "health_checks[0].http_health_check",
        ),
        ({"health_checks": [{**TERMS, "grpc_health_check": {}}]}, "health_checks[0].grpc_health_check"),
        (
            {"health_checks": [{**TERMS, "grpc_health_check": {"service_name": "x" * 121}}], **HTTP2},
            "health_checks[0].grpc_health_check.service_name",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_told_by_its_path(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _cluster(**fields)
    assert caught.value.path == path
