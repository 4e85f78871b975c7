"""The older `spec.filter.attributes`: every pair must be equal; an empty value asks only for presence.

Compared as text, so that an integer extension equals its digits (knative/eventing compares typed values, and
an integer of a structured event then equals nothing).
"""

from __future__ import annotations

from eventmesh.cloudevents.filters.attributes import Filter, every, pairs


def compile_argument(argument: object, path: str) -> Filter:
    """Return the filter; an absent or empty map passes everything."""
    if not argument:
        return lambda _event: True
    wanted = pairs(argument, path, allow_empty_value=True)
    return every(wanted, lambda text, value: text == value if value else text != "")
