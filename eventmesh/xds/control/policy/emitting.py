"""A policy in Envoy's fields of routes and clusters."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import LoadBalancingPolicy, LoadBalancingPolicyPolicy
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.route.v3 import RetryPolicy, RetryPolicyRetryBackOff, RouteAction
from envoy_data_plane.google.protobuf import Any

from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.policy.values import LoadBalancing, RoutePolicy

MAX_BACK_OFFS = 10
"""Longest back-off in base intervals (Envoy's default)."""

_EXTENSIONS = {
    LoadBalancing.ROUND_ROBIN: "round_robin.v3.RoundRobin",
    LoadBalancing.LEAST_REQUEST: "least_request.v3.LeastRequest",
    LoadBalancing.RANDOM: "random.v3.Random",
}


def with_policy(action: RouteAction, policy: RoutePolicy | None) -> RouteAction:
    """Return `action` under `policy`."""
    if policy is None:
        return action
    if policy.request_timeout_s is not None:
        action.timeout = timedelta(seconds=policy.request_timeout_s)
    if policy.retry is not None:
        retry = made(
            RetryPolicy,
            retry_on=",".join(policy.retry.on),
            num_retries=policy.retry.attempts,
            retriable_status_codes=list(policy.retry.codes),
        )
        if policy.try_timeout_s:
            retry.per_try_timeout = timedelta(seconds=policy.try_timeout_s)
        if policy.retry.backoff_s:
            base = timedelta(seconds=policy.retry.backoff_s)
            retry.retry_back_off = made(RetryPolicyRetryBackOff, base_interval=base, max_interval=base * MAX_BACK_OFFS)
        action.retry_policy = retry
    return action


def load_balancing(balancing: LoadBalancing) -> LoadBalancingPolicy:
    """Return how an endpoint is chosen; clients that do not know the wanted way (proxyless gRPC) go round."""
    wanted = [balancing] if balancing is LoadBalancing.ROUND_ROBIN else [balancing, LoadBalancing.ROUND_ROBIN]
    return made(LoadBalancingPolicy, policies=[_extension(_EXTENSIONS[kind]) for kind in wanted])


def _extension(name: str) -> LoadBalancingPolicyPolicy:
    url = f"type.googleapis.com/envoy.extensions.load_balancing_policies.{name}"
    config = made(
        TypedExtensionConfig,
        name=f"envoy.load_balancing_policies.{name.partition('.')[0]}",
        typed_config=made(Any, type_url=url),
    )
    return made(LoadBalancingPolicyPolicy, typed_extension_config=config)
