"""What the dialects that look at attributes share: the map of names to strings, and its rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents.event import Event

Filter = Callable[[Event], bool]
"""Whether an event passes; never raises."""

MAX_PAIRS = 64
"""Most attributes one filter may name: every event is compared with all of them."""

_NAME = re.compile(r"[a-z][a-z0-9]*\Z")


class FilterError(ConfigError):
    """A filter cannot be compiled: `path` points at the fault. The Trigger is refused."""


def pairs(argument: object, path: str, *, allow_empty_value: bool = False) -> Mapping[str, str]:
    """Return the argument as attribute name -> value; raises FilterError naming the entry at fault."""
    if not isinstance(argument, Mapping) or not argument:
        raise FilterError(path, "must be a map of at least one attribute name to a string")
    if len(argument) > MAX_PAIRS:
        raise FilterError(path, f"names {len(argument)} attributes, more than {MAX_PAIRS}")
    for name, value in argument.items():
        if not isinstance(name, str) or not _NAME.match(name):
            raise FilterError(
                f"{path}.{name}", "attribute names start with a lower-case letter, then letters and digits"
            )
        if not isinstance(value, str):
            raise FilterError(f"{path}.{name}", f"must be a string, not {type(value).__name__}")
        if not value and not allow_empty_value:
            raise FilterError(f"{path}.{name}", "must not be empty")
    return dict(argument)


def every(wanted: Mapping[str, str], holds: Callable[[str, str], bool]) -> Filter:
    """Return the filter that passes when each named attribute is present and `holds(its text, the wanted text)`."""
    items = tuple(wanted.items())
    if len(items) == 1:
        # Most have one, and each event meets each trigger.
        ((only, value),) = items
        return lambda event: only in event.attributes and holds(event.text(only), value)

    def passes(event: Event) -> bool:
        return all(name in event.attributes and holds(event.text(name), value) for name, value in items)

    return passes
