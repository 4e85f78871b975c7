"""What we ask of a Broker or a Trigger beyond Knative's fields: annotations, read by admission and by the broker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from eventmesh.base.durations import parse_go
from eventmesh.base.errors import ConfigError
from eventmesh.kube.api import Object
from eventmesh.model.delivery import BrokerControls, DeliveryControls

PREFIX: Final = "eventmesh.io/"
PAUSED: Final = "eventmesh.io/paused"
RATE: Final = "eventmesh.io/rate"
ORDER_BY: Final = "eventmesh.io/order-by"
START_FROM: Final = "eventmesh.io/start-from"
DEDUPLICATE: Final = "eventmesh.io/deduplicate"
PREWARM: Final = "eventmesh.io/prewarm"

GRPC_METHOD: Final = "eventmesh.io/grpc-method"
BOLT_METHOD: Final = "eventmesh.io/bolt-method"
DUBBO_METHOD: Final = "eventmesh.io/dubbo-method"
REPLY_TYPE: Final = "eventmesh.io/reply-type"

OF_TRIGGERS: Final = (PAUSED, RATE, ORDER_BY, START_FROM, PREWARM, GRPC_METHOD, BOLT_METHOD, DUBBO_METHOD, REPLY_TYPE)
OF_SUBSCRIPTIONS: Final = (PAUSED, RATE, ORDER_BY)
OF_BROKERS: Final = (DEDUPLICATE, PREWARM)

EARLIEST: Final = "earliest"
"""Value of `start-from` that means everything that is still there."""

MIN_RATE: Final = 0.001
MAX_RATE: Final = 100_000.0
"""Requests a second: fewer than one in a quarter of an hour is a pause, more than these no process sends."""

MAX_WINDOW_S: Final = 7 * 24 * 3600.0
"""Longest time in which duplicates are found: each event of it costs a row on disk, some 60 bytes."""

MAX_PREWARM: Final = 100
"""Most functions of one broker awake on a guess: each is a pod that somebody pays for, perhaps for nothing."""

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}\Z")


def subscription_controls_of(subscription: Object) -> DeliveryControls:
    """Return what the annotations of a Subscription to a channel ask for; as `controls_of`."""
    return _controls(ours(subscription, OF_SUBSCRIPTIONS), subscription)


def controls_of(trigger: Object) -> DeliveryControls:
    """Return what a Trigger's annotations ask for; raises ConfigError naming the annotation that cannot be read."""
    return _controls(ours(trigger, OF_TRIGGERS), trigger)


def _controls(annotations: Mapping[str, str], obj: Object) -> DeliveryControls:
    return DeliveryControls(
        paused=_switch(annotations, PAUSED, otherwise=False),
        rate_per_s=_rate(annotations),
        order_by=_order_by(annotations),
        start_at=_start_at(annotations, obj),
        prewarm=_switch(annotations, PREWARM, otherwise=True),
    )


def broker_controls_of(broker: Object) -> BrokerControls:
    """Return what a Broker's annotations ask for; raises ConfigError naming the annotation that cannot be read."""
    annotations = ours(broker, OF_BROKERS)
    return BrokerControls(deduplicate_s=_window_s(annotations), prewarm=_prewarm(annotations))


def _window_s(annotations: Mapping[str, str]) -> float:
    text = annotations.get(DEDUPLICATE)
    if text is None:
        return 0.0
    seconds = _duration(DEDUPLICATE, text)
    if not 0 < seconds <= MAX_WINDOW_S:
        raise wrong(DEDUPLICATE, f"must be longer than zero and at most 168h, not {text!r}")
    return seconds


def _prewarm(annotations: Mapping[str, str]) -> int:
    text = annotations.get(PREWARM, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= MAX_PREWARM):
        allowed = f"0 (none) to {MAX_PREWARM}"
        raise wrong(PREWARM, f"must be how many functions may be awake on a guess, {allowed}, not {text[:80]!r}")
    return int(text)


def ours(obj: Object, known: tuple[str, ...]) -> Mapping[str, str]:
    """Return the annotations of an object; raises ConfigError naming one of ours that is not of `known`."""
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    for name in annotations:
        # A misspelt one would be silently without effect.
        if name.startswith(PREFIX) and name not in known:
            raise wrong(name, f"unknown annotation; known are {', '.join(known)}")
    return annotations


def _switch(annotations: Mapping[str, str], name: str, *, otherwise: bool) -> bool:
    text = annotations.get(name, str(otherwise).lower())
    if text not in ("true", "false"):
        raise wrong(name, f'must be "true" or "false", not {text[:80]!r}')
    return text == "true"


def _rate(annotations: Mapping[str, str]) -> float:
    text = annotations.get(RATE)
    if text is None:
        return 0.0
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not MIN_RATE <= rate <= MAX_RATE:
        raise wrong(RATE, f"must be a number of requests a second, {MIN_RATE} to {MAX_RATE:.0f}, not {text!r}")
    return rate


def _order_by(annotations: Mapping[str, str]) -> str:
    text = annotations.get(ORDER_BY, "")
    if text and not _ATTRIBUTE.match(text):
        raise wrong(ORDER_BY, f"must be the name of an attribute such as partitionkey, not {text[:80]!r}")
    return text


def _start_at(annotations: Mapping[str, str], trigger: Object) -> float | None:
    text = annotations.get(START_FROM)
    if text is None:
        return None
    if text == EARLIEST:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # So long before the Trigger was made, whenever it is looked at.
        return _made_at(trigger) - _duration(START_FROM, text, 'or "earliest", or a time such as 2026-01-31T12:00:00Z')
    if moment.tzinfo is None:
        raise wrong(START_FROM, f"{text!r} has no time zone: end it with Z or +hh:mm")
    return moment.timestamp()


def _made_at(obj: Object) -> float:
    created = obj["metadata"].get("creationTimestamp")
    return (datetime.fromisoformat(created) if created else datetime.now(UTC)).timestamp()


def _duration(annotation: str, text: str, otherwise: str = "") -> float:
    try:
        return parse_go(text)
    except ValueError as error:
        raise wrong(annotation, f"{error} {otherwise}".strip()) from None


def wrong(annotation: str, problem: str) -> ConfigError:
    """Return the error that says what is wrong with the value of an annotation."""
    return ConfigError(f"metadata.annotations[{annotation}]", problem)
