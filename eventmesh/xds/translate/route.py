"""RouteConfiguration into RouteTable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.route import (
    DirectResponse,
    Forward,
    Mirror,
    Redirect,
    Route,
    RouteTable,
    VirtualHost,
    WeightedCluster,
)
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.headers import NO_EDITS, Edits, read_edits
from eventmesh.xds.translate.labels import read_labels
from eventmesh.xds.translate.match import read_match
from eventmesh.xds.translate.sources import check_upgrades, read_data

if TYPE_CHECKING:
    from eventmesh.model.policy import Filters, HashOn, Labels, RetryPolicy
    from eventmesh.xds.translate.filters import FilterConfig

MAX_DIRECT_BODY_BYTES = 4096
"""Longest body of a direct response (Envoy's max_direct_response_body_size_bytes default)."""
MAX_PORT = 65_535
MAX_TOTAL_WEIGHT = 4_294_967_295
"""Largest sum of weights (Envoy's own bound: 32 bits)."""

_REDIRECT_STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
_WHOLE_PATH = ("^/.*$", "/.*")
"""Expressions of a regex_rewrite that replace the path as a whole."""


def read_route_table(configuration: Message, warnings: list[str], default_name: str = "") -> RouteTable:
    """Return the table of a `route.RouteConfiguration`; `default_name` is for one without a name.

    Raises ConfigError for a duplicate domain, a route without match or action, and anything unsupported.
    """
    context = table_context(configuration, warnings)
    hosts = tuple(
        virtual_host(host, _routes(host, host_context(host, context)))
        for host in configuration.children("virtual_hosts")
    )
    check_domains(hosts, configuration.path)
    return RouteTable(configuration.text("name") or default_name, hosts)


def _routes(host: Message, context: Context) -> tuple[Route, ...]:
    return tuple(read_route(route, context) for route in host.children("routes"))


@frozen
class Context:
    """What surrounds a route: the header edits of its table and virtual host, and their order.

    Envoy applies the edits of a share first, then those of its route, host and table, so that the most general
    one has the last word, unless most_specific_header_mutations_wins. Here they become one set of edits.
    """

    edits: Edits
    specific_last: bool
    warnings: list[str]
    filters: Mapping[str, FilterConfig]
    """Of the virtual host, by type, for routes without one of that type."""
    retry: RetryPolicy | None = None
    """Of the virtual host, for routes without a policy of their own."""
    mirrors: tuple[Mirror, ...] = ()
    """Of the virtual host, else of the table, for routes without any of their own."""

    def within(self, owner: Message) -> Context:
        """Return the context of what `owner` contains."""
        inner = read_edits(owner)
        return self if inner is NO_EDITS else replace(self, edits=self.around(inner))

    def around(self, inner: Edits) -> Edits:
        """Return `inner` together with the edits of everything around it."""
        return self.edits.then(inner) if self.specific_last else inner.then(self.edits)


def table_context(configuration: Message, warnings: list[str]) -> Context:
    """Return what surrounds the virtual hosts of a `route.RouteConfiguration`."""
    return Context(
        edits=read_edits(configuration),
        specific_last=configuration.flag("most_specific_header_mutations_wins"),
        warnings=warnings,
        filters={},
        mirrors=_mirrors(configuration),
    )


def host_context(host: Message, context: Context) -> Context:
    """Return what surrounds the routes of a `route.VirtualHost` in a table of `context`."""
    return replace(
        context.within(host),
        retry=_retry(host, context),
        filters=_overrides(host),
        mirrors=_mirrors(host, context.mirrors),
    )


def virtual_host(host: Message, routes: tuple[Route, ...]) -> VirtualHost:
    """Return the virtual host with `routes`; raises ConfigError for one without a name or without a proper domain."""
    name = host.text("name")
    if not name:
        raise host.error("name", "missing")
    if not host.texts("domains"):
        raise host.error("domains", "missing; give at least one host name, or *")
    domains = dict.fromkeys(_domain(host, i, written) for i, written in enumerate(host.texts("domains")))
    return VirtualHost(name, tuple(domains), routes)


def check_domains(hosts: Iterable[VirtualHost], path: str) -> None:
    """Raise ConfigError when two virtual hosts of the table at `path` have a domain in common."""
    owners: dict[str, str] = {}
    for i, host in enumerate(hosts):
        for j, domain in enumerate(host.domains):
            owner = owners.setdefault(domain, host.name)
            if owner != host.name:
                where = f"{path}.virtual_hosts[{i}]" if path else f"virtual_hosts[{i}]"
                raise ConfigError(f"{where}.domains[{j}]", f"{domain!r} belongs to the virtual host {owner!r} already")


def _retry(owner: Message, context: Context) -> RetryPolicy | None:
    policy = owner.child("retry_policy")
    if policy is None:
        return context.retry
    # Here and below: imported where it is asked for, see `translate.cluster`.
    from eventmesh.xds.translate.retry import read_retry

    return read_retry(policy, context.warnings)


def _mirrors(owner: Message, around: tuple[Mirror, ...] = ()) -> tuple[Mirror, ...]:
    if not owner.has("request_mirror_policies"):
        return around
    from eventmesh.xds.translate.mirror import read_mirrors

    return read_mirrors(owner)


def _overrides(owner: Message) -> Mapping[str, FilterConfig]:
    if not owner.has("typed_per_filter_config"):
        return {}
    from eventmesh.xds.translate.filters import read_overrides

    return read_overrides(owner)


def _layered(outer: Mapping[str, FilterConfig], inner: Mapping[str, FilterConfig]) -> Mapping[str, FilterConfig]:
    if not outer or not inner:
        return outer or inner
    from eventmesh.xds.translate.filters import overridden

    return overridden(outer, inner)


def _filters(configs: Mapping[str, FilterConfig]) -> Filters | None:
    if not configs:
        return None
    from eventmesh.xds.translate.filters import make_filters

    return make_filters(configs.values())


def _hashes(action: Message) -> tuple[HashOn, ...]:
    policies = action.children("hash_policy")
    if not policies:
        return ()
    from eventmesh.xds.translate.hashing import read_hash

    return tuple(read_hash(policy) for policy in policies)


def _domain(host: Message, at: int, written: str) -> str:
    # Ports take no part in matching, so `a:80` and `a` are one domain.
    name, colon, port = written.lower().rpartition(":")
    domain = name if colon and (port == "*" or port.isdecimal()) else written.lower()
    inner = domain.removeprefix("*") if domain.startswith("*") else domain.removesuffix("*")
    if not domain or "*" in inner or any(c.isspace() for c in domain):
        raise host.error(f"domains[{at}]", f"{written!r} is no host name; a * may stand at its beginning or its end")
    return domain


def read_route(route: Message, context: Context) -> Route:
    """Return one `route.Route`; raises ConfigError for one without match or action, and anything unsupported."""
    match = route.child("match")
    if match is None:
        raise route.error("match", "missing")
    inside = context.within(route)
    action, edits = _action(route, inside)
    filters = _layered(context.filters, _overrides(route))
    if match.has("safe_regex") and isinstance(action, Forward | Redirect) and action.prefix_rewrite:
        field = "route" if isinstance(action, Forward) else "redirect"
        raise route.error(f"{field}.prefix_rewrite", "a path that is matched by an expression has no prefix to replace")
    return Route(read_match(match), action, route.text("name"), edits.request, edits.response, _filters(filters))


def _action(route: Message, context: Context) -> tuple[Forward | Redirect | DirectResponse, Edits]:
    """Return what the route does, and the header edits that are left to the route itself."""
    forward = route.child("route")
    if forward is not None:
        action, split = _forward(forward, context)
        return action, NO_EDITS if split else context.edits
    for field, read in _ANSWERS.items():
        answer = route.child(field)
        if answer is not None:
            return read(answer), context.edits
    raise route.error("", "has no action; give route, redirect or direct_response")


def _forward(action: Message, context: Context) -> tuple[Forward, bool]:
    """Return the action, and whether its shares carry all header edits because one of them has its own."""
    check_upgrades(action)
    weighted = action.child("weighted_clusters")
    shares = weighted.children("clusters") if weighted is not None else ()
    split = any(read_edits(share) for share in shares)
    if weighted is not None:
        subset = read_labels(action, "metadata_match")
        clusters = tuple(_share(share, context if split else None, subset) for share in shares)
        total = sum(share.weight for share in clusters)
        if not 0 < total <= MAX_TOTAL_WEIGHT:
            raise weighted.error("clusters", f"the weights add up to {total}; accepted are 1 to {MAX_TOTAL_WEIGHT}")
    elif action.text("cluster"):
        clusters = (WeightedCluster(action.text("cluster"), subset=read_labels(action, "metadata_match")),)
    else:
        raise action.error("cluster", "missing; give cluster or weighted_clusters")
    forward = Forward(
        clusters=clusters,
        timeout_s=action.seconds("timeout", 15.0),
        host_rewrite=action.text("host_rewrite_literal"),
        host_rewrite_header=action.text("host_rewrite_header").lower(),
        prefix_rewrite=action.text("prefix_rewrite"),
        path_rewrite=_path_rewrite(action),
        retry=_retry(action, context),
        hash_on=_hashes(action),
        mirrors=_mirrors(action, context.mirrors),
    )
    return forward, split


def _path_rewrite(action: Message) -> str:
    rewrite = action.child("regex_rewrite")
    if rewrite is None:
        return ""
    pattern = rewrite.child("pattern")
    if pattern is None or pattern.text("regex") not in _WHOLE_PATH:
        raise rewrite.error("pattern", f"the whole path alone can be rewritten; give {_WHOLE_PATH[0]}")
    path = rewrite.text("substitution")
    if not path.startswith("/") or "\\" in path or "?" in path:
        raise rewrite.error("substitution", f"{path!r} must start with / and hold no \\ or ?")
    return path


def _share(share: Message, context: Context | None, subset: Labels) -> WeightedCluster:
    if not share.text("name"):
        raise share.error("name", "missing")
    edits = context.around(read_edits(share)) if context is not None else NO_EDITS
    own = dict(subset) | dict(read_labels(share, "metadata_match"))
    return WeightedCluster(
        share.text("name"), share.number("weight"), tuple(sorted(own.items())), edits.request, edits.response
    )


def _redirect(action: Message) -> Redirect:
    port = action.number("port_redirect")
    if port > MAX_PORT:
        raise action.error("port_redirect", f"{port} is no port; accepted are 1 to {MAX_PORT}")
    scheme = "https" if action.flag("https_redirect") else action.text("scheme_redirect")
    return Redirect(
        status=_REDIRECT_STATUS[action.text("response_code", "MOVED_PERMANENTLY")],
        scheme=scheme,
        host=action.text("host_redirect"),
        port=port,
        path=action.text("path_redirect"),
        prefix_rewrite=action.text("prefix_rewrite"),
    )


def _direct_response(action: Message) -> DirectResponse:
    status = action.number("status")
    if not 200 <= status <= 599:
        raise action.error("status", f"{status} is no final HTTP status; accepted are 200 to 599")
    body = action.child("body")
    text = ""
    if body is not None:
        text = read_data(action, "body")
        if len(text.encode()) > MAX_DIRECT_BODY_BYTES:
            raise body.error("", f"{len(text.encode())} bytes are more than the limit of {MAX_DIRECT_BODY_BYTES}")
    return DirectResponse(status, text)


_ANSWERS: dict[str, Callable[[Message], Redirect | DirectResponse]] = {
    "redirect": _redirect,
    "direct_response": _direct_response,
}
