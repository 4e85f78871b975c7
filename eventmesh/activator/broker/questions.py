"""Reading what the admin port is asked about events: the query string, checked, as a `Query`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from eventmesh.activator.broker.store.history import MAX_PAGE, Order, Query
from eventmesh.base.errors import MeshError
from eventmesh.cloudevents.cesql import CesqlError, compile_cesql

ATTRIBUTES = ("id", "source", "type", "subject")
"""Attributes that may be asked for by name; all others by `filter`."""

MAX_RATE = 1e6
"""Most events a second that may be asked for: no limit at all says the same."""

_KNOWN = frozenset(
    {"broker", "namespace", "after", "before", "since", "until", "filter", "limit", "order", *ATTRIBUTES}
)


class BadQuestion(MeshError):
    """A parameter cannot be read; answer 400."""

    def __init__(self, parameter: str, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}")


def parameters(path: str, known: frozenset[str]) -> dict[str, str]:
    """Return the parameters in the query string of `path`; raises BadQuestion for an unknown one."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(path.partition("?")[2], keep_blank_values=True):
        if name not in known:
            raise BadQuestion(name, f"is no parameter here; known are {', '.join(sorted(known))}")
        if name in found:
            raise BadQuestion(name, "is given twice")
        found[name] = value
    return found


def query_of(path: str, also: frozenset[str] = frozenset()) -> tuple[Query, Mapping[str, str]]:
    """Return what events are asked for, and all parameters; raises BadQuestion. `also`: further parameters allowed."""
    given = parameters(path, _KNOWN | also | set(ATTRIBUTES))
    limit = number(given, "limit", MAX_PAGE)
    if not 1 <= limit <= MAX_PAGE:
        raise BadQuestion("limit", f"must be 1 to {MAX_PAGE}, not {limit}")
    try:
        order = Order(given.get("order", Order.OLDEST_FIRST.value))
    except ValueError:
        raise BadQuestion("order", "must be oldest or newest") from None
    query = Query(
        broker_of(given),
        after=number(given, "after"),
        before=number(given, "before"),
        since=_moment(given, "since"),
        until=_moment(given, "until"),
        equal={name: given[name] for name in ATTRIBUTES if name in given},
        passes=None,
        order=order,
        limit=limit,
    )
    return _filtered(query, given), given


def document(body: bytes, known: Mapping[str, type]) -> dict[str, Any]:
    """Return the JSON object in `body` with fields of these types only; raises BadQuestion naming the field."""
    try:
        given = json.loads(body)
    except ValueError as error:
        raise BadQuestion("body", f"is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise BadQuestion("body", "is not a JSON object")
    for name, value in given.items():
        if name not in known:
            raise BadQuestion(str(name), f"is no field here; known are {', '.join(sorted(known))}")
        # A bool is an int to Python, and an int will do where a float is wanted.
        right = isinstance(value, bool) if known[name] is bool else isinstance(value, known[name] | int)
        if not right or (isinstance(value, bool) and known[name] is not bool):
            raise BadQuestion(str(name), f"must be of type {known[name].__name__}, not {type(value).__name__}")
    return given


def rate_of(given: Mapping[str, Any]) -> float:
    """Return `rate`, events a second; 0: no limit. Raises BadQuestion."""
    rate = given.get("rate", 0.0)
    if not 0 <= rate <= MAX_RATE:
        raise BadQuestion("rate", f"must be 0 (no limit) to {MAX_RATE:.0f} events a second, not {rate}")
    return float(rate)


def broker_of(given: Mapping[str, str]) -> str:
    """Return `namespace/name`, or `namespace/` for all brokers of one."""
    broker, namespace = given.get("broker", ""), given.get("namespace", "")
    if broker:
        if broker.count("/") != 1 or broker.startswith("/") or broker.endswith("/"):
            raise BadQuestion("broker", f"{broker!r} is not NAMESPACE/NAME")
        return broker
    if not namespace or "/" in namespace:
        raise BadQuestion("namespace", "name a namespace, or a broker as NAMESPACE/NAME")
    return f"{namespace}/"


def number(given: Mapping[str, str], name: str, default: int = 0) -> int:
    """Return a parameter that counts; raises BadQuestion."""
    text = given.get(name)
    if text is None:
        return default
    # Eighteen digits: what SQLite's integers hold.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadQuestion(name, f"{text[:40]!r} is not a whole number")
    return int(text)


def _moment(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuestion(name, f"{text[:40]!r} is not a time such as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise BadQuestion(name, f"{text!r} has no time zone: end it with Z or +hh:mm")
    return moment.timestamp()


def _filtered(query: Query, given: Mapping[str, str]) -> Query:
    expression = given.get("filter")
    if expression is None:
        return query
    try:
        return replace(query, passes=compile_cesql(expression).passes)
    except CesqlError as error:
        raise BadQuestion("filter", str(error)) from error
