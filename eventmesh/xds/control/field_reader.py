"""Reads the fields of the mesh's own kinds, and collects what is wrong with each. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from eventmesh.base.durations import parse_go
from eventmesh.kube.admission import FieldError

MAX_TIMEOUT_S = 86_400.0
"""A day: a request that may take longer wants no timeout, which is written 0s."""


class FieldReader:
    """Collects what is wrong, so that an author sees all of it at once."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []

    def wrong(self, path: str, message: str) -> None:
        """Take note of what is wrong with the field at `path`."""
        self.errors.append(FieldError(message, path))

    def mapping(self, owner: Mapping[str, Any], name: str, path: str, known: frozenset[str]) -> Mapping[str, Any]:
        """Return a part of the spec; what it holds beside `known` is an error, never passed over in silence."""
        found = owner.get(name)
        return {} if found is None else self.members(found, f"{path}.{name}".removeprefix("."), known)

    def members(self, value: object, path: str, known: frozenset[str]) -> Mapping[str, Any]:
        """Return the object at `path`; as `mapping`."""
        if not isinstance(value, dict):
            self.wrong(path, "expected an object")
            return {}
        for key in sorted(value.keys() - known):
            self.wrong(f"{path}.{key}", f"there is no such field; known are {', '.join(sorted(known))}")
        return value

    def text(self, owner: Mapping[str, Any], name: str, path: str, pattern: re.Pattern[str], *, needed: bool) -> str:
        """Return a text that `pattern` describes; empty when it is wrong, or not there and not needed."""
        value = owner.get(name)
        if value is None or (value == "" and not needed):
            if needed:
                self.wrong(f"{path}.{name}", "missing")
            return ""
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.wrong(f"{path}.{name}", f"{value!r} does not match {pattern.pattern}")
            return ""
        return value

    def seconds(self, owner: Mapping[str, Any], name: str, path: str, *, zero: bool = False) -> float | None:
        """Return a duration in seconds; None when it is wrong or not said."""
        text = owner.get(name)
        if text is None:
            return None
        try:
            seconds = parse_go(text) if isinstance(text, str) else -1.0
        except ValueError:
            seconds = -1.0
        if not (0.0 <= seconds <= MAX_TIMEOUT_S) or (seconds == 0.0 and not zero):
            least = "0s (none)" if zero else "1ms"
            self.wrong(
                f"{path}.{name}", f"{text!r} is no duration from {least} to 24h; write one such as 1.5s or 500ms"
            )
            return None
        return seconds

    def count(self, owner: Mapping[str, Any], name: str, path: str, least: int, most: int) -> int | None:
        """Return a whole number; None when it is wrong or not said."""
        value = owner.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self.wrong(f"{path}.{name}", f"{value!r} is no whole number from {least} to {most}")
            return None
        return value

    def one_of(self, value: object, words: Mapping[str, Any] | frozenset[str], path: str) -> bool:
        """Tell whether `value` is one of `words`, and take note if it is not."""
        if isinstance(value, str) and value in words:
            return True
        self.wrong(path, f"{value!r} is not one of {', '.join(sorted(words))}")
        return False
