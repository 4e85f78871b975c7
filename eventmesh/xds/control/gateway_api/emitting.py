"""Rules of routes in Envoy's words: the virtual host of one host name, of all routes that are attached to it. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import timedelta

from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, HeaderValueOptionHeaderAppendAction
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    HeaderMatcher,
    QueryParameterMatcher,
    RedirectAction,
    RedirectActionRedirectResponseCode,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatchAndSubstitute, RegexMatcher, StringMatcher

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.model import match as conditions
from eventmesh.model.match import HeaderMatch, PathKind, TextKind
from eventmesh.model.route import HeaderEdits, Redirect
from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.envoy import literal, set_headers
from eventmesh.xds.control.gateway_api.backends import UNRESOLVED_CLUSTER, Share
from eventmesh.xds.control.gateway_api.values import Rule
from eventmesh.xds.control.policy.emitting import route_filters, with_policy
from eventmesh.xds.control.policy.values import RoutePolicy

WHOLE_PATH = "^/.*$"

_STATUS = {
    301: RedirectActionRedirectResponseCode.MOVED_PERMANENTLY,
    302: RedirectActionRedirectResponseCode.FOUND,
    303: RedirectActionRedirectResponseCode.SEE_OTHER,
    307: RedirectActionRedirectResponseCode.TEMPORARY_REDIRECT,
    308: RedirectActionRedirectResponseCode.PERMANENT_REDIRECT,
}
_PATH_RANK = {PathKind.EXACT: 0, PathKind.REGEX: 1, PathKind.SEPARATED_PREFIX: 2, PathKind.PREFIX: 2}
_NO_TIMEOUT = timedelta(0)


@frozen
class Placed:
    """A rule at the place it has among all rules of a host: that of its route, by age, then its own."""

    route: Key
    number: int
    rule: Rule
    shares: tuple[Share, ...]
    policy: RoutePolicy | None = None

    @property
    def clusters(self) -> tuple[str, ...]:
        """Return the clusters that requests or copies of them go to."""
        copies = self.policy.mirrors if self.policy is not None else ()
        return (*(share.cluster for share in self.shares), *(mirror.cluster for mirror in copies))


def virtual_host(name: str, domains: Sequence[str], rules: Sequence[Placed]) -> VirtualHost:
    """Return the virtual host of `rules`, which stand in the order of their routes' age.

    The more specific match is tried first, whichever route it is of (HTTPRouteRule.matches, "precedence").
    """
    matched = [(match, placed) for placed in rules for match in placed.rule.matches]
    matched.sort(key=lambda entry: _specificity(entry[0]))  # Stable: older routes stay ahead of newer ones.
    routes = [route for match, placed in matched for route in _routes(match, placed)]
    return made(VirtualHost, name=name, domains=list(domains), routes=routes)


def _specificity(match: conditions.RouteMatch) -> tuple[int, int, int, int, int]:
    methods = sum(header.name == ":method" for header in match.headers)
    return (_PATH_RANK[match.path_kind], -len(match.path), -methods, methods - len(match.headers), -len(match.query))


def _routes(match: conditions.RouteMatch, placed: Placed) -> Iterator[EnvoyRoute]:
    """Yield the routes of one match: two when a prefix is cut off, so that `/a` and `/a/b` keep their slash."""
    rule = placed.rule
    prefix = rule.redirect.prefix_rewrite if rule.redirect is not None else rule.rewrite.prefix
    if prefix == "/" and match.path_kind is PathKind.SEPARATED_PREFIX:
        yield _route(dataclasses.replace(match, path_kind=PathKind.EXACT), placed, "/")
        yield _route(dataclasses.replace(match, path=f"{match.path}/", path_kind=PathKind.PREFIX), placed, "/")
    elif prefix and match.path == "/":
        yield _route(match, placed, prefix if prefix == "/" else f"{prefix}/")
    else:
        yield _route(match, placed, prefix)


def _route(match: conditions.RouteMatch, placed: Placed, prefix: str) -> EnvoyRoute:
    rule = placed.rule
    route = made(
        EnvoyRoute,
        name=f"{placed.route}/{placed.number}",
        match=_match(match),
        response_headers_to_add=_added(rule.response),
        response_headers_to_remove=list(rule.response.remove),
    )
    if rule.redirect is not None:
        route.redirect = _redirect(rule.redirect, prefix)
    elif all(share.cluster == UNRESOLVED_CLUSTER for share in placed.shares):
        route.direct_response = made(DirectResponseAction, status=500)
    else:
        route.request_headers_to_add = _added(rule.request)
        route.request_headers_to_remove = list(rule.request.remove)
        route.route = _action(placed, prefix)
        route.typed_per_filter_config = route_filters(placed.policy)
    return route


def _match(match: conditions.RouteMatch) -> RouteMatch:
    out = made(
        RouteMatch,
        headers=[made(HeaderMatcher, name=one.name, string_match=_text(one)) for one in match.headers],
        query_parameters=[made(QueryParameterMatcher, name=one.name, string_match=_text(one)) for one in match.query],
    )
    match match.path_kind:
        case PathKind.EXACT:
            out.path = match.path
        case PathKind.REGEX:
            out.safe_regex = made(RegexMatcher, regex=match.path)
        case PathKind.SEPARATED_PREFIX:
            out.path_separated_prefix = match.path
        case PathKind.PREFIX:
            out.prefix = match.path
    return out


def _text(condition: HeaderMatch) -> StringMatcher:
    if condition.kind is TextKind.REGEX:
        return made(StringMatcher, safe_regex=made(RegexMatcher, regex=condition.value))
    return made(StringMatcher, exact=condition.value)


def _redirect(redirect: Redirect, prefix: str) -> RedirectAction:
    out = made(
        RedirectAction,
        host_redirect=redirect.host,
        port_redirect=redirect.port,
        response_code=_STATUS[redirect.status],
    )
    if redirect.scheme:
        out.scheme_redirect = redirect.scheme
    if redirect.path:
        out.path_redirect = redirect.path
    elif prefix:
        out.prefix_rewrite = prefix
    return out


def _action(placed: Placed, prefix: str) -> RouteAction:
    rule, shares = placed.rule, placed.shares
    action = with_policy(made(RouteAction, timeout=_NO_TIMEOUT), placed.policy)
    action.prefix_rewrite = prefix
    if rule.rewrite.host:
        action.host_rewrite_literal = rule.rewrite.host
    if rule.rewrite.path:
        whole = made(RegexMatcher, regex=WHOLE_PATH)
        action.regex_rewrite = made(RegexMatchAndSubstitute, pattern=whole, substitution=rule.rewrite.path)
    if len(shares) == 1 and shares[0].request == shares[0].response == HeaderEdits():
        action.cluster = shares[0].cluster
    else:
        action.weighted_clusters = made(WeightedCluster, clusters=[_share(share) for share in shares])
    return action


def _share(share: Share) -> WeightedClusterClusterWeight:
    return made(
        WeightedClusterClusterWeight,
        name=share.cluster,
        weight=share.weight,
        request_headers_to_add=_added(share.request),
        request_headers_to_remove=list(share.request.remove),
        response_headers_to_add=_added(share.response),
        response_headers_to_remove=list(share.response.remove),
    )


def _added(edits: HeaderEdits) -> list[HeaderValueOption]:
    added = [
        made(
            HeaderValueOption,
            header=made(HeaderValue, key=name, value=literal(value)),
            append_action=HeaderValueOptionHeaderAppendAction.APPEND_IF_EXISTS_OR_ADD,
        )
        for name, value in edits.append
    ]
    return [*set_headers(dict(edits.set)), *added]
