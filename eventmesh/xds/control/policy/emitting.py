"""A policy in Envoy's fields of routes and clusters."""

from __future__ import annotations

from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import LoadBalancingPolicy, LoadBalancingPolicyPolicy, OutlierDetection
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyConnectionProperties,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    RouteActionHashPolicyQueryParameter,
)
from envoy_data_plane.google.protobuf import Any

from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.policy.values import HashKind, HashOn, LoadBalancing, Outliers, RoutePolicy

MAX_BACK_OFFS = 10
"""Longest back-off in base intervals (Envoy's default)."""

_EXTENSIONS = {
    LoadBalancing.ROUND_ROBIN: "round_robin.v3.RoundRobin",
    LoadBalancing.LEAST_REQUEST: "least_request.v3.LeastRequest",
    LoadBalancing.RANDOM: "random.v3.Random",
    LoadBalancing.RING_HASH: "ring_hash.v3.RingHash",
    LoadBalancing.MAGLEV: "maglev.v3.Maglev",
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
    if policy.hash_on is not None:
        action.hash_policy = [_hash_policy(policy.hash_on)]
    return action


def _hash_policy(hash_on: HashOn) -> RouteActionHashPolicy:
    match hash_on.kind:
        case HashKind.HEADER:
            return made(RouteActionHashPolicy, header=made(RouteActionHashPolicyHeader, header_name=hash_on.name))
        case HashKind.COOKIE:
            return made(RouteActionHashPolicy, cookie=made(RouteActionHashPolicyCookie, name=hash_on.name))
        case HashKind.QUERY_PARAMETER:
            parameter = made(RouteActionHashPolicyQueryParameter, name=hash_on.name)
            return made(RouteActionHashPolicy, query_parameter=parameter)
        case HashKind.SOURCE_IP:
            properties = made(RouteActionHashPolicyConnectionProperties, source_ip=True)
            return made(RouteActionHashPolicy, connection_properties=properties)


def outlier_detection(outliers: Outliers) -> OutlierDetection:
    """Return when an endpoint is passed over. One may always be: Envoy's 10 % of three pods would be none."""
    out = made(OutlierDetection, always_eject_one_host=True, enforcing_success_rate=0)
    if outliers.consecutive_5xx is not None:
        out.consecutive_5xx = outliers.consecutive_5xx
    if outliers.consecutive_gateway is not None:
        out.consecutive_gateway_failure = outliers.consecutive_gateway
        out.enforcing_consecutive_gateway_failure = 100
    if outliers.interval_s is not None:
        out.interval = timedelta(seconds=outliers.interval_s)
    if outliers.base_ejection_s is not None:
        out.base_ejection_time = timedelta(seconds=outliers.base_ejection_s)
    if outliers.max_ejection_percent is not None:
        out.max_ejection_percent = outliers.max_ejection_percent
    return out


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
