"""The attributes and headers that Knative's brokers add, count down, carry and strip.

Sources: knative/eventing: pkg/broker/ttl.go, pkg/utils/headers.go, pkg/kncloudevents (dead letters).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime

from eventmesh.activator.broker.delivery import Answer
from eventmesh.base.clock import rfc3339
from eventmesh.cloudevents.event import Event, InvalidEvent

TTL = "knativebrokerttl"

MAX_HOPS = 255
"""Times an event and its replies may pass a broker (upstream's MAX_TTL): a trigger that matches its own reply ends."""

MAX_ERROR_DATA_BYTES = 1024
"""Bytes of a failing answer that a dead letter shows; upstream's own bound."""

_CARRIED = frozenset({"x-request-id", "traceparent", "tracestate"})
_CARRIED_PREFIXES = ("knative-", "x-b3-")


Headers = Iterable[tuple[str, str]]


def count_hop(event: Event, headers: Headers = ()) -> Event:
    """Return the event with one hop used up, and the trace that it came with by `headers`; raises InvalidEvent when no
    hop is left."""
    return event.with_attributes(knativebrokerttl=_hops_left(event), **_trace(event, headers))


def on_arrival(event: Event, now: datetime, headers: Headers = ()) -> Event:
    """Return the event as a broker stores it: as `count_hop` does, and its arrival time set."""
    # In one step: a copy of an event costs as much as reading it.
    hops, trace = _hops_left(event), _trace(event, headers)
    return event.with_attributes(knativebrokerttl=hops, knativearrivaltime=rfc3339(now), **trace)


def _trace(event: Event, headers: Headers) -> dict[str, str]:
    """Return the attributes of CloudEvents' distributed tracing extension for an event that has none: it tells of the
    trace in which the event began, and does not change on the way."""
    if "traceparent" in event.attributes:
        return {}
    return {name: value for name, value in headers if value and name in ("traceparent", "tracestate")}


def _hops_left(event: Event) -> int:
    hops = MAX_HOPS
    if TTL in event.attributes:
        try:
            hops = int(event.text(TTL)) - 1
        except ValueError:
            hops = MAX_HOPS
    if hops <= 0:
        raise InvalidEvent(
            TTL, f"the event has passed brokers {MAX_HOPS} times: a trigger seems to match its own reply"
        )
    return hops


def for_subscriber(event: Event) -> Event:
    """Return the event as a subscriber receives it: without the hop counter."""
    return event.without(TTL)


def as_reply(reply: Event, original: Event) -> Event:
    """Return the reply as it enters the broker: it goes on with the hops that its cause has left."""
    return reply.with_attributes(knativebrokerttl=original.attributes.get(TTL))


def as_dead_letter(event: Event, subscriber_uri: str, failure: Answer) -> Event:
    """Return the event as its dead letter sink receives it: with what went wrong, where."""
    text = failure.body[:MAX_ERROR_DATA_BYTES] or failure.error.encode()
    data = base64.b64encode(text).decode() if text else None
    return event.with_attributes(
        knativebrokerttl=None,
        knativeerrordest=subscriber_uri,
        knativeerrorcode=failure.status or 500,
        knativeerrordata=data,
    )


def carried(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return the headers that travel on with an event; all others (Authorization, cookies) end at the broker."""
    return tuple((name, value) for name, value in headers if name in _CARRIED or name.startswith(_CARRIED_PREFIXES))
