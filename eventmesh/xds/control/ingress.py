"""From a KIngress rule to an encoded virtual host. Pure.

Semantics are those a data plane owes Knative (knative/networking, ingress_types.go and its conformance suite):
appendHeaders *set* headers, at the split before the path; the more specific path is tried first; there is neither
a retry nor a route timeout; and every path has a copy that answers probes with the hash of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    RedirectAction,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import set_headers
from eventmesh.xds.control.objects import Path, Rule, Split
from eventmesh.xds.control.policy.emitting import route_filters, with_policy
from eventmesh.xds.control.policy.values import RoutePolicy
from eventmesh.xds.control.protobuf import delimited

HASH_HEADER = "k-network-hash"
HASH_OVERRIDE = "override"
"""A probe sends this value and is answered with the hash of the configuration that routed it."""

Resolve = Callable[[Key, int | str], str]
"""Names the cluster of a Service port."""

_NO_TIMEOUT = timedelta(0)
"""A function may take as long as its own timeout allows; that one is kept by its sidecar."""


@frozen
class Fragment:
    """A virtual host as field 2 of a RouteConfiguration; messages concatenate, so tables are joined from these."""

    domains: tuple[str, ...]
    field: bytes


def fragment(host: VirtualHost) -> Fragment:
    """Encode `host`."""
    return Fragment(tuple(host.domains), delimited(2, encode(host)))


def rule_hosts(rule: Rule, cluster_domain: str) -> tuple[str, ...]:
    """Return the hosts of a rule, with the short forms of a cluster-local name."""
    hosts = []
    for host in rule.hosts:
        hosts += local_names(host, cluster_domain)
    return tuple(dict.fromkeys(hosts))


def local_names(host: str, cluster_domain: str) -> list[str]:
    """Return `name.ns.svc.<cluster domain>` with `name.ns.svc` and `name.ns`; any other host alone."""
    suffix = f".svc.{cluster_domain}"
    if not host.endswith(suffix):
        return [host]
    short = host.removesuffix(suffix)
    return [host, f"{short}.svc", short]


def virtual_host(name: str, domains: Iterable[str], rule: Rule, hash_: str, resolve: Resolve) -> VirtualHost:
    """Return the virtual host of `rule`: every path twice, the probe's copy ahead of its twin."""
    paths = [(path, probe) for path in rule.paths for probe in (True, False)]
    paths.sort(key=lambda entry: (-len(entry[0].matches) - entry[1], -len(entry[0].prefix)))
    return made(
        VirtualHost,
        name=name,
        domains=list(domains),
        routes=[_route(path, hash_ if probe else "", resolve) for path, probe in paths],
    )


def redirect_host(name: str, domains: Iterable[str]) -> VirtualHost:
    """Return a virtual host that sends every request to https (httpOption Redirected)."""
    return made(
        VirtualHost,
        name=name,
        domains=list(domains),
        routes=[made(Route, match=made(RouteMatch, prefix="/"), redirect=made(RedirectAction, https_redirect=True))],
    )


def header_is(name: str, value: str) -> HeaderMatcher:
    """Return the condition that the header `name` is exactly `value`."""
    return made(HeaderMatcher, name=name, string_match=made(StringMatcher, exact=value))


def plain_route(
    cluster: str, *conditions: HeaderMatcher, policy: RoutePolicy | None = None, prefix: str = "/"
) -> Route:
    """Return a route that sends all under the conditions to `cluster`; without a policy, however long it takes."""
    return made(
        Route,
        match=made(RouteMatch, prefix=prefix, headers=list(conditions)),
        route=with_policy(made(RouteAction, cluster=cluster, timeout=_NO_TIMEOUT), policy),
        typed_per_filter_config=route_filters(policy),
    )


def _route(path: Path, hash_: str, resolve: Resolve) -> Route:
    matches = [header_is(name, value) for name, value in path.matches]
    probe: Mapping[str, str] = {}
    if hash_:
        matches.append(header_is(HASH_HEADER, HASH_OVERRIDE))
        probe = {HASH_HEADER: hash_}
    shares = [split for split in path.splits if split.percent > 0]
    action = with_policy(made(RouteAction, timeout=_NO_TIMEOUT), path.policy)
    if path.rewrite_host:
        action.host_rewrite_literal = path.rewrite_host
    match, filters = made(RouteMatch, prefix=path.prefix, headers=matches), route_filters(path.policy)
    route = made(Route, match=match, route=action, typed_per_filter_config=filters)
    if len(shares) == 1:
        action.cluster = resolve(shares[0].service, shares[0].port)
        route.request_headers_to_add = set_headers({**path.headers, **shares[0].headers, **probe})
    else:
        action.weighted_clusters = made(
            WeightedCluster, clusters=[_share(path, split, probe, resolve) for split in shares]
        )
    return route


def _share(path: Path, split: Split, probe: Mapping[str, str], resolve: Resolve) -> WeightedClusterClusterWeight:
    # All edits stand at the share: proxies apply the route's after the share's, Knative wants the share to win.
    return made(
        WeightedClusterClusterWeight,
        name=resolve(split.service, split.port),
        weight=split.percent,
        request_headers_to_add=set_headers({**path.headers, **split.headers, **probe}),
    )
