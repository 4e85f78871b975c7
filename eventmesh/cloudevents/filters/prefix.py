"""`prefix`: each named attribute is present and begins with the given text, letter case included."""

from __future__ import annotations

from eventmesh.cloudevents.filters.attributes import Filter, every, pairs


def compile_argument(argument: object, path: str) -> Filter:
    """Return the filter; raises FilterError for anything but a non-empty map of strings."""
    return every(pairs(argument, path), str.startswith)
