"""`/clusters` in both of its forms, of one engine and of several."""

from __future__ import annotations

import json
from typing import Any

from eventmesh.dataplane.cluster_statuses import to_document, to_text, together
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.snapshot import Snapshot

SNAPSHOT = Snapshot("1", clusters=(Cluster("up", (Endpoint("[::1]:80"),), max_requests=7, max_pending=8),))


def endpoint(address: str = "[::1]:80", *flags: str, rate: float | None = None, **counts: int) -> dict[str, Any]:
    counters = dict.fromkeys(("cx_connect_fail", "cx_total", "rq_error", "rq_success", "rq_timeout", "rq_total"), 0)
    gauges = dict.fromkeys(("cx_active", "rq_active", "rq_pending_active"), 0)
    return {
        "address": address,
        "counters": counters | {name: count for name, count in counts.items() if name in counters},
        "gauges": gauges | {name: count for name, count in counts.items() if name in gauges},
        "flags": list(flags),
        "weight": 1,
        "priority": 0,
        "locality": "here/a/",
        "canary": False,
        "success_rate": rate,
    }


def told(*endpoints: dict[str, Any], name: str = "up", judges: bool = False, average: float | None = None) -> bytes:
    row = {"name": name, "judges": judges, "success_rate_average": average, "success_rate_threshold": average}
    return json.dumps([row | {"endpoints": endpoints}]).encode()


def documented(*parts: bytes) -> dict[str, Any]:
    """Return the status of the one cluster that is told of."""
    document: dict[str, Any] = to_document(together(parts), SNAPSHOT)
    (status,) = document["cluster_statuses"]
    assert isinstance(status, dict)
    return status


def lines(*parts: bytes) -> list[str]:
    return to_text(together(parts), SNAPSHOT).splitlines()


def test_an_endpoint_has_a_line_for_each_thing_that_is_known() -> None:
    assert lines(told(endpoint(rq_total=2, cx_active=1))) == [
        "up::observability_name::up",
        "up::default_priority::max_connections::1024",
        "up::default_priority::max_pending_requests::8",
        "up::default_priority::max_requests::7",
        "up::default_priority::max_retries::3",
        "up::[::1]:80::cx_active::1",
        "up::[::1]:80::cx_connect_fail::0",
        "up::[::1]:80::cx_total::0",
        "up::[::1]:80::rq_active::0",
        "up::[::1]:80::rq_error::0",
        "up::[::1]:80::rq_pending_active::0",
        "up::[::1]:80::rq_success::0",
        "up::[::1]:80::rq_timeout::0",
        "up::[::1]:80::rq_total::2",
        "up::[::1]:80::health_flags::healthy",
        "up::[::1]:80::weight::1",
        "up::[::1]:80::region::here",
        "up::[::1]:80::zone::a",
        "up::[::1]:80::sub_zone::",
        "up::[::1]:80::canary::false",
        "up::[::1]:80::priority::0",
        "up::[::1]:80::success_rate::-1",
    ]


def test_several_engines_are_told_as_one_and_of_what_they_judge_apart_the_worst() -> None:
    one = endpoint("unix:/a", "failed_eds_health", rate=90.5, rq_total=2, rq_active=1)
    other = endpoint("unix:/a", "failed_eds_health", "failed_outlier_check", rate=40.0, rq_total=3)
    found = lines(told(one, judges=True, average=90.5), told(other, endpoint("10.0.0.1:1"), judges=True, average=60.0))
    assert {
        "up::/a::rq_total::5",
        "up::/a::rq_active::1",
        "up::/a::health_flags::/failed_eds_health/failed_outlier_check",
        "up::/a::success_rate::40",
        "up::10.0.0.1:1::rq_total::0",
        "up::outlier::success_rate_average::60",
        "up::outlier::success_rate_ejection_threshold::60",
    } <= set(found)
    assert len(found) == len(set(found))


def test_a_rate_that_only_one_engine_knows_is_told() -> None:
    assert "up::[::1]:80::success_rate::75" in lines(told(endpoint()), told(endpoint(rate=75.0)))


def test_the_document_leaves_out_what_has_its_default_value() -> None:
    status = documented(told(endpoint("unix:/a", "failed_active_hc", "failed_eds_health", rate=75.5, rq_error=4)))
    (host,) = status.pop("host_statuses")
    assert status == {
        "name": "up",
        "observability_name": "up",
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 1024, "max_pending_requests": 8, "max_requests": 7, "max_retries": 3},
            ]
        },
    }
    assert {"name": "rq_error", "value": "4"} in host["stats"] and {"name": "rq_total"} in host["stats"]
    assert {"type": "GAUGE", "name": "cx_active"} in host["stats"]
    del host["stats"]
    assert host == {
        "address": {"pipe": {"path": "/a"}},
        "health_status": {"failed_active_health_check": True, "eds_health_status": "UNHEALTHY"},
        "weight": 1,
        "locality": {"region": "here", "zone": "a"},
        "success_rate": {"value": 75.5},
    }


def test_without_a_cluster_nothing_is_told() -> None:
    assert (to_text([], SNAPSHOT), to_document([], SNAPSHOT)) == ("", {})


def test_a_cluster_that_the_configuration_has_just_left_has_no_thresholds() -> None:
    assert lines(told(name="old")) == ["old::observability_name::old"]
    assert documented(told(name="old")) == {"name": "old", "observability_name": "old"}
