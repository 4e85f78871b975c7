"""`cesql`: an expression of the CloudEvents SQL language; passes when it is Boolean true without any error."""

from __future__ import annotations

from eventmesh.cloudevents.cesql import CesqlError, compile_cesql
from eventmesh.cloudevents.filters.attributes import Filter, FilterError


def compile_argument(argument: object, path: str) -> Filter:
    """Return the filter; raises FilterError with line and column for a text that is no expression."""
    if not isinstance(argument, str):
        raise FilterError(path, f"must be a string, not {type(argument).__name__}")
    try:
        return compile_cesql(argument).passes
    except CesqlError as error:
        raise FilterError(path, str(error)) from error
