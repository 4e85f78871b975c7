"""RequestReplies: a POST asks a broker with an event and waits for the event that answers it.

After knative/eventing: cmd/requestreply. A request is marked with a random id, in the attribute that the RequestReply
names; the first event which the broker accepts with that id in the reply attribute is the answer. Knative signs its
ids, because several pods share the answers; here who asked is who hears, and 128 random bits need no signature.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.addressee import broker_key
from eventmesh.activator.broker.admittance import Admittance, Refused, read
from eventmesh.activator.broker.attributes import for_subscriber
from eventmesh.activator.broker.ingress import Ingress, absent
from eventmesh.activator.broker.store.errors import EventTooLong, StoreError
from eventmesh.activator.broker.store.values import StoredEvent
from eventmesh.activator.gatekeeper import request_reply_key
from eventmesh.base import log
from eventmesh.base.errors import ConfigError
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.kube.informer import Informer
from eventmesh.kube.knative import REQUEST_REPLY_INGRESS
from eventmesh.kube.objects import is_deleting
from eventmesh.kube.request_reply import RequestReply, parse_request_reply
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, Serve, VirtualHost
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request
    from eventmesh.core.actions import Headers

HANDLER: Final = "request-reply"
"""Name under which the handler is registered, and that its Serve route names."""

MAX_WAITING: Final = 256
"""Requests that wait at once; one more is answered 503. A quarter of what handlers of a process work on at once
(`transport.serving.MAX_SERVED`): the rest is for events, without which no answer would ever come."""

RETRY_AFTER_S: Final = 1

_log = log.get("activator.request_reply")

_Waiting = tuple[str, str, str]
"""Key of the broker, reply attribute, id."""


def host(max_event_bytes: int) -> VirtualHost:
    """Return the hosts that RequestReplies are addressed by, on the listener that takes events in."""
    route = Route(RouteMatch("/"), Serve(HANDLER, max_event_bytes), name=HANDLER)
    return VirtualHost(HANDLER, (REQUEST_REPLY_INGRESS, f"{REQUEST_REPLY_INGRESS}.*"), (route,))


class RequestReplies:
    """The `ExchangeHandler` of all RequestReplies; hears of every accepted event (`Ingress.subscribe`)."""

    def __init__(self, objects: Informer, ingress: Ingress, admittance: Admittance) -> None:
        self._objects = objects
        self._ingress = ingress
        self._admittance = admittance
        self._waiting: dict[_Waiting, asyncio.Future[Event]] = {}
        self._attributes: dict[tuple[str, str], int] = {}
        """(broker, reply attribute) -> how many wait for it: what an accepted event is looked at for."""

    def accepted(self, stored: StoredEvent) -> None:
        """Hand an answer to whoever waits for it."""
        if not self._waiting:
            return
        for broker, attribute in list(self._attributes):
            if broker == stored.broker and attribute in stored.event.attributes:
                answer = self._waiting.get((broker, attribute, stored.event.text(attribute)))
                if answer is not None and not answer.done():
                    answer.set_result(stored.event)

    async def handle(self, request: Request) -> Reply:
        """Answer one request: 200 with the answering event, 504 when none came in time; 400 no event, 401 and 403 not
        from this sender, 404 nobody there, 405, 409 asked before, 415, 503."""
        if request.method != "POST":
            return Reply(405, (("allow", "POST"),), b"ask with POST\n")
        parts = [part for part in request.path.partition("?")[0].split("/") if part]
        if len(parts) != 2:
            return Reply.text(400, f"path {request.path} is not /<namespace>/<requestreply>\n")
        namespace, name = parts
        obj = self._objects.get(name, namespace)
        if obj is None or is_deleting(obj):
            return Reply.text(404, f'no requestreply "{name}" in namespace "{namespace}"\n')
        try:
            return await self._ask(request_reply_key(namespace, name), parse_request_reply(obj), request)
        except ConfigError as error:
            return Reply.text(503, f'requestreply "{name}" cannot ask: {error}\n')
        except Refused as refused:
            return refused.reply()
        except InvalidEvent as error:
            return Refused.invalid(error).reply()
        except EventTooLong as error:
            return Reply.text(413, f"{error}\n")
        except StoreError as error:
            _log.error("request not stored", requestreply=name, namespace=namespace, reason=error)
            return _later("the event could not be stored; ask again later")

    async def _ask(self, key: str, asked: RequestReply, request: Request) -> Reply:
        sender = await self._admittance.sender(key, request.headers)
        event = read(request)
        broker = broker_key(*asked.broker)
        self._admittance.admit(key, sender, event)
        # It is their event that enters the broker: a RequestReply opens no door that is shut to them.
        self._admittance.admit(broker, sender, event)
        if not self._ingress.serves(broker):
            return Reply.text(503, f"{absent(broker)}\n")
        if len(self._waiting) >= MAX_WAITING:
            return _later(f"{MAX_WAITING} requests wait for their answers already; ask again later")
        mark = secrets.token_urlsafe(16)
        marked = event.with_attributes(**{asked.correlation: mark})
        answer = await self._wait(broker, asked, marked, request.headers, mark)
        if isinstance(answer, Reply):
            return answer
        headers, body = http.encode_binary(for_subscriber(answer))
        return Reply(200, tuple(headers), body)

    async def _wait(self, broker: str, asked: RequestReply, event: Event, headers: Headers, mark: str) -> Event | Reply:
        """Ask, and return the event that answers, or what there is to say instead."""
        waiting, attribute = (broker, asked.reply, mark), (broker, asked.reply)
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = answer
        self._attributes[attribute] = self._attributes.get(attribute, 0) + 1
        try:
            stored = await self._ingress.accept(broker, event, headers)
            if stored.duplicate:
                return Reply.text(409, "an event with this source and id came before, and is not asked with again\n")
            async with asyncio.timeout(asked.timeout_s):
                return await answer
        except TimeoutError:
            return Reply.text(504, f"no event with {asked.reply}={mark} came within {asked.timeout_s:g} s\n")
        finally:
            del self._waiting[waiting]
            self._attributes[attribute] -= 1
            if not self._attributes[attribute]:
                del self._attributes[attribute]


def _later(text: str) -> Reply:
    return Reply(503, (("retry-after", str(RETRY_AFTER_S)),), f"{text}\n".encode())
