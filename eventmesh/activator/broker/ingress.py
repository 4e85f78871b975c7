"""The front door of brokers and channels: a POST takes one CloudEvent in; 202 means it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from eventmesh.activator.broker.addressee import Unaddressed, addressee, channel_of, is_broker
from eventmesh.activator.broker.admittance import Admittance, Everybody, Refused, read, read_batch
from eventmesh.activator.broker.attributes import carried, count_hop, on_arrival
from eventmesh.activator.broker.measures import Measures
from eventmesh.activator.broker.schemas import Violation, diverted
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import CorruptStore, DataTooLong, EventTooLong, StoreError
from eventmesh.activator.broker.store.values import NewEvent, StoredEvent
from eventmesh.activator.broker.triggers import Subscription, TriggerSource
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.model.listener import Listener
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, RouteTable, Serve, VirtualHost
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Traffic
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request
    from eventmesh.core.actions import Headers

HANDLER = "broker"
"""Name under which the ingress is registered, and that its Serve route names."""

MAX_EVENT_BYTES = 1_048_576
"""Longest event body unless somebody asks for another; a longer one is answered 413 before it is read to the end.
Kafka's and JetStream's default is this."""

LEAST_MAX_EVENT_BYTES, MOST_MAX_EVENT_BYTES = 65_536, 4 * 1_048_576
"""What may be asked for. Intermediaries must forward 64 KiB (cloudevents/spec.md, "Size Limits"); 64 requests of a
trigger are under way at once, each with its event: 256 MiB then."""

MAX_BATCH_EVENTS = 1_000
"""Events of one batch: with MAX_EVENT_BYTES for all of them some 1 KiB each. Each is a row and wakes triggers; without
a bound a request of 1 MiB could bring twenty thousand."""

RETRY_AFTER_S = 1
"""What a sender is asked to wait when the store cannot take the event now."""

DAMAGED_RETRY_AFTER_S = 60
"""What a sender is asked to wait when the store is damaged: somebody must come and repair it."""

_ALLOW = ("allow", "POST, OPTIONS")
_WEBHOOK = (("webhook-allowed-origin", "*"), ("webhook-allowed-rate", "*"))

_log = log.get("activator.broker.ingress")


def route_at(address: str, max_event_bytes: int, *others: VirtualHost) -> Snapshot:
    """Return the listener at `address` that takes events in, for brokers and channels and whatever `others` name."""
    everything = Route(RouteMatch("/"), Serve(HANDLER, max_event_bytes), name=HANDLER)
    table = RouteTable(HANDLER, (*others, VirtualHost(HANDLER, ("*",), (everything,))))
    listener = Listener(HANDLER, address, HANDLER, via="broker", traffic=Traffic.INBOUND)
    return Snapshot(version="", listeners=(listener,), route_tables=(table,))


def absent(key: str) -> str:
    """Return the words for a broker or channel that is not there."""
    namespace, name = channel_of(key) or key.split("/")
    return f'no {"channel" if channel_of(key) else "broker"} "{name}" in namespace "{namespace}"'


class Acceptance(Protocol):
    """Who wants to hear of an accepted event."""

    def accepted(self, stored: StoredEvent) -> None:
        """Take note: the event is on disk."""
        ...


class Ingress:
    """Takes events in, from senders and as replies of subscribers."""

    def __init__(
        self,
        store: EventStore,
        triggers: TriggerSource,
        clock: Clock,
        window_s: Callable[[str], float] = lambda _broker: 0.0,
        measures: Measures | None = None,
        admittance: Admittance | None = None,
        violation: Callable[[str, Event], Violation | None] = lambda _broker, _event: None,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        """`window_s` tells for how long a broker knows (source, id) again, `violation` what is wrong with the data of
        an event for it."""
        self._max_event_bytes = max_event_bytes
        self._violation = violation
        self.admittance: Admittance = admittance or Everybody()
        """Who may send to brokers and channels."""
        self._measures = measures or Measures()
        self._store = store
        self._window_s = window_s
        self._triggers = triggers
        self._clock = clock
        self._listeners: list[Acceptance] = []

    def subscribe(self, listener: Acceptance) -> None:
        """Tell `listener` of each event from now on."""
        self._listeners.append(listener)

    def serves(self, broker: str) -> bool:
        """Return whether `broker` is the key of a broker or channel that takes events in."""
        return self._triggers.has_broker(broker)

    async def accept(
        self, broker: str, event: Event, headers: Headers, *, unique_for_s: float | None = None
    ) -> StoredEvent:
        """Return the event once it is on disk; raises InvalidEvent (no hop left, SchemaViolated) or StoreError.

        `broker` is the key of a broker, channel or source; only a broker's events tell when they arrived. One that came
        before, within `unique_for_s` or what its broker asks for, is not stored again (`StoredEvent.duplicate`). One
        that breaks its schema may be stored for the dead letter sink alone.
        """
        return await self._judged(broker, event, headers, self._violation(broker, event), unique_for_s)

    async def _judged(
        self,
        broker: str,
        event: Event,
        headers: Headers,
        violation: Violation | None,
        unique_for_s: float | None = None,
    ) -> StoredEvent:
        """Do with an event what `accept` does, once it is known what is wrong with its data."""
        if violation is not None:
            if violation.diversion is None:
                raise violation.problem
            return await self._divert(broker, event, headers, violation, violation.diversion)
        return await self._store_event(broker, event, headers, unique_for_s)

    async def _take_batch(self, broker: str, sender: str, request: Request) -> None:
        """Take in all events of a batch, or none where one of them would be refused. Raises what `accept` raises.

        When the store fails half-way, some of them are in it, and come again when the sender sends the batch again.
        """
        events = read_batch(request, MAX_BATCH_EVENTS)
        now, judged = self._clock.now(), []
        for event in events:
            self.admittance.admit(broker, sender, event)
            on_arrival(event, now, request.headers)
            violation = self._violation(broker, event)
            if violation is not None and violation.diversion is None:
                raise violation.problem
            judged.append((event, violation))
        # Together: the store gathers them into few transactions. Nothing is answered before all of it has ended.
        accepting = (self._judged(broker, event, request.headers, violation) for event, violation in judged)
        for ended in await asyncio.gather(*accepting, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended

    async def _divert(
        self, broker: str, event: Event, headers: Headers, violation: Violation, diversion: Subscription
    ) -> StoredEvent:
        self._measures.refused(broker, "diverted")
        _log.warning("event diverted", broker=broker, id=event.id, source=event.source, reason=violation.problem)
        # Its place first, in case this is the first event that is diverted: it must not be missed.
        await self._store.open_trigger(diversion.uid, diversion.broker)
        return await self._store_event(diversion.broker, diverted(event, violation), headers)

    async def _store_event(
        self, broker: str, event: Event, headers: Headers, unique_for_s: float | None = None
    ) -> StoredEvent:
        if event.data is not None and len(event.data) > self._max_event_bytes:
            # A request so long was not read; this is a reply, the result of a call, or what a source has made.
            raise DataTooLong(len(event.data), self._max_event_bytes)
        arrived = on_arrival(event, self._clock.now(), headers) if is_broker(broker) else count_hop(event, headers)
        window_s = self._window_s(broker) if unique_for_s is None else unique_for_s
        new = NewEvent(broker, arrived, carried(headers), window_s)
        began = self._clock.monotonic()
        stored = await self._store.append(new)
        self._measures.accepted(broker, self._clock.monotonic() - began, duplicate=stored.duplicate)
        if stored.duplicate:
            _log.debug("event came before", broker=broker, sequence=stored.sequence)
            return stored
        self.heard(stored)
        return stored

    def heard(self, stored: StoredEvent) -> None:
        """Tell who listens of an event that is on disk, be it accepted here or by another who shares the store."""
        for listener in self._listeners:
            listener.accepted(stored)

    async def handle(self, request: Request) -> Reply:
        """Answer one request: 202 accepted, 400 not a valid event, 401 and 403 not from this sender, 404 nobody there,
        405, 413 longer than the store takes, 415, 503 cannot store."""
        if request.method == "OPTIONS":
            return Reply(200, (_ALLOW, *_WEBHOOK))
        if request.method != "POST":
            return Reply(405, (_ALLOW,), b"send events with POST\n")
        try:
            key = addressee(request.authority, request.path)
        except Unaddressed as error:
            return Reply.text(error.status, f"{error}\n")
        if not self._triggers.has_broker(key):
            # Not by its name: anybody may ask for any name, and each would be a row.
            self._measures.refused("", "unknown_broker")
            return Reply.text(404, f"{absent(key)}\n")
        return await self._take(key, request)

    async def _take(self, broker: str, request: Request) -> Reply:
        try:
            sender = await self.admittance.sender(broker, request.headers)
            if http.is_batch(request.headers):
                await self._take_batch(broker, sender, request)
            else:
                event = read(request)
                self.admittance.admit(broker, sender, event)
                await self.accept(broker, event, request.headers)
        except Refused as refused:
            return self._refuse(broker, refused)
        except InvalidEvent as error:
            return self._refuse(broker, Refused.invalid(error))
        except EventTooLong as error:
            self._measures.refused(broker, "too_long")
            return Reply.text(413, f"{error}\n")
        except CorruptStore as error:
            self._measures.refused(broker, "damaged_store")
            _log.error("event not stored", broker=broker, reason=error)
            body = f"the event store is damaged; nothing is taken in until {error.until}\n".encode()
            return Reply(503, (("retry-after", str(DAMAGED_RETRY_AFTER_S)),), body)
        except StoreError as error:
            self._measures.refused(broker, "not_stored")
            _log.error("event not stored", broker=broker, reason=error)
            body = b"the event could not be stored; send it again later\n"
            return Reply(503, (("retry-after", str(RETRY_AFTER_S)),), body)
        return Reply(202)

    def _refuse(self, broker: str, refused: Refused) -> Reply:
        self._measures.refused(broker, refused.reason)
        return refused.reply()
