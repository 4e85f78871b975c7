"""Reading what the admin port is asked about events: the query string, checked, as a `Query`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from eventmesh.activator.broker.store.history import MAX_PAGE, Order, Query
from eventmesh.activator.broker.triggers import Subscription, TriggerSource
from eventmesh.base.errors import MeshError
from eventmesh.cloudevents.cesql import CesqlError, compile_cesql
from eventmesh.cloudevents.event import Event

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
        since=moment_of(given, "since"),
        until=moment_of(given, "until"),
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


def subscription_of(name: str, broker: str, triggers: TriggerSource) -> Subscription:
    """Return the trigger called `namespace/name` of a broker; raises BadQuestion when none is served."""
    for subscription in triggers.subscriptions().values():
        if f"{subscription.namespace}/{subscription.name}" == name and subscription.broker == broker:
            return subscription
    raise BadQuestion("trigger", f"no trigger {name!r} of the broker {broker!r} is served")


def number(given: Mapping[str, str], name: str, default: int = 0) -> int:
    """Return a parameter that counts; raises BadQuestion."""
    text = given.get(name)
    if text is None:
        return default
    # Eighteen digits: what SQLite's integers hold.
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadQuestion(name, f"{text[:40]!r} is not a whole number")
    return int(text)


def moment_of(given: Mapping[str, str], name: str) -> float | None:
    """Return a time as seconds since the epoch; None when it is not given. Raises BadQuestion."""
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


def compiled(expression: str) -> Callable[[Event], bool]:
    """Return what a CESQL expression lets pass; raises BadQuestion with line and column."""
    try:
        return compile_cesql(expression).passes
    except CesqlError as error:
        raise BadQuestion("filter", str(error)) from error


def _filtered(query: Query, given: Mapping[str, str]) -> Query:
    expression = given.get("filter")
    return query if expression is None else replace(query, passes=compiled(expression))
