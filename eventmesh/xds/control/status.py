"""Who is connected, with which versions, and who refused what: for people (`eventmesh control status`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

from eventmesh.base.clock import rfc3339
from eventmesh.base.frozen import frozen
from eventmesh.xds.control.resources import set_version
from eventmesh.xds.control.scope import audience_of
from eventmesh.xds.control.streams import Stream
from eventmesh.xds.control.subscriptions import Subscription
from eventmesh.xds.identity.spiffe import SpiffeId
from eventmesh.xds.resource_types import PUSH_ORDER

Expiry = Callable[[SpiffeId], datetime | None]


class State(Enum):
    """How far a client has come with one type, in Envoy's words (envoy.service.status.v3.ConfigStatus)."""

    SYNCED = "SYNCED"
    """It has acknowledged everything."""
    STALE = "STALE"
    """It owes an answer, or something is about to be sent."""
    ERROR = "ERROR"
    """It has refused something, and goes on with what it had."""
    NOT_ASKED = "NOT_ASKED"
    """It has not subscribed to this type."""


@frozen
class Connection:
    """One open stream."""

    stream: Stream
    peer: str
    since: float
    """When it was opened, in monotonic seconds."""
    identity: SpiffeId | None = None
    """What the client's certificate proves; None: it has shown none."""


def connection_status(connection: Connection, now: float, expiry: Expiry = lambda _: None) -> dict[str, Any]:
    """Return what is known of one client as JSON; `expiry` tells until when an identity's certificate is valid."""
    stream = connection.stream
    identity = connection.identity
    expires = expiry(identity) if identity is not None else None
    return {
        "node": stream.node.id or connection.peer,
        "role": stream.node.role.value,
        "namespace": audience_of(stream.node).namespace,
        "identity": str(identity) if identity is not None else "",
        "certificateExpires": rfc3339(expires) if expires is not None else "",
        "agent": stream.node.user_agent,
        "peer": connection.peer,
        "variant": stream.variant.value,
        "connectedSeconds": round(now - connection.since, 3),
        "types": {type_.short: type_status(stream.subscription(type_)) for type_ in PUSH_ORDER},
    }


def type_status(subscription: Subscription) -> dict[str, Any]:
    """Return how far a client has come with one type."""
    held = subscription.held.accepted.values()
    found: dict[str, Any] = {
        "state": _state(subscription).value,
        "version": set_version(held) if held else "",
        "resources": len(held),
    }
    if subscription.refused or subscription.suspects:
        found["refused"] = sorted({*subscription.refused, *subscription.suspects})
        found["reason"] = subscription.words
    return found


def _state(subscription: Subscription) -> State:
    if not subscription.active:
        return State.NOT_ASKED
    if subscription.refused or subscription.suspects:
        return State.ERROR
    if subscription.in_flight is not None or subscription.dirty or subscription.force:
        return State.STALE
    return State.SYNCED
