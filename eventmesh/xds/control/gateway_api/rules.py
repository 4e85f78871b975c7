"""Reads HTTPRoute and GRPCRoute objects. Pure.

A route that asks for what cannot be done is a ValueError that names the field, and becomes its condition Accepted: half
a route would let requests through that its author wanted treated otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventmesh.base.durations import parse_go
from eventmesh.core import check_pattern
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key, key_of
from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.model.route import HeaderEdits, Redirect
from eventmesh.xds.control.gateway_api.values import GROUP, Backend, Copy, ParentRef, Rewrite, Route, RouteKind, Rule
from eventmesh.xds.control.policy.values import Retry, RoutePolicy

RETRY_ON = ("connect-failure", "refused-stream", "retriable-status-codes")
"""What is tried again beside the statuses that a rule names: requests that have reached nobody (GEP-1731)."""

_TEXT_KINDS = {"Exact": TextKind.EXACT, "RegularExpression": TextKind.REGEX}
_EVERYTHING = RouteMatch("/", PathKind.PREFIX)
_SEGMENT = "[^/]+"
_WHOLE = 1_000_000
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,256}")
"""A name as HTTP has them (RFC 9110 5.6.2)."""
_FRAMING = frozenset(("host", "content-length", "transfer-encoding", "connection", "upgrade", "keep-alive"))
"""Headers that no edit touches: a rewrite names the host, the others frame messages."""

_Item = Mapping[str, Any]


def parse_route(obj: Object, kind: RouteKind) -> Route:
    """Return the route; raises ValueError naming the field that cannot be obeyed."""
    spec, metadata, key = obj.get("spec") or {}, obj["metadata"], key_of(obj)
    match = _http_match if kind is RouteKind.HTTP else _grpc_match
    rules = spec.get("rules") or ([{}] if kind is RouteKind.HTTP else [])
    return Route(
        kind=kind,
        key=key,
        created=metadata.get("creationTimestamp", ""),
        generation=metadata.get("generation", 0),
        parents=parents_of(obj),
        hostnames=tuple(host.lower() for host in spec.get("hostnames") or ()),
        rules=tuple(_rule(rule, f"spec.rules[{at}]", key.namespace, match) for at, rule in enumerate(rules)),
    )


def parents_of(obj: Object) -> tuple[ParentRef, ...]:
    """Return what a route wants to be attached to, in the order given."""
    namespace = obj["metadata"].get("namespace", "")
    return tuple(parent_of(ref, namespace) for ref in (obj.get("spec") or {}).get("parentRefs") or ())


def parent_of(ref: _Item, namespace: str) -> ParentRef:
    """Return what one of `parentRefs` names, of a route in `namespace`."""
    group, kind = ref.get("group", GROUP), ref.get("kind", "Gateway")
    known = (group, kind) in ((GROUP, "Gateway"), ("", "Service"))
    return ParentRef(
        kind=kind if known else f"{kind}.{group}",
        key=Key(ref.get("namespace") or namespace, ref.get("name", "")),
        section=ref.get("sectionName") or "",
        port=ref.get("port") or 0,
    )


def _rule(rule: _Item, at: str, namespace: str, match: Callable[[_Item, str], RouteMatch]) -> Rule:
    matches = tuple(match(one, f"{at}.matches[{i}]") for i, one in enumerate(rule.get("matches") or ({},)))
    filters = _Filters(rule.get("filters") or (), at)
    if filters.replaces_prefix and any(
        m.path_kind not in (PathKind.PREFIX, PathKind.SEPARATED_PREFIX) for m in matches
    ):
        raise ValueError(f"{at}.filters: ReplacePrefixMatch wants every match of the rule to be a PathPrefix")
    backends = rule.get("backendRefs") or ()
    copies = tuple(_copy(found, where, namespace) for found, where in filters.mirrors)
    if copies and filters.redirect is not None:
        raise ValueError(f"{at}.filters: nothing is copied of a request that is redirected")
    return Rule(
        matches=matches,
        backends=tuple(_backend(ref, f"{at}.backendRefs[{i}]", namespace) for i, ref in enumerate(backends)),
        request=filters.request,
        response=filters.response,
        rewrite=filters.rewrite,
        redirect=filters.redirect,
        policy=_policy(rule, at),
        copies=copies,
    )


def _http_match(item: _Item, at: str) -> RouteMatch:
    path = item.get("path") or {}
    kind, value = path.get("type") or "PathPrefix", path.get("value") or "/"
    headers = _conditions(item, "headers", at)
    if item.get("method"):
        headers = (HeaderMatch(":method", TextKind.EXACT, item["method"]), *headers)
    query = _conditions(item, "queryParams", at)
    match kind:
        case "Exact":
            return RouteMatch(value, PathKind.EXACT, headers, query)
        case "RegularExpression":
            return RouteMatch(_pattern(value, f"{at}.path.value"), PathKind.REGEX, headers, query)
        case "PathPrefix":
            prefix = value.rstrip("/")
            kind_ = PathKind.SEPARATED_PREFIX if prefix else PathKind.PREFIX
            return RouteMatch(prefix or "/", kind_, headers, query)
        case _:
            raise ValueError(f"{at}.path.type: {kind!r} is not one of Exact, PathPrefix, RegularExpression")


def _conditions(item: _Item, name: str, at: str) -> tuple[HeaderMatch, ...]:
    """Return the conditions on headers or on parameters; of those with one name the first counts."""
    found: dict[str, HeaderMatch] = {}
    for i, one in enumerate(item.get(name) or ()):
        field = one.get("name", "").lower() if name == "headers" else one.get("name", "")
        kind = _TEXT_KINDS[one.get("type") or "Exact"]
        value = one.get("value", "")
        if kind is TextKind.REGEX:
            _pattern(value, f"{at}.{name}[{i}].value")
        found.setdefault(field, HeaderMatch(field, kind, value))
    return tuple(found[field] for field in sorted(found))


def _grpc_match(item: _Item, at: str) -> RouteMatch:
    method, headers = item.get("method") or {}, _conditions(item, "headers", at)
    service, name = method.get("service") or "", method.get("method") or ""
    if not service and not name:
        return RouteMatch(_EVERYTHING.path, _EVERYTHING.path_kind, headers)
    if method.get("type", "Exact") == "RegularExpression":
        pattern = f"/(?:{service or _SEGMENT})/(?:{name or _SEGMENT})"
        return RouteMatch(_pattern(pattern, f"{at}.method"), PathKind.REGEX, headers)
    if not service:
        return RouteMatch(f"/{_SEGMENT}/{re.escape(name)}", PathKind.REGEX, headers)
    if not name:
        return RouteMatch(f"/{service}/", PathKind.PREFIX, headers)
    return RouteMatch(f"/{service}/{name}", PathKind.EXACT, headers)


def _pattern(text: str, at: str) -> str:
    try:
        check_pattern(text)
    except ValueError as error:
        raise ValueError(f"{at}: {error}") from None
    return text


def _backend(ref: _Item, at: str, namespace: str) -> Backend:
    filters = _Filters(ref.get("filters") or (), at)
    if filters.redirect is not None or filters.rewrite != Rewrite() or filters.mirrors:
        raise ValueError(
            f"{at}.filters: only RequestHeaderModifier and ResponseHeaderModifier are for one backend alone"
        )
    group, kind, port = ref.get("group") or "", ref.get("kind") or "Service", ref.get("port") or 0
    problem = None
    if (group, kind) != ("", "Service"):
        problem = "InvalidKind", f"{at}: {kind}.{group or 'core'} is nothing that requests are sent to; a Service is"
    elif not port:
        problem = "UnsupportedValue", f"{at}.port: missing; a Service is named with a port"
    service = Key(ref.get("namespace") or namespace, ref.get("name", ""))
    weight = ref["weight"] if ref.get("weight") is not None else 1
    return Backend(service, port, weight, filters.request, filters.response, problem)


def _copy(found: _Item, at: str, namespace: str) -> Copy:
    percent, fraction = found.get("percent"), found.get("fraction")
    if percent is not None and fraction is not None:
        raise ValueError(f"{at}: percent or fraction, not both")
    share = _WHOLE if percent is None else percent * _WHOLE // 100
    if fraction is not None:
        share = fraction.get("numerator", 0) * _WHOLE // (fraction.get("denominator") or 100)
    if not 0 <= share <= _WHOLE:
        raise ValueError(f"{at}.fraction: is no part of a whole")
    return Copy(_backend(found.get("backendRef") or {}, f"{at}.backendRef", namespace), share)


class _Filters:
    """What the filters of one list do together."""

    def __init__(self, items: Sequence[_Item], at: str) -> None:
        self.request = HeaderEdits()
        self.response = HeaderEdits()
        self.rewrite = Rewrite()
        self.redirect: Redirect | None = None
        self.replaces_prefix = False
        self.mirrors: list[tuple[_Item, str]] = []
        seen: set[str] = set()
        for i, item in enumerate(items):
            kind = item.get("type", "")
            where = f"{at}.filters[{i}]"
            if kind in seen and kind != "RequestMirror":
                raise ValueError(f"{where}.type: {kind} is given twice")
            seen.add(kind)
            self._add(item, kind, where)
        if self.redirect is not None and self.rewrite != Rewrite():
            raise ValueError(f"{at}.filters: a request is redirected or rewritten, not both")

    def _add(self, item: _Item, kind: str, at: str) -> None:
        match kind:
            case "RequestHeaderModifier":
                self.request = _edits(item.get("requestHeaderModifier") or {}, f"{at}.requestHeaderModifier")
            case "ResponseHeaderModifier":
                self.response = _edits(item.get("responseHeaderModifier") or {}, f"{at}.responseHeaderModifier")
            case "URLRewrite":
                found = item.get("urlRewrite") or {}
                path, prefix = self._path(found.get("path") or {}, f"{at}.urlRewrite.path")
                self.rewrite = Rewrite(found.get("hostname") or "", path, prefix)
            case "RequestMirror":
                self.mirrors.append((item.get("requestMirror") or {}, f"{at}.requestMirror"))
            case "RequestRedirect":
                self.redirect = self._redirect(item.get("requestRedirect") or {}, f"{at}.requestRedirect")
            case _:
                raise ValueError(
                    f"{at}.type: {kind!r} is not supported; RequestHeaderModifier, ResponseHeaderModifier, "
                    "RequestMirror, RequestRedirect and URLRewrite are"
                )

    def _redirect(self, found: _Item, at: str) -> Redirect:
        path, prefix = self._path(found.get("path") or {}, f"{at}.path")
        return Redirect(
            status=found.get("statusCode") or 302,
            scheme=found.get("scheme") or "",
            host=found.get("hostname") or "",
            port=found.get("port") or 0,
            path=path,
            prefix_rewrite=prefix,
        )

    def _path(self, found: _Item, at: str) -> tuple[str, str]:
        """Return what stands for the whole path, and what for the matched prefix; one of them, or none."""
        match found.get("type"):
            case None:
                return "", ""
            case "ReplaceFullPath":
                path = found.get("replaceFullPath") or "/"
                if not path.startswith("/") or "\\" in path:
                    raise ValueError(
                        f"{at}.replaceFullPath: {path!r} is no path; it starts with / and has no backslash"
                    )
                return path, ""
            case "ReplacePrefixMatch":
                self.replaces_prefix = True
                return "", (found.get("replacePrefixMatch") or "").rstrip("/") or "/"
            case other:
                raise ValueError(f"{at}.type: {other!r} is not one of ReplaceFullPath, ReplacePrefixMatch")


def _edits(item: _Item, at: str) -> HeaderEdits:
    def name_of(name: str, where: str) -> str:
        lower = name.lower()
        if lower in _FRAMING or not _TOKEN.fullmatch(lower):
            raise ValueError(f"{at}.{where}: {name!r} is no header that may be edited")
        return lower

    def pairs(action: str) -> tuple[tuple[str, str], ...]:
        items = enumerate(item.get(action) or ())
        return tuple((name_of(one.get("name", ""), f"{action}[{i}].name"), one.get("value", "")) for i, one in items)

    removed = tuple(name_of(name, f"remove[{i}]") for i, name in enumerate(item.get("remove") or ()))
    return HeaderEdits(pairs("set"), pairs("add"), removed)


def _policy(rule: _Item, at: str) -> RoutePolicy | None:
    timeouts, retry = rule.get("timeouts") or {}, rule.get("retry")
    request = _seconds(timeouts, "request", f"{at}.timeouts")
    one_try = _seconds(timeouts, "backendRequest", f"{at}.timeouts")
    if request and one_try and one_try > request:
        raise ValueError(f"{at}.timeouts.backendRequest: is longer than timeouts.request")
    if retry is None:
        if request is None and one_try is None:
            return None
        # With one try its time is the request's.
        return RoutePolicy(request_timeout_s=one_try or request or 0.0)
    backoff = _seconds(retry, "backoff", f"{at}.retry") or 0.0
    tries = Retry(RETRY_ON, retry.get("attempts") or 1, tuple(retry.get("codes") or ()), backoff)
    return RoutePolicy(request_timeout_s=request, try_timeout_s=one_try or 0.0, retry=tries)


def _seconds(owner: _Item, name: str, at: str) -> float | None:
    text = owner.get(name)
    if text is None:
        return None
    try:
        seconds = parse_go(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise ValueError(f"{at}.{name}: {text!r} is no duration; write one such as 1.5s or 500ms")
    return seconds
