"""The two times an event may carry: when it is worthless, and before when nobody is to have it."""

from __future__ import annotations

from datetime import datetime

from eventmesh.base.clock import Clock
from eventmesh.cloudevents.event import Event, parse_timestamp

EXPIRES = "expirytime"
"""CloudEvents extension "Expiry Time": from then on the event is of no use to anybody."""

DELIVER_AFTER = "deliverafter"
"""Extension of ours: the event is delivered then, not before."""


def is_expired(event: Event, clock: Clock) -> bool:
    """Return whether nobody wants the event any more."""
    # Few events carry a time: the others are not worth a look at the clock.
    moment = _moment(event, EXPIRES)
    return moment is not None and moment <= clock.now()


def due_at(event: Event, clock: Clock) -> float | None:
    """Return when the event is to be delivered (seconds since the epoch); None: now."""
    moment = _moment(event, DELIVER_AFTER)
    return moment.timestamp() if moment is not None and moment > clock.now() else None


def _moment(event: Event, name: str) -> datetime | None:
    return parse_timestamp(event.text(name)) if name in event.attributes else None
