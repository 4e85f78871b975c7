"""The seam to identities: who sends to a broker, channel or JobSink, whether they may, and what a delivery shows.

What answers these questions stands in `activator.gatekeeper` and `activator.tokens`; without authentication
`Everybody` and `Anonymous` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventmesh.base.errors import MeshError
from eventmesh.cloudevents.event import Event
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.core.actions import Headers


class Refused(MeshError):
    """A sender may not send: 401 (who is it?), 403 (not this one), 503 (it cannot be told now)."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status

    @property
    def reason(self) -> str:
        """Return the word for what counts it."""
        return {401: "unauthenticated", 403: "forbidden"}.get(self.status, "not_verified")

    def reply(self) -> Reply:
        """Return the answer; RFC 6750 §3 wants a challenge with a 401."""
        answer = Reply.text(self.status, f"{self}\n")
        more = {401: (("www-authenticate", "Bearer"),), 503: (("retry-after", "1"),)}.get(self.status, ())
        return Reply(answer.status, (*answer.headers, *more), answer.body)


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
