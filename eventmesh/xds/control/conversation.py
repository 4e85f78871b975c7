"""What control asks of a call, whatever carries it: requests in, responses out, and who is at the other end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from eventmesh.xds.control.scope import ForeignIdentityError
from eventmesh.xds.identity.spiffe import SCHEME, SpiffeId


class Conversation(Protocol):
    """One call of a client; messages are bytes. One task may send while another receives."""

    @property
    def peer(self) -> str:
        """The client's address."""
        ...

    @property
    def peer_names(self) -> list[str]:
        """The names in the certificate that the client has shown and that was believed; none: it has shown none."""
        ...

    async def receive(self) -> bytes | None:
        """Return the next request; None when there will be no more. Raises MeshError when they break off."""
        ...

    async def send(self, *parts: bytes, on_left: Callable[[int], object] | None = None) -> None:
        """Send one response, made of `parts`; return when it has left. Raises MeshError when nobody is there.

        `on_left` is told how many more bytes of a long one have left.
        """
        ...

    def hang_up(self) -> None:
        """Cut the client off, with whatever is under way to it."""
        ...


def peer_identity(conversation: Conversation) -> SpiffeId | None:
    """Return what the client's certificate proves; None: it has come without TLS.

    Raises ForeignIdentityError for a certificate that does not bear exactly one SPIFFE id.
    """
    names = conversation.peer_names
    if not names:
        return None
    ids = [name for name in names if name.startswith(SCHEME)]
    if len(ids) != 1:
        raise ForeignIdentityError(f"the certificate bears {len(ids)} SPIFFE ids; a workload's bears one")
    try:
        return SpiffeId.parse(ids[0])
    except ValueError as error:
        raise ForeignIdentityError(str(error)) from None
