"""How a text (a header's value, an origin) is compared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class HeaderKind(Enum):
    """How a header value is compared."""

    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    PRESENT = "present"
    REGEX = "regex"
    """A regular expression for the whole value."""


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A condition on a text."""

    kind: HeaderKind
    value: str
    ignore_case: bool = False
    """Letters of either case are the same; an expression says so itself."""
