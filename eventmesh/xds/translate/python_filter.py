"""The filter of ours that asks a function in Python; source: docs/python-filters.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from eventmesh.model.access import Off, Step
from eventmesh.model.authz import FilterConfig, PythonFilter
from eventmesh.xds.schema.tree import Json, Message
from eventmesh.xds.translate.sources import read_status

DEFAULT_TIMEOUT_S: Final = 1.0
MAX_TIMEOUT_S: Final = 60.0
"""Longest time that a filter may be given: its caller waits with what it holds."""
MAX_WHOLE: Final = 2**53
"""Largest whole number that a Struct holds exactly."""


def read_python_filter(config: Message) -> PythonFilter:
    """Return a `PythonFilter`. Raises ConfigError with the path of what is wrong."""
    for field in ("file", "name"):
        if not config.text(field):
            raise config.error(field, "missing")
    return PythonFilter(
        config.text("file"),
        config.text("name"),
        config.wait_s("timeout", DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S),
        config.flag("failure_mode_allow"),
        read_status(config, "status_on_error", 503),
        _made_with(config),
    )


def _made_with(config: Message) -> FilterConfig | None:
    members = config.struct("config")
    if not members:
        return None
    try:
        return FilterConfig.of({name: _natural(value) for name, value in members.items()})
    except ValueError as error:  # an infinity, or no number, which only bytes can say
        raise config.error("config", str(error)) from error


def _natural(value: Json) -> Json:
    """Return the value with whole numbers as such: a Struct knows no others than floating-point ones."""
    match value:
        case float() if value.is_integer() and abs(value) <= MAX_WHOLE:
            return int(value)
        case list():
            return [_natural(one) for one in value]
        case dict():
            return {name: _natural(one) for name, one in value.items()}
    return value


def read_python_filter_per_route(config: Message) -> PythonFilter | Off:
    """Return a `PythonFilterPerRoute`."""
    own = config.child("filter")
    if own is not None:
        return read_python_filter(own)
    if not config.flag("disabled"):
        raise config.error("filter", "missing; give it, or disabled: true")
    return Off()


READERS: Mapping[str, Callable[[Message], Step]] = {
    "eventmesh.extensions.filters.http.python_filter.v3.PythonFilter": read_python_filter,
    "eventmesh.extensions.filters.http.python_filter.v3.PythonFilterPerRoute": read_python_filter_per_route,
}
"""How the filter and what routes say of it are read."""
