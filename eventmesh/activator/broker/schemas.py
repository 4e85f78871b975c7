"""Schemas at the door: what EventTypes say of a broker's or channel's events, and where those go that break it.

An event that is diverted enters a queue of its own, `<namespace>/diverted:<name>`, whose only subscriber is the dead
letter sink of its broker or channel: it is delivered, retried and followed like any other, and reaches no trigger.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

from eventmesh.activator.broker.addressee import broker_key, channel_key
from eventmesh.activator.broker.attributes import MAX_ERROR_DATA_BYTES
from eventmesh.activator.broker.triggers import Identity, Peer, Subscription
from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cloudevents.event import Event
from eventmesh.cloudevents.filters import compile_trigger_filter
from eventmesh.cloudevents.schema import SchemaViolated
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.resources import BROKER, EVENT_TYPE, IN_MEMORY_CHANNEL
from eventmesh.kube.schema_checks import SchemaCheck, Verdict, schema_check_of
from eventmesh.model.delivery import DeliveryPolicy

DIVERTED: Final = "diverted:"

_EVERYTHING = compile_trigger_filter({})

_log = log.get("activator.broker.schemas")


@frozen
class Violation:
    """An event that breaks its schema."""

    problem: SchemaViolated
    diversion: Subscription | None
    """Who gets the event instead; None: nobody, and its sender is told."""


class Schemas:
    """Checks events, and is the `TriggerSource` of what is delivered of those that were diverted."""

    def __init__(self, informers: Informers) -> None:
        self._types = informers.of(EVENT_TYPE)
        self._brokers = informers.of(BROKER)
        self._channels = informers.of(IN_MEMORY_CHANNEL)
        self._checks: dict[Key, SchemaCheck] = {}
        self._by_type: dict[tuple[str, str], list[SchemaCheck]] = {}
        """Key of a broker or channel, and type of an event -> its checks."""
        self._diversions: dict[str, Subscription] = {}
        """By key of the broker or channel."""
        self._listeners: list[Callable[[], None]] = []
        self._types.add_handler(self._type_changed)
        for informer in (self._brokers, self._channels):
            informer.add_handler(lambda _old, _new: self._lay_out())

    def violation(self, key: str, event: Event) -> Violation | None:
        """Return what is wrong with the data of an event for a broker or channel, and what becomes of it."""
        for check in self._by_type.get((key, event.type), ()):
            if check.source not in ("", event.source):
                continue
            try:
                check.schema.check(event)
            except SchemaViolated as broken:
                problem = SchemaViolated(f"{broken.problem} (schema of the EventType {check.name})")
                diverts = check.verdict is Verdict.DIVERT
                return Violation(problem, self._diversions.get(key) if diverts else None)
        return None

    def has_broker(self, broker: str) -> bool:
        """Return False: nobody but the ingress puts events into a queue of diverted ones."""
        return False

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return the dead letter sinks that diverted events go to, by UID."""
        return {made.uid: made for made in self._diversions.values()}

    def exists(self, uid: str) -> bool:
        """Return whether the broker or channel of a diversion is there."""
        return any(_uid_of(obj) == uid for informer in (self._brokers, self._channels) for obj in informer)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change."""
        self._listeners.append(changed)

    def _type_changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        check = None
        if new is not None and not is_deleting(new):
            try:
                check = schema_check_of(new)
            except ConfigError as error:
                # Admission refuses it; one that was stored before is told in its condition.
                _log.warning("events are not checked", event_type=key, reason=error)
        if check is None and key not in self._checks:
            return
        self._checks.pop(key, None)
        if check is not None:
            self._checks[key] = check
        self._by_type = {}
        for each in self._checks.values():
            self._by_type.setdefault((_target_of(each), each.type), []).append(each)
        self._lay_out()

    def _lay_out(self) -> None:
        if not self._checks and not self._diversions:
            return
        diverting = {_target_of(check) for check in self._checks.values() if check.verdict is Verdict.DIVERT}
        wanted = {}
        for informer, named in ((self._brokers, broker_key), (self._channels, channel_key)):
            for key, obj in _by_key(informer, named).items():
                if key in diverting and (made := _diversion(key, obj)):
                    wanted[key] = made
        if wanted == self._diversions:
            return
        self._diversions = wanted
        for changed in self._listeners:
            changed()


def diverted(event: Event, violation: Violation) -> Event:
    """Return the event as a dead letter sink is to receive it: with what is wrong about it."""
    told = str(violation.problem).encode()[:MAX_ERROR_DATA_BYTES]
    return event.with_attributes(knativeerrorcode=400, knativeerrordata=base64.b64encode(told).decode())


def _target_of(check: SchemaCheck) -> str:
    named = broker_key if check.resource is BROKER else channel_key
    return named(check.target.namespace, check.target.name)


def _by_key(informer: Informer, named: Callable[[str, str], str]) -> dict[str, Object]:
    return {named(key_of(obj).namespace, key_of(obj).name): obj for obj in informer if not is_deleting(obj)}


def _uid_of(obj: Object) -> str:
    return f"{obj['metadata']['uid']}-diverted"


def _diversion(key: str, obj: Object) -> Subscription | None:
    """Return who gets what is diverted from a broker or channel; None when it has no dead letter sink."""
    status = obj.get("status") or {}
    uri = status.get("deadLetterSinkUri")
    if not uri:
        return None
    namespace, _, name = key.partition("/")
    return Subscription(
        uid=_uid_of(obj),
        namespace=namespace,
        name=f"{name}-diverted",
        broker=f"{namespace}/{DIVERTED}{name}",
        subscriber_uri=uri,
        passes=_EVERYTHING,
        policy=DeliveryPolicy(),
        prefers_reply=False,
        identity=Identity(subscriber=Peer.in_status(status, "deadLetterSink")),
    )
