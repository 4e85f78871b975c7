"""RouteConfiguration into RouteTable."""

from __future__ import annotations

import re
from collections.abc import Callable

from eventmesh.model.route import (
    DirectResponse,
    Forward,
    HeaderKind,
    HeaderMatch,
    PathKind,
    Redirect,
    Route,
    RouteMatch,
    RouteTable,
    VirtualHost,
    WeightedCluster,
)
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.headers import merge_edits, read_edits, read_matcher

MAX_DIRECT_BODY_BYTES = 4096
"""Longest body of a direct response (Envoy's max_direct_response_body_size_bytes default)."""
MAX_TOTAL_WEIGHT = 4_294_967_295
"""Largest sum of weights (Envoy's own bound: 32 bits)."""

_REDIRECT_STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
_PATH_KINDS = {
    "prefix": PathKind.PREFIX,
    "path": PathKind.EXACT,
    "path_separated_prefix": PathKind.SEPARATED_PREFIX,
}


def read_route_table(configuration: Message, default_name: str = "") -> RouteTable:
    """Return the table of a `route.RouteConfiguration`; `default_name` is for one without a name.

    Raises ConfigError for a duplicate domain, a route without match or action, and anything unsupported.
    """
    owners: dict[str, str] = {}
    hosts = []
    for host in configuration.children("virtual_hosts"):
        hosts.append(_virtual_host(configuration, host, owners))
    return RouteTable(configuration.text("name") or default_name, tuple(hosts))


def _virtual_host(table: Message, host: Message, owners: dict[str, str]) -> VirtualHost:
    name = host.text("name")
    if not name:
        raise host.error("name", "missing")
    if not host.texts("domains"):
        raise host.error("domains", "missing; give at least one host name, or *")
    domains = []
    for i, written in enumerate(host.texts("domains")):
        domain = _domain(host, i, written)
        owner = owners.setdefault(domain, name)
        if owner != name:
            raise host.error(f"domains[{i}]", f"{written!r} belongs to the virtual host {owner!r} already")
        if domain not in domains:
            domains.append(domain)
    # Envoy applies the edits of the virtual host first, those of the table after them.
    return VirtualHost(
        name=name,
        domains=tuple(domains),
        routes=tuple(_route(route) for route in host.children("routes")),
        request_headers=merge_edits(read_edits(host, "request"), read_edits(table, "request")),
        response_headers=merge_edits(read_edits(host, "response"), read_edits(table, "response")),
    )


def _domain(host: Message, at: int, written: str) -> str:
    # Ports take no part in matching, so `a:80` and `a` are one domain.
    domain = re.sub(r":(\d+|\*)$", "", written.lower())
    inner = domain.removeprefix("*") if domain.startswith("*") else domain.removesuffix("*")
    if not domain or "*" in inner or any(c.isspace() for c in domain):
        raise host.error(f"domains[{at}]", f"{written!r} is no host name; a * may stand at its beginning or its end")
    return domain


def _route(route: Message) -> Route:
    match = route.child("match")
    if match is None:
        raise route.error("match", "missing")
    for field, read in _ACTIONS.items():
        action = route.child(field)
        if action is not None:
            return Route(
                match=_match(match),
                action=read(action),
                name=route.text("name"),
                request_headers=read_edits(route, "request"),
                response_headers=read_edits(route, "response"),
            )
    raise route.error("", "has no action; give route, redirect or direct_response")


def _match(match: Message) -> RouteMatch:
    headers = [read_matcher(matcher) for matcher in match.children("headers")]
    if match.has("grpc"):
        headers.append(HeaderMatch("content-type", HeaderKind.PREFIX, "application/grpc"))
    for field, kind in _PATH_KINDS.items():
        if match.has(field):
            path = match.text(field)
            if kind is not PathKind.PREFIX and not path.startswith("/"):
                raise match.error(field, f"{path!r} must start with /")
            if kind is PathKind.SEPARATED_PREFIX and (path.endswith("/") or "?" in path or "#" in path):
                raise match.error(field, f"{path!r} must hold no ? or # and not end with /")
            return RouteMatch(path or "/", kind, tuple(headers))
    raise match.error("", "has no path condition; give prefix, path or path_separated_prefix")


def _forward(action: Message) -> Forward:
    weighted = action.child("weighted_clusters")
    if weighted is not None:
        clusters = tuple(_share(share) for share in weighted.children("clusters"))
        total = sum(share.weight for share in clusters)
        if not 0 < total <= MAX_TOTAL_WEIGHT:
            raise weighted.error("clusters", f"the weights add up to {total}; accepted are 1 to {MAX_TOTAL_WEIGHT}")
    elif action.text("cluster"):
        clusters = (WeightedCluster(action.text("cluster")),)
    else:
        raise action.error("cluster", "missing; give cluster or weighted_clusters")
    return Forward(
        clusters=clusters,
        timeout_s=action.seconds("timeout", 15.0),
        host_rewrite=action.text("host_rewrite_literal"),
        host_rewrite_header=action.text("host_rewrite_header").lower(),
        prefix_rewrite=action.text("prefix_rewrite"),
    )


def _share(share: Message) -> WeightedCluster:
    if not share.text("name"):
        raise share.error("name", "missing")
    return WeightedCluster(
        name=share.text("name"),
        weight=share.number("weight"),
        request_headers=read_edits(share, "request"),
        response_headers=read_edits(share, "response"),
    )


def _redirect(action: Message) -> Redirect:
    host, port = action.text("host_redirect"), action.number("port_redirect")
    if port and not host:
        raise action.error("port_redirect", "is supported together with host_redirect only")
    scheme = "https" if action.flag("https_redirect") else action.text("scheme_redirect")
    return Redirect(
        status=_REDIRECT_STATUS[action.text("response_code", "MOVED_PERMANENTLY")],
        scheme=scheme,
        host=f"{host}:{port}" if port else host,
        path=action.text("path_redirect"),
    )


def _direct_response(action: Message) -> DirectResponse:
    status = action.number("status")
    if not 200 <= status <= 599:
        raise action.error("status", f"{status} is no final HTTP status; accepted are 200 to 599")
    body = action.child("body")
    text = ""
    if body is not None:
        try:
            text = body.text("inline_string") or body.raw("inline_bytes").decode()
        except UnicodeDecodeError:
            raise body.error("inline_bytes", "is not UTF-8; only text can be answered") from None
        if len(text.encode()) > MAX_DIRECT_BODY_BYTES:
            raise body.error("", f"{len(text.encode())} bytes are more than the limit of {MAX_DIRECT_BODY_BYTES}")
    return DirectResponse(status, text)


_ACTIONS: dict[str, Callable[[Message], Forward | Redirect | DirectResponse]] = {
    "route": _forward,
    "redirect": _redirect,
    "direct_response": _direct_response,
}
