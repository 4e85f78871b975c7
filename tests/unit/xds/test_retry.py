"""Retry policies and retry limits as Envoy spells them."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.cluster import Cluster
from eventmesh.model.policy import RetryBudget, RetryOn, RetryPolicy
from eventmesh.model.route import Forward
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_cluster
from eventmesh.xds.translate.route import read_route_table

PREVIOUS = {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}
ROUTES = "envoy.config.route.v3.RouteConfiguration"


def _policy(route: dict[str, Any] | None, host: dict[str, Any] | None = None) -> RetryPolicy | None:
    action: dict[str, Any] = {"cluster": "a", **({"retry_policy": route} if route is not None else {})}
    virtual_host: dict[str, Any] = {
        "name": "h",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": action}],
    }
    if host is not None:
        virtual_host["retry_policy"] = host
    document = {"name": "t", "virtual_hosts": [virtual_host]}
    message = read_document(message_type(ROUTES), document, "", [])
    again = read_wire(message_type(ROUTES), write_wire(ROUTES, message.fields), "", [])
    table = read_route_table(again, [])
    forward = table.virtual_hosts[0].routes[0].action
    assert isinstance(forward, Forward)
    return forward.retry


def _cluster(thresholds: dict[str, Any]) -> Cluster:
    document = {"name": "c", "circuit_breakers": {"thresholds": [thresholds]}}
    return read_cluster(read_document(message_type("envoy.config.cluster.v3.Cluster"), document, "", []), []).cluster


def test_what_is_not_set_is_envoys_default() -> None:
    assert _policy({"retry_on": "5xx"}) == RetryPolicy((RetryOn.SERVER_ERROR,), 1, 0.0, (), 0.025, 0.25, False)
    assert _policy({"num_retries": 3}) is None and _policy(None) is None


def test_every_setting_arrives() -> None:
    policy = {
        "retry_on": "connect-failure, unavailable,connect-failure",
        "num_retries": 4,
        "per_try_timeout": "1.5s",
        "retriable_status_codes": [418, 425],
        "retry_back_off": {"base_interval": "0.1s", "max_interval": "3s"},
        "retry_host_predicate": [{"name": "p", "typed_config": PREVIOUS}],
    }
    words = (RetryOn.CONNECT_FAILURE, RetryOn.UNAVAILABLE)
    assert _policy(policy) == RetryPolicy(words, 4, 1.5, (418, 425), 0.1, 3.0, True)


def test_the_policy_of_a_host_is_for_routes_without_their_own() -> None:
    assert _policy(None, {"retry_on": "reset"}) == RetryPolicy((RetryOn.RESET,))
    assert _policy({"retry_on": "5xx"}, {"retry_on": "reset"}) == RetryPolicy((RetryOn.SERVER_ERROR,))
    assert _policy({}, {"retry_on": "reset"}) is None


def test_the_longest_back_off_follows_the_first_one() -> None:
    policy = _policy({"retry_on": "5xx", "retry_back_off": {"base_interval": "2s"}})
    assert policy is not None and (policy.base_interval_s, policy.max_interval_s) == (2.0, 20.0)


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"retry_on": "5xx,often"}, "retry_on"),
        ({"retry_on": "5xx", "num_retries": 101}, "num_retries"),
        ({"retry_on": "5xx", "per_try_timeout": "-1s"}, "per_try_timeout"),
        ({"retry_on": "5xx", "retriable_status_codes": [200, 600]}, "retriable_status_codes[1]"),
        ({"retry_on": "5xx", "retry_back_off": {}}, "retry_back_off.base_interval"),
        (
            {"retry_on": "5xx", "retry_back_off": {"base_interval": "1s", "max_interval": "0.5s"}},
            "retry_back_off.max_interval",
        ),
        ({"retry_on": "5xx", "retry_host_predicate": [{"name": "p"}]}, "retry_host_predicate[0]"),
        ({"retry_on": "5xx", "retriable_headers": [{"name": "x"}]}, "retriable_headers"),
    ],
)
def test_what_cannot_be_carried_out_is_told_by_its_path(policy: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _policy(policy)
    assert caught.value.path == f"virtual_hosts[0].routes[0].route.retry_policy.{path}"


def test_retry_limits_of_a_cluster() -> None:
    assert (_cluster({}).max_retries, _cluster({}).retry_budget) == (3, None)
    assert _cluster({"max_retries": 0}).max_retries == 0
    assert _cluster({"retry_budget": {}}).retry_budget == RetryBudget(20.0, 3)
    budget = {"budget_percent": {"value": 12.5}, "min_retry_concurrency": 7}
    assert _cluster({"retry_budget": budget}).retry_budget == RetryBudget(12.5, 7)
    with pytest.raises(ConfigError, match="budget_percent"):
        _cluster({"retry_budget": {"budget_percent": {"value": 101}}})
