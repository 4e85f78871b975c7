"""A TrafficPolicy is read whole, or every wrong field of it is named at once."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.kube.admission import AdmissionRequest
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import TRAFFIC_POLICY
from eventmesh.xds.control.admission import CONTROL_ADMISSIONS
from eventmesh.xds.control.policy.reading import (
    DEFAULT_RETRY_ON,
    MAX_ATTEMPTS,
    MAX_TARGETS,
    read_policy,
)
from eventmesh.xds.control.policy.values import (
    ClusterPolicy,
    Fault,
    HashKind,
    HashOn,
    LoadBalancing,
    Mirror,
    Outliers,
    RateLimit,
    Retry,
    RoutePolicy,
    Target,
    TargetKind,
)
from tests.unit.xds.control.views import policy


def errors(**spec: Any) -> dict[str, str]:
    """Return what is wrong with a spec, by path."""
    read, found = read_policy(policy("p", **spec))
    assert (read is None) == bool(found)
    return {error.path: error.message for error in found}


def test_every_field_has_its_value() -> None:
    read, found = read_policy(
        policy(
            "p",
            timeouts={"request": "2s", "backendRequest": "500ms"},
            retry={"attempts": 3, "on": ["5xx", "reset"], "codes": [409], "backoff": "10ms"},
            circuitBreaker={"maxConnections": 1, "maxPendingRequests": 2, "maxRequests": 3, "maxRetries": 0},
            outlierDetection={
                **{"consecutive5xxErrors": 4, "consecutiveGatewayErrors": 3, "interval": "5s"},
                **{"baseEjectionTime": "20s", "maxEjectionPercent": 50},
            },
            loadBalancer={"type": "RingHash", "hashOn": {"header": "X-User"}},
        )
    )
    assert not found and read is not None
    assert (read.key, read.targets) == (Key("ns", "p"), (Target(TargetKind.SERVICE, "svc"),))
    retry = Retry(("5xx", "reset", "retriable-status-codes"), 3, (409,), 0.01)
    assert read.route == RoutePolicy(2.0, 0.5, retry, HashOn(HashKind.HEADER, "x-user"))
    assert read.cluster == ClusterPolicy(1, 2, 3, 0, LoadBalancing.RING_HASH, Outliers(4, 3, 5.0, 20.0, 50))


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"cookie": "Session"}, HashOn(HashKind.COOKIE, "Session")),
        ({"queryParameter": "user"}, HashOn(HashKind.QUERY_PARAMETER, "user")),
        ({"sourceIP": True}, HashOn(HashKind.SOURCE_IP)),
    ],
)
def test_a_request_is_hashed_by_one_thing(said: dict[str, Any], read: HashOn) -> None:
    found, _ = read_policy(policy("p", loadBalancer={"type": "Maglev", "hashOn": said}))
    assert found is not None and found.route.hash_on == read


def test_limits_and_faults_have_their_values() -> None:
    read, found = read_policy(
        policy(
            "p",
            rateLimit={"requests": 10, "per": "1m", "burst": 3},
            fault={"delay": {"fixed": "2s", "percent": 0.5}, "abort": {"status": 503}},
        )
    )
    assert not found and read is not None
    assert read.route.rate_limit == RateLimit(10, 60.0, 3)
    assert read.route.fault == Fault(2.0, 5_000, 503, 1_000_000)
    short, _ = read_policy(policy("p", rateLimit={"requests": 10}))
    assert short is not None and short.route.rate_limit == RateLimit(10, 1.0, 10)


def test_a_retry_without_words_tries_again_what_has_not_arrived() -> None:
    read, _ = read_policy(policy("p", retry={"attempts": 2}))
    assert read is not None and read.route.retry == Retry(DEFAULT_RETRY_ON, 2)


def test_no_timeout_is_a_timeout_that_is_said() -> None:
    read, _ = read_policy(policy("p", timeouts={"request": "0s"}))
    assert read is not None and read.route.request_timeout_s == 0.0


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, "spec"),
        ({"timeout": "5s"}, "spec.timeout"),
        ({"timeouts": {"request": "5"}}, "spec.timeouts.request"),
        ({"timeouts": {"request": "25h"}}, "spec.timeouts.request"),
        ({"timeouts": {"request": 5}}, "spec.timeouts.request"),
        ({"timeouts": {"idle": "5s"}}, "spec.timeouts.idle"),
        ({"timeouts": {"backendRequest": "1s"}}, "spec.timeouts.backendRequest"),
        ({"timeouts": {"request": "1s", "backendRequest": "2s"}, "retry": {}}, "spec.timeouts.backendRequest"),
        ({"timeouts": {"backendRequest": "0s"}, "retry": {}}, "spec.timeouts.backendRequest"),
        ({"timeouts": "5s"}, "spec.timeouts"),
        ({"retry": {"attempts": 0}}, "spec.retry.attempts"),
        ({"retry": {"attempts": MAX_ATTEMPTS + 1}}, "spec.retry.attempts"),
        ({"retry": {"attempts": True}}, "spec.retry.attempts"),
        ({"retry": {"on": ["always"]}}, "spec.retry.on[0]"),
        ({"retry": {"on": "5xx"}}, "spec.retry.on"),
        ({"retry": {"on": ["retriable-status-codes"]}}, "spec.retry.codes"),
        ({"retry": {"codes": [503, 200]}}, "spec.retry.codes[1]"),
        ({"retry": {"codes": [500] * 33}}, "spec.retry.codes"),
        ({"retry": {"backoff": "0s"}}, "spec.retry.backoff"),
        ({"circuitBreaker": {"maxRequests": 0}}, "spec.circuitBreaker.maxRequests"),
        ({"circuitBreaker": {"maxConnections": 2**32}}, "spec.circuitBreaker.maxConnections"),
        ({"circuitBreaker": {"maxStreams": 1}}, "spec.circuitBreaker.maxStreams"),
        ({"loadBalancer": {"type": "RingHash"}}, "spec.loadBalancer.hashOn"),
        ({"loadBalancer": {"type": "Random", "hashOn": {"header": "x"}}}, "spec.loadBalancer.hashOn"),
        ({"loadBalancer": {"type": "Maglev", "hashOn": {"header": "x", "cookie": "y"}}}, "spec.loadBalancer.hashOn"),
        ({"loadBalancer": {"type": "Maglev", "hashOn": {"header": "x y"}}}, "spec.loadBalancer.hashOn.header"),
        ({"loadBalancer": {"type": "Maglev", "hashOn": {"sourceIP": False}}}, "spec.loadBalancer.hashOn.sourceIP"),
        ({"outlierDetection": {"consecutive5xxErrors": 0}}, "spec.outlierDetection.consecutive5xxErrors"),
        ({"outlierDetection": {"interval": "0s"}}, "spec.outlierDetection.interval"),
        ({"outlierDetection": {"maxEjectionPercent": 101}}, "spec.outlierDetection.maxEjectionPercent"),
        ({"outlierDetection": {"minHealthPercent": 50}}, "spec.outlierDetection.minHealthPercent"),
        ({"loadBalancer": {}}, "spec.loadBalancer.type"),
        ({"rateLimit": {"per": "1s"}}, "spec.rateLimit.requests"),
        ({"rateLimit": {"requests": 0}}, "spec.rateLimit.requests"),
        ({"rateLimit": {"requests": 1, "per": "10ms"}}, "spec.rateLimit.per"),
        ({"rateLimit": {"requests": 1, "burst": 0}}, "spec.rateLimit.burst"),
        ({"fault": {}}, "spec.fault"),
        ({"fault": {"delay": {}}}, "spec.fault.delay.fixed"),
        ({"fault": {"delay": {"fixed": "2h"}}}, "spec.fault.delay.fixed"),
        ({"fault": {"delay": {"fixed": "1s", "percent": 101}}}, "spec.fault.delay.percent"),
        ({"fault": {"abort": {"status": 200}}}, "spec.fault.abort.status"),
        ({"fault": {"abort": {"status": 503, "percent": "all"}}}, "spec.fault.abort.percent"),
        ({"retry": {}, "targetRefs": []}, "spec.targetRefs"),
        ({"retry": {}, "targetRefs": [{"kind": "Service", "name": "s"}] * (MAX_TARGETS + 1)}, "spec.targetRefs"),
        ({"retry": {}, "targetRefs": [{"kind": "Pod", "name": "s"}]}, "spec.targetRefs[0]"),
        ({"retry": {}, "targetRefs": [{"group": "apps", "kind": "Service", "name": "s"}]}, "spec.targetRefs[0]"),
        ({"retry": {}, "targetRefs": [{"kind": "Service"}]}, "spec.targetRefs[0].name"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(spec: dict[str, Any], path: str) -> None:
    assert list(errors(**spec)) == [path]


def test_all_wrong_fields_are_named_at_once() -> None:
    found = errors(retry={"attempts": 0, "on": ["x"]}, loadBalancer={"type": "Best"})
    assert set(found) == {"spec.retry.attempts", "spec.retry.on[0]", "spec.loadBalancer.type"}
    assert "'Best' is not one of LeastRequest, Maglev, Random, RingHash, RoundRobin" in found["spec.loadBalancer.type"]


def test_admission_refuses_what_cannot_be_read_unless_it_is_on_its_way_out() -> None:
    admission, request = CONTROL_ADMISSIONS[TRAFFIC_POLICY], AdmissionRequest("somebody")
    wrong = policy("p", retry={"attempts": 0})
    assert [error.path for error in admission.validate(wrong, request)] == ["spec.retry.attempts"]
    assert admission.validate(policy("p", retry={}), request) == []
    wrong["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert admission.validate(wrong, request) == []
    assert admission.default(wrong, request) == wrong


def test_copies_go_to_a_port_of_a_service_or_to_a_revision() -> None:
    revision = {"group": "serving.knative.dev", "kind": "Revision", "name": "cart-2"}
    read, found = read_policy(
        policy("p", mirror=[{"backendRef": {"name": "audit", "port": 80}}, {"backendRef": revision, "percent": 0.5}])
    )
    assert not found and read is not None
    assert read.route.mirrors == (Mirror("ns/audit:80", 1_000_000), Mirror("ns/cart-2", 5_000))


@pytest.mark.parametrize(
    ("mirror", "path"),
    [
        ({"backendRef": {"name": "audit", "port": 80}}, "spec.mirror"),
        ([{"backendRef": {"name": "audit", "port": 80}}] * 9, "spec.mirror"),
        ([7], "spec.mirror[0]"),
        ([{}], "spec.mirror[0].backendRef.name"),
        ([{"backendRef": {"name": "audit"}}], "spec.mirror[0].backendRef.port"),
        ([{"backendRef": {"name": "audit", "port": 70_000}}], "spec.mirror[0].backendRef.port"),
        ([{"backendRef": {"name": "a", "port": 1, "kind": "Pod"}}], "spec.mirror[0].backendRef"),
        (
            [{"backendRef": {"name": "a", "port": 1, "kind": "Revision", "group": "serving.knative.dev"}}],
            "spec.mirror[0].backendRef.port",
        ),
        ([{"backendRef": {"name": "audit", "port": 80}, "percent": 101}], "spec.mirror[0].percent"),
        ([{"backendRef": {"name": "audit", "port": 80}, "share": 1}], "spec.mirror[0].share"),
    ],
)
def test_a_wrong_copy_is_named(mirror: object, path: str) -> None:
    assert path in errors(mirror=mirror)
