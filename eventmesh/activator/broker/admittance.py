"""What is asked of whoever sends to a broker, channel or sink: an event that can be read, and that they may send it.

Who may send, and what a delivery shows, is answered by `activator.gatekeeper` and `activator.tokens`; without
authentication `Everybody` and `Anonymous` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventmesh.base.errors import MeshError
from eventmesh.cloudevents import http
from eventmesh.cloudevents.event import Event, InvalidEvent
from eventmesh.cloudevents.schema import SchemaViolated
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core._core import Request
    from eventmesh.core.actions import Headers

_REASONS = {400: "invalid", 401: "unauthenticated", 403: "forbidden", 415: "unsupported_format"}


class Refused(MeshError):
    """An event is not taken: 400 (it is none), 401 (who sends it?), 403 (not this sender), 415 (an unknown format), 503
    (it cannot be told now)."""

    def __init__(self, status: int, problem: str, reason: str = "") -> None:
        super().__init__(problem)
        self.status = status
        self.reason = reason or _REASONS.get(status, "not_verified")
        """The word for what counts it."""

    @staticmethod
    def invalid(error: InvalidEvent) -> Refused:
        """Return the refusal of an event that breaks a rule, be it found on reading it or later."""
        return Refused(400, str(error), "schema" if isinstance(error, SchemaViolated) else "")

    def reply(self) -> Reply:
        """Return the answer; RFC 6750 §3 wants a challenge with a 401."""
        answer = Reply.text(self.status, f"{self}\n")
        more = {401: (("www-authenticate", "Bearer"),), 503: (("retry-after", "1"),)}.get(self.status, ())
        return Reply(answer.status, (*answer.headers, *more), answer.body)


def read(request: Request) -> Event:
    """Return the event in a request, in whatever mode; raises Refused (400, 415)."""
    try:
        return http.decode(request.headers, request.body)
    except InvalidEvent as error:
        raise Refused.invalid(error) from None
    except http.UnsupportedFormat as error:
        raise Refused(415, str(error)) from None


def read_batch(request: Request, limit: int) -> list[Event]:
    """Return the events of a batch, which may be none; raises Refused (400, also for more than `limit`; 415)."""
    try:
        return http.decode_batch(request.headers, request.body, limit)
    except InvalidEvent as error:
        raise Refused.invalid(error) from None
    except http.UnsupportedFormat as error:
        raise Refused(415, str(error)) from None


class Admittance(Protocol):
    """Decides who may send where; `key` is that of a broker, channel or JobSink."""

    async def sender(self, key: str, headers: Headers) -> str:
        """Return the subject that a request comes from; empty while nobody is asked. Raises Refused."""
        ...

    def admit(self, key: str, sender: str, event: Event) -> None:
        """Return when `sender` may send `event` there; raises Refused."""
        ...


class Credentials(Protocol):
    """What deliveries show of themselves."""

    async def bearer(self, namespace: str, account: str, audience: str) -> str:
        """Return a token of a service account for `audience`; empty while none is to be shown.

        Raises UnavailableError: the delivery is tried again later.
        """
        ...

    def forget(self, namespace: str, account: str, audience: str) -> None:
        """Show that token no more: somebody refused it."""
        ...


class Everybody:
    """An `Admittance` that asks nobody."""

    async def sender(self, key: str, headers: Headers) -> str:
        """Return nothing."""
        return ""

    def admit(self, key: str, sender: str, event: Event) -> None:
        """Refuse nobody."""


class Anonymous:
    """`Credentials` that show nothing."""

    async def bearer(self, namespace: str, account: str, audience: str) -> str:
        """Return nothing."""
        return ""

    def forget(self, namespace: str, account: str, audience: str) -> None:
        """Have nothing to forget."""
