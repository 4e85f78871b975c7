"""route.RouteMatch into RouteMatch: which requests a route, or a rule of jwt_authn, is for."""

from __future__ import annotations

from eventmesh.model.match import HeaderMatch, PathKind, RouteMatch, TextKind
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.translate.headers import read_matcher, read_regex, read_text_match

_PATH_KINDS = {
    "prefix": PathKind.PREFIX,
    "path": PathKind.EXACT,
    "path_separated_prefix": PathKind.SEPARATED_PREFIX,
}


def read_match(match: Message) -> RouteMatch:
    """Return a `route.RouteMatch`. Raises ConfigError with the path of what is wrong."""
    headers = [read_matcher(matcher) for matcher in match.children("headers")]
    query = tuple(_parameter(matcher) for matcher in match.children("query_parameters"))
    if match.has("grpc"):
        headers.append(HeaderMatch("content-type", TextKind.PREFIX, "application/grpc"))
    for field, kind in _PATH_KINDS.items():
        if match.has(field):
            path = match.text(field)
            if kind is not PathKind.PREFIX and not path.startswith("/"):
                raise match.error(field, f"{path!r} must start with /")
            if kind is PathKind.SEPARATED_PREFIX and (path.endswith("/") or "?" in path or "#" in path):
                raise match.error(field, f"{path!r} must hold no ? or # and not end with /")
            return RouteMatch(path or "/", kind, tuple(headers), query)
    regex = match.child("safe_regex")
    if regex is not None:
        return RouteMatch(read_regex(regex), PathKind.REGEX, tuple(headers), query)
    raise match.error("", "has no path condition; give prefix, path, path_separated_prefix or safe_regex")


def _parameter(matcher: Message) -> HeaderMatch:
    name = matcher.text("name")
    if not name:
        raise matcher.error("name", "missing")
    string_match = matcher.child("string_match")
    if string_match is None:
        return HeaderMatch(
            name, TextKind.PRESENT, invert=matcher.has("present_match") and not matcher.flag("present_match")
        )
    text = read_text_match(string_match)
    return HeaderMatch(name, text.kind, text.value)
