"""Does what the delivery tables decide: loads events, sends them, stores replies, records ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin

from eventmesh.activator.broker.admittance import Anonymous, Credentials, Refused
from eventmesh.activator.broker.attributes import TTL, as_dead_letter, as_reply, for_subscriber
from eventmesh.activator.broker.delivery import NO_IDENTITY, Answer, Purpose, Send
from eventmesh.activator.broker.ingress import Ingress, absent
from eventmesh.activator.broker.measures import Measures
from eventmesh.activator.broker.retry_after import parse_retry_after
from eventmesh.activator.broker.rpc import calls
from eventmesh.activator.broker.rpc.outcome import NotCallable
from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.activator.broker.triggers import Peer, Subscription, TriggerSource
from eventmesh.activator.broker.unreached import unreached
from eventmesh.activator.broker.worker import TriggerWorker
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.cloudevents.schema import SchemaViolated
from eventmesh.kube.event_policies import subject_of
from eventmesh.model.delivery import WAITING_STATUS, DeliveryFormat, is_delivered
from eventmesh.model.rpc import RpcMethod

if TYPE_CHECKING:
    from eventmesh.core._core import Response
    from eventmesh.core.actions import Headers

RECORD_PASSED_S = 1.0
"""How often it is recorded which events a filter did not let pass, when nothing else is to be recorded."""

MAX_BODY_KEPT = 1024
"""Bytes of an answer's body that are kept for a dead letter."""

Answered = Callable[[Subscription, StoredEvent, StoredEvent | None], None]
"""Who took an event, which, and the reply that a broker of this process has stored; None: there was none."""

_log = log.get("activator.broker.dispatcher")


class Subscribers(Protocol):
    """How a subscriber is reached."""

    async def post(
        self, uri: str, headers: Headers, body: bytes, *, timeout_s: float, hold: bool, peer: Peer
    ) -> Response:
        """Return how the request ended; `hold` lets it wait until a function at zero is awake, `peer` says how who
        is there is spoken to and known."""
        ...

    async def call(self, uri: str, frame: bytes, *, timeout_s: float, hold: bool, peer: Peer) -> Response:
        """Return how the call in a frame of the peer's protocol ended; as `post`."""
        ...


class Dispatcher:
    """Delivers the events of all brokers to all triggers; one per process."""

    def __init__(
        self,
        store: EventStore,
        triggers: TriggerSource,
        ingress: Ingress,
        subscribers: Subscribers,
        clock: Clock,
        measures: Measures | None = None,
        answered: Answered = lambda _subscription, _cause, _reply: None,
        credentials: Credentials | None = None,
    ) -> None:
        """`answered` hears of each event that a subscriber took as it was accepted."""
        self._store = store
        self._credentials: Credentials = credentials or Anonymous()
        self._triggers = triggers
        self._ingress = ingress
        self._subscribers = subscribers
        self._clock = clock
        self._workers: dict[str, TriggerWorker] = {}
        self._unidentified: set[str] = set()
        """UIDs of subscriptions that wait for a token."""
        self._ending: set[str] = set()
        """UIDs of triggers that this process is giving up: what is in flight ends first."""
        self._by_broker: dict[str, list[TriggerWorker]] = {}
        self._offered = 0
        """Sequence of the newest event that was offered to its triggers, or that they look for themselves."""
        self._tasks = TaskGroup("dispatcher")
        self._stopping = False
        self.measures = measures or Measures()
        self._answered = answered

    def start(self) -> None:
        """Begin to deliver; follows Triggers as they come and go."""
        self._ingress.subscribe(self)
        self._triggers.subscribe(self._sync)
        self._store.shares.subscribe(self._sync)
        self._sync()
        self._tasks.spawn("record what passed", self._record_passed())

    async def stop(self) -> None:
        """Give up what is in flight (it will be delivered again after a restart), record what ended, end all tasks."""
        self._stopping = True
        await asyncio.gather(*(worker.cancel() for worker in self._workers.values()))
        await self._tasks.stop()
        for worker in self._workers.values():
            with suppress(StoreError):
                await worker.flush()

    def accepted(self, stored: StoredEvent) -> None:
        """Offer the event to the triggers of its broker."""
        in_order, self._offered = stored.sequence == self._offered + 1, max(self._offered, stored.sequence)
        if in_order:
            for worker in self._by_broker.get(stored.broker, ()):
                worker.offer(stored)
            return
        # One before it is on disk, and whoever sent it has gone away or is told a moment later: all look themselves.
        for worker in self._workers.values():
            worker.wake()

    async def _record_passed(self) -> None:
        while True:
            await self._clock.sleep(RECORD_PASSED_S)
            for worker in self._workers.values():
                worker.record_passed()

    def queued(self, uid: str) -> None:
        """Wake the trigger of that UID: something was put into its queue."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake_for_queue()

    def unserved(self) -> Iterator[tuple[str, int]]:
        """Yield the address of each subscriber, and how many events wait because it has no room for them."""
        for worker in self._workers.values():
            yield worker.subscription.subscriber_uri, worker.table.unserved

    def _sync(self) -> None:
        if self._stopping:
            return
        wanted, shares = self._triggers.subscriptions(), self._store.shares
        shares.want(wanted.keys())
        for uid in self._workers.keys() - {uid for uid in wanted if shares.mine(uid)}:
            worker = self._workers.pop(uid)
            self._unidentified.discard(uid)
            self._ending.add(uid)
            self._tasks.spawn(f"end {uid}", self._end(uid, worker, deleted=not self._triggers.exists(uid)))
        for uid, subscription in wanted.items():
            known = self._workers.get(uid)
            if known is not None:
                known.update(subscription)
            elif shares.mine(uid) and uid not in self._ending:
                self._begin(uid, subscription)
        self._by_broker = {}
        for worker in self._workers.values():
            self._by_broker.setdefault(worker.subscription.broker, []).append(worker)

    def _begin(self, uid: str, subscription: Subscription) -> None:
        self._store.shares.began(uid)
        worker = TriggerWorker(subscription, self._store, self._deliver, self._clock, self._tasks, self.measures)
        self._workers[uid] = worker
        worker.start()

    async def _end(self, uid: str, worker: TriggerWorker, *, deleted: bool) -> None:
        """End the work on a trigger that is deleted, has no subscriber any more, or is another's from now on."""
        await worker.cancel()
        # Only a Trigger that is gone is forgotten; one that lost its subscriber keeps its place.
        if deleted:
            self.measures.forget(worker.subscription)
            await self._forget(uid)
        else:
            with suppress(StoreError):
                await worker.flush()
        self._ending.discard(uid)
        self._store.shares.ended(uid)
        self._sync()

    async def _forget(self, uid: str) -> None:
        with suppress(StoreError):
            await self._store.forget_trigger(uid)

    async def _deliver(self, subscription: Subscription, send: Send, stored: StoredEvent, last: Answer) -> Answer:
        """Send one event once, and tell `answered` what came of it."""
        answer = await self._post(subscription, send, stored, last)
        # What waited in a queue of its own says nothing of how soon replies come.
        if is_delivered(answer.status) and send.purpose is not Purpose.DEAD_LETTER and not send.entry:
            self._answered(subscription, stored, answer.reply)
        return answer

    async def _post(self, subscription: Subscription, send: Send, stored: StoredEvent, last: Answer) -> Answer:
        """Send one event once; a reply is in the store before its cause counts as delivered."""
        if send.purpose is Purpose.DEAD_LETTER:
            event = as_dead_letter(stored.event, subscription.subscriber_uri, last)
            uri, peer = subscription.policy.dead_letter_uri, subscription.identity.dead_letter
        elif subscription.subscriber_key:
            return await self._hand_over(subscription, subscription.subscriber_key, stored.event, stored.carried)
        else:
            event = stored.event
            uri, peer = subscription.subscriber_uri, subscription.identity.subscriber
        hold = send.purpose is not Purpose.DELIVER
        if subscription.rpc is not None and send.purpose is not Purpose.DEAD_LETTER:
            return await self._call(subscription, subscription.rpc, stored, for_subscriber(event), hold=hold)
        prefer = (("prefer", "reply"),) if subscription.prefers_reply else ()
        response = await self._request(
            subscription, uri, peer, _message(event, subscription.policy.format), (*stored.carried, *prefer), hold=hold
        )
        if response is None:
            return Answer(0, NO_IDENTITY)
        if response.error:
            return unreached(response, peer)
        # The headers become Python's values when they are asked for, and most answers are 202 and 200.
        later = self._retry_after(response) if response.status in WAITING_STATUS else None
        answer = Answer(response.status, "", later, response.body[:MAX_BODY_KEPT])
        # 202 means "accepted, no reply"; only a 200 carries one (data-plane.md).
        if send.purpose is not Purpose.DEAD_LETTER and is_delivered(response.status) and response.status != 202:
            return await self._route_reply(subscription, stored, response, answer)
        return answer

    def _retry_after(self, response: Response) -> float | None:
        for name, value in response.headers:
            if name == "retry-after":
                return parse_retry_after(value, self._clock.now())
        return None

    async def _route_reply(
        self, subscription: Subscription, cause: StoredEvent, response: Response, answer: Answer
    ) -> Answer:
        """Hand the reply on, if there is one; return what the delivery then counts as: `answer`, or a failure."""
        if not subscription.reply_to or not http.is_event(response.headers):
            return answer
        try:
            reply = http.decode(response.headers, response.body)
        except (InvalidEvent, http.UnsupportedFormat) as error:
            return Answer(502, body=f"the reply is not a valid event: {error}".encode())
        return await self._hand_on(subscription, cause, reply, response.headers, answer)

    async def _call(
        self, subscription: Subscription, method: RpcMethod, stored: StoredEvent, event: Event, *, hold: bool
    ) -> Answer:
        """Call a method with an event; its result is the reply."""
        peer, timeout_s = subscription.identity.subscriber, subscription.policy.timeout_s

        async def send(headers: Headers) -> Response:
            match calls.call_of(event, method, headers, timeout_s):
                case calls.Posted(path, fields, body):
                    uri = urljoin(subscription.subscriber_uri, path)
                    return await self._subscribers.post(uri, fields, body, timeout_s=timeout_s, hold=hold, peer=peer)
                case calls.Framed(frame):
                    uri = subscription.subscriber_uri
                    return await self._subscribers.call(uri, frame, timeout_s=timeout_s, hold=hold, peer=peer)

        try:
            response = await self._identified(subscription, peer, stored.carried, send)
        except NotCallable as error:
            return Answer(415, body=str(error).encode("utf-8", "replace")[:MAX_BODY_KEPT])
        if response is None:
            return Answer(0, NO_IDENTITY)
        result = calls.result_of(response, method)
        if isinstance(result, Answer):
            return replace(result, body=result.body[:MAX_BODY_KEPT])
        source = f"/apis/v1/namespaces/{subscription.namespace}/triggers/{subscription.name}"
        try:
            reply = calls.reply_of(result, stored.event, method, source)
        except InvalidEvent as error:
            return Answer(502, body=f"the result is not a valid event: {error}".encode())
        done = Answer(200)
        if reply is None or not subscription.reply_to:
            return done
        return await self._hand_on(subscription, stored, reply, (), done)

    async def _hand_on(
        self, subscription: Subscription, cause: StoredEvent, reply: Event, headers: Headers, answer: Answer
    ) -> Answer:
        """Take a reply to whom it is for; return what the delivery then counts as: `answer`, or a failure."""
        if "://" in subscription.reply_to:
            return await self._post_reply(subscription, cause, reply, answer)
        headers = [*cause.carried, *headers]
        handed = await self._hand_over(subscription, subscription.reply_to, as_reply(reply, cause.event), headers)
        if handed.status == 400:
            reason = handed.body.decode()
            _log.warning("reply dropped", trigger=subscription.name, namespace=subscription.namespace, reason=reason)
            return answer
        return replace(answer, reply=handed.reply) if is_delivered(handed.status) else handed

    async def _post_reply(self, subscription: Subscription, cause: StoredEvent, reply: Event, answer: Answer) -> Answer:
        """Send the reply to somebody else; return what the delivery then counts as: `answer`, or a failure."""
        uri = subscription.reply_to
        peer = subscription.identity.reply
        message = http.encode_binary(reply)
        response = await self._request(subscription, uri, peer, message, cause.carried, hold=True)
        if response is None:
            return Answer(0, NO_IDENTITY)
        if not response.error and is_delivered(response.status):
            return answer
        ended = f"gave no answer: {response.error}" if response.error else f"answered {response.status}"
        return Answer(502, body=f"the reply went to {uri}, which {ended}".encode())

    async def _request(
        self,
        subscription: Subscription,
        uri: str,
        peer: Peer,
        message: tuple[list[tuple[str, str]], bytes],
        more: Headers,
        *,
        hold: bool,
    ) -> Response | None:
        """Post a message (headers, body); as `_identified`."""
        fields, body = message
        timeout_s = subscription.policy.timeout_s
        if not peer.audience:
            # Most subscribers ask for no token: without one this runs for each event.
            headers = [*fields, *more, ("kn-namespace", subscription.namespace)]
            return await self._subscribers.post(uri, headers, body, timeout_s=timeout_s, hold=hold, peer=peer)

        async def send(headers: Headers) -> Response:
            return await self._subscribers.post(uri, headers, body, timeout_s=timeout_s, hold=hold, peer=peer)

        return await self._identified(subscription, peer, [*fields, *more], send)

    async def _identified(
        self, subscription: Subscription, peer: Peer, headers: Headers, send: Callable[[Headers], Awaitable[Response]]
    ) -> Response | None:
        """Send with a token where one is asked for; None: there is none to be had now."""
        headers = [*headers, ("kn-namespace", subscription.namespace)]
        if not peer.audience:
            return await send(headers)
        who = (subscription.namespace, subscription.identity.account, peer.audience)
        for is_last in (False, True):
            try:
                token = await self._credentials.bearer(*who)
            except UnavailableError as error:
                if subscription.uid not in self._unidentified:
                    # Once, and not for each event each second.
                    self._unidentified.add(subscription.uid)
                    _log.warning("no token to send with", trigger=subscription.name, reason=error)
                return None
            self._unidentified.discard(subscription.uid)
            response = await send([*headers, ("authorization", f"Bearer {token}")] if token else headers)
            if response.status != 401 or not token or is_last:
                return response
            # Its account may have been made anew, and the token with it: one more try, with another.
            self._credentials.forget(*who)
        raise AssertionError("the last try returns")

    async def _hand_over(self, subscription: Subscription, key: str, event: Event, headers: Headers) -> Answer:
        """Put an event into a broker or channel of this process; it goes on with the hops it has left."""
        if not self._triggers.has_broker(key):
            return Answer(404, body=absent(key).encode())
        account = subscription.identity.account
        try:
            # What comes back from a Trigger's subscriber to the Trigger's own broker is that broker's own affair.
            if key != subscription.broker:
                sender = subject_of(subscription.namespace, account) if account else ""
                self._ingress.admittance.admit(key, sender, event)
        except Refused as error:
            # 503: its own account is not there yet.
            return Answer(0, NO_IDENTITY) if error.status == 503 else Answer(error.status, body=str(error).encode())
        try:
            stored = await self._ingress.accept(key, event, headers)
        except SchemaViolated as error:
            # Unlike a reply without hops left it is not dropped: who made it does not keep what its type promises.
            return Answer(422, body=str(error).encode())
        except InvalidEvent as error:
            return Answer(400, body=str(error).encode())
        except EventTooLong as error:
            return Answer(413, body=str(error).encode())
        except StoreError as error:
            return Answer(503, body=str(error).encode())
        return Answer(202, reply=stored)


def _message(event: Event, form: DeliveryFormat) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of the request that carries an event, without the hop counter."""
    if form is DeliveryFormat.JSON:
        return http.encode_structured(for_subscriber(event))
    return http.encode_binary(event, without=TTL)
