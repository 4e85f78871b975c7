"""Conditions on a request: on its path, its headers, its parameters, and on any text."""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen


class TextKind(Enum):
    """How a text is compared: the value of a header, an origin."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    PRESENT = "present"
    REGEX = "regex"
    """A regular expression for the whole value."""


@frozen
class TextMatch:
    """A condition on a text."""

    kind: TextKind
    value: str
    ignore_case: bool = False
    """Letters of either case are the same; an expression says so itself."""


class PathKind(Enum):
    """How a path is compared."""

    PREFIX = "prefix"
    EXACT = "exact"
    SEPARATED_PREFIX = "separated_prefix"
    """A prefix that ends at a `/` or at the end of the path (Envoy's path_separated_prefix)."""
    REGEX = "regex"
    """A regular expression for the whole path."""


@frozen
class HeaderMatch:
    """A condition on one request header; `name` is lower case (`:method` is allowed)."""

    name: str
    kind: TextKind
    value: str = ""
    invert: bool = False
    ignore_case: bool = False


@frozen
class RouteMatch:
    """All conditions must hold. The query string takes no part in the path comparison."""

    path: str = "/"
    path_kind: PathKind = PathKind.PREFIX
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[HeaderMatch, ...] = ()
    """Conditions on parameters of the query; a parameter's first value counts, as it is written."""
