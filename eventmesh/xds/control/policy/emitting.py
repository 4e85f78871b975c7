"""A policy in Envoy's fields of routes and clusters."""

from __future__ import annotations

from datetime import timedelta

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import LoadBalancingPolicy, LoadBalancingPolicyPolicy, OutlierDetection
from envoy_data_plane.envoy.config.core.v3 import RuntimeFractionalPercent, TypedExtensionConfig
from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RouteAction,
    RouteActionHashPolicy,
    RouteActionHashPolicyConnectionProperties,
    RouteActionHashPolicyCookie,
    RouteActionHashPolicyHeader,
    RouteActionHashPolicyQueryParameter,
    RouteActionRequestMirrorPolicy,
)
from envoy_data_plane.envoy.extensions.filters.common.fault.v3 import FaultDelay
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit.v3 import LocalRateLimit
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType, TokenBucket
from envoy_data_plane.google.protobuf import Any

from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.policy.values import (
    Fault,
    HashKind,
    HashOn,
    LoadBalancing,
    Mirror,
    Outliers,
    RateLimit,
    RoutePolicy,
)

RATE_LIMIT_FILTER, FAULT_FILTER = "envoy.filters.http.local_ratelimit", "envoy.filters.http.fault"
STAT_PREFIX = "policy"

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
    action.request_mirror_policies = [_mirror(mirror) for mirror in policy.mirrors]
    return action


def _mirror(mirror: Mirror) -> RouteActionRequestMirrorPolicy:
    share = made(RuntimeFractionalPercent, default_value=_millionths(mirror.millionths))
    return made(RouteActionRequestMirrorPolicy, cluster=mirror.cluster, runtime_fraction=share)


def route_filters(policy: RoutePolicy | None) -> dict[str, Any]:
    """Return the settings of HTTP filters that `policy` asks for, as a route's `typed_per_filter_config`."""
    found: dict[str, Any] = {}
    if policy is not None and policy.rate_limit is not None:
        found[RATE_LIMIT_FILTER] = _packed("local_ratelimit.v3.LocalRateLimit", _rate_limit(policy.rate_limit))
    if policy is not None and policy.fault is not None:
        found[FAULT_FILTER] = _packed("fault.v3.HTTPFault", _fault(policy.fault))
    return found


def idle_filters() -> list[HttpFilter]:
    """Return the filters that routes may set, doing nothing by themselves: Envoy wants them in the chain."""
    limit = _packed("local_ratelimit.v3.LocalRateLimit", made(LocalRateLimit, stat_prefix=STAT_PREFIX))
    return [made(HttpFilter, name=RATE_LIMIT_FILTER, typed_config=limit), idle_fault_filter()]


def idle_fault_filter() -> HttpFilter:
    """Return the one of them that proxyless gRPC clients know too."""
    return made(HttpFilter, name=FAULT_FILTER, typed_config=_packed("fault.v3.HTTPFault", made(HttpFault)))


def _rate_limit(limit: RateLimit) -> LocalRateLimit:
    all_of_it = made(FractionalPercent, numerator=100)
    return made(
        LocalRateLimit,
        stat_prefix=STAT_PREFIX,
        token_bucket=made(
            TokenBucket,
            max_tokens=limit.burst,
            tokens_per_fill=limit.requests,
            fill_interval=timedelta(seconds=limit.per_s),
        ),
        # Both are 0 % unless set.
        filter_enabled=made(RuntimeFractionalPercent, default_value=all_of_it),
        filter_enforced=made(RuntimeFractionalPercent, default_value=all_of_it),
        rate_limited_as_resource_exhausted=True,
    )


def _fault(fault: Fault) -> HttpFault:
    out = made(HttpFault)
    if fault.delay_s:
        share, delay = _millionths(fault.delay_millionths), timedelta(seconds=fault.delay_s)
        out.delay = made(FaultDelay, fixed_delay=delay, percentage=share)
    if fault.abort_status:
        out.abort = made(FaultAbort, http_status=fault.abort_status, percentage=_millionths(fault.abort_millionths))
    return out


def _millionths(share: int) -> FractionalPercent:
    return made(FractionalPercent, numerator=share, denominator=FractionalPercentDenominatorType.MILLION)


def _packed(name: str, message: betterproto2.Message) -> Any:
    return made(Any, type_url=f"type.googleapis.com/envoy.extensions.filters.http.{name}", value=encode(message))


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
