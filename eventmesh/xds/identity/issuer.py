"""The certificates in use: each made when it is first asked for, and replaced in time for as long as it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from random import random
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import first_of
from eventmesh.xds.identity import rotation
from eventmesh.xds.identity.authority import Authority, Issued
from eventmesh.xds.identity.spiffe import MeshParts, SpiffeId

_log = log.get("xds.identity")

RETRY_S: Final = 60.0
"""How soon a certificate is tried again that could not be issued: it has half its life left."""

CONTROL_HOST: Final = "control.eventmesh-system.svc"
"""A name in control's own certificate, for gRPC clients, which judge servers by host names."""


@frozen
class Renewed:
    """What differs from before."""

    identities: frozenset[SpiffeId] = frozenset()
    roots: bool = False


class Identities:
    """Keeps the certificates of one mesh."""

    def __init__(
        self,
        authority: Authority,
        clock: Clock,
        trust_domain: str,
        draw: Callable[[], float] = random,
        control_names: Iterable[str] = (),
    ) -> None:
        """`control_names` are further host names by which clients know control."""
        self._control_names = (CONTROL_HOST, *control_names)
        self.trust_domain = trust_domain
        self.parts = MeshParts.of(trust_domain)
        self.renewals = 0
        """Certificates that have been replaced since the start."""
        self._authority = authority
        self._clock = clock
        self._draw = draw
        self._current: dict[SpiffeId, Issued] = {}
        self._due: dict[SpiffeId, datetime] = {}
        self._wanted: list[Callable[[SpiffeId], bool]] = []
        self._listeners: list[Callable[[Renewed], None]] = []
        self._new = asyncio.Event()

    def of(self, namespace: str, account: str) -> SpiffeId:
        """Return the id of a service account in this mesh."""
        return SpiffeId(self.trust_domain, namespace, account)

    def current(self, spiffe_id: SpiffeId) -> Issued:
        """Return the certificate of `spiffe_id`, made now if there is none; raises UnavailableError."""
        found = self._current.get(spiffe_id)
        if found is None or found.expires_at <= self._clock.now():
            found = self._issue(spiffe_id)
            self._new.set()
        return found

    def for_server(self, spiffe_id: SpiffeId, host_names: tuple[str, ...]) -> Issued:
        """Return a certificate for clients that go by host names, with a new key; whoever asks keeps and replaces it.

        Only where `makes_keys`. Raises UnavailableError.
        """
        return self._authority.issue(spiffe_id, host_names)

    async def prepare(self) -> None:
        """Get a certificate of control itself, without which nothing can be secured; raises UnavailableError."""
        await self._prepare(self.parts.control)
        self.current(self.parts.control)

    @property
    def makes_keys(self) -> bool:
        """Whether workloads have certificates of us; else each makes its key, and `current` is for control alone."""
        return self._authority.makes_keys

    def bundle(self) -> str:
        """Return the roots to trust now (PEM)."""
        return self._authority.bundle()

    def expiry(self, spiffe_id: SpiffeId) -> datetime | None:
        """Return when the present certificate of `spiffe_id` expires; None: it has none."""
        found = self._current.get(spiffe_id)
        return None if found is None else found.expires_at

    def expiries(self) -> list[datetime]:
        """Return when each of the certificates in use expires."""
        return [issued.expires_at for issued in self._current.values()]

    def listen(self, on_renewed: Callable[[Renewed], None], wants: Callable[[SpiffeId], bool]) -> None:
        """Call `on_renewed` after each change; `wants` says whose certificates are worth replacing."""
        self._listeners.append(on_renewed)
        self._wanted.append(wants)

    async def replace_certificates(self) -> int:
        """Replace every certificate in use now, as after a theft; return how many. Raises UnavailableError."""
        identities = frozenset(self._current)
        for spiffe_id in identities:
            await self._prepare(spiffe_id)
        for spiffe_id in identities:
            self._issue(spiffe_id)
        self.renewals += len(identities)
        self._tell(Renewed(identities))
        self._new.set()
        return len(identities)

    def replace_root(self) -> None:
        """Begin to move the mesh to a new root; raises UnavailableError when the authority was given."""
        self._authority.replace_root()
        self._tell(Renewed(roots=True))
        self._new.set()

    def look_again(self) -> None:
        """Turn to the roots now: somebody else has changed them, or it has become ours to do so."""
        self._new.set()

    def _tell(self, renewed: Renewed) -> None:
        for listener in self._listeners:
            listener(renewed)

    async def run(self) -> None:
        """Replace what comes due until cancelled."""
        while True:
            self._new.clear()
            await first_of(self._until_due(), self._new.wait())
            await self._turn()

    async def _until_due(self) -> None:
        now = self._clock.now()
        moments = [*self._due.values(), *filter(None, (self._authority.next_turn(),))]
        if not moments:
            await self._new.wait()
            return
        left_s = (min(moments) - now).total_seconds()
        # What is overdue could not be issued.
        await self._clock.sleep(left_s if left_s > 0.0 else RETRY_S)

    async def _turn(self) -> None:
        now = self._clock.now()
        due = [spiffe_id for spiffe_id, at in self._due.items() if at <= now]
        try:
            roots = self._authority.turn()
        except MeshError as error:
            _log.error("roots not looked after", reason=error)
            roots = False
        renewed = frozenset([spiffe_id for spiffe_id in due if await self._renew(spiffe_id)])
        if renewed or roots:
            _log.info("certificates renewed", identities=len(renewed), roots=roots)
            self._tell(Renewed(renewed, roots))

    async def _renew(self, spiffe_id: SpiffeId) -> bool:
        if not any(wants(spiffe_id) for wants in self._wanted):
            # Whoever asks next gets one that is new.
            del self._current[spiffe_id], self._due[spiffe_id]
            return False
        try:
            await self._prepare(spiffe_id)
            self._issue(spiffe_id)
        except MeshError as error:
            _log.error("certificate not renewed", identity=spiffe_id, reason=error, retry_s=RETRY_S)
            return False
        self.renewals += 1
        return True

    async def _prepare(self, spiffe_id: SpiffeId) -> None:
        await self._authority.prepare(spiffe_id, self._host_names(spiffe_id))

    def _host_names(self, spiffe_id: SpiffeId) -> tuple[str, ...]:
        return self._control_names if spiffe_id == self.parts.control else ()

    def _issue(self, spiffe_id: SpiffeId) -> Issued:
        issued = self._authority.issue(spiffe_id, self._host_names(spiffe_id))
        self._current[spiffe_id] = issued
        self._due[spiffe_id] = rotation.renewal(issued.issued_at, issued.expires_at, self._draw())
        return issued
