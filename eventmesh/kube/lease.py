"""Leader election by a `coordination.k8s.io/v1` Lease: of several replicas one at a time does what only one may do.

The rules are those of `k8s.io/client-go/tools/leaderelection`, so a holder of either kind respects the other. No clock
is ever compared with another machine's: a replica judges a lease by how long *it* has seen the same record, and a
holder stops its work before any other replica may begin, because it gives up earlier (`renew_deadline_s`, counted from
when it *sent* its last renewal) than others wait (`duration_s`, counted from when they saw it).

What this cannot promise is fencing: a write that was sent before the lease was lost may arrive after. Controllers live
with that because their writes carry a resourceVersion.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError, UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import first_of
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.resources import LEASE

_log = log.get("kube.lease")

JITTER = 1.2
"""client-go's JitterFactor: candidates wait up to 2.2 retries, so that they do not ask all at once."""

Work = Callable[[], Coroutine[object, object, object]]
"""What the leader does; cancelled when the lease is lost, and started anew when it is won again."""


@frozen
class LeaseTiming:
    """How fast leadership changes hands; client-go's defaults. Raises ConfigError when the three do not fit."""

    duration_s: int = 15
    """How long others leave a record alone that they have not seen change. Whole seconds: the API knows no others."""
    renew_deadline_s: float = 10.0
    """How long after its last renewal a holder stops by itself; its work has the rest of `duration_s` to end in."""
    retry_s: float = 2.0
    """Between two renewals of the holder; candidates look as often, with jitter."""

    def __post_init__(self) -> None:
        """Hold the order that safety rests on."""
        if self.duration_s < 1 or self.renew_deadline_s >= self.duration_s:
            raise ConfigError(
                "renew_deadline_s", f"{self.renew_deadline_s} must be less than duration_s, {self.duration_s}"
            )
        if not 0 < self.retry_s * JITTER < self.renew_deadline_s:
            raise ConfigError(
                "retry_s", f"{self.retry_s} must be above 0 and, times {JITTER}, less than renew_deadline_s"
            )


class Election:
    """One replica's part in the election for the lease `namespace/name`."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        name: str,
        namespace: str,
        identity: str,
        *,
        timing: LeaseTiming | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`identity` must be no other replica's (`process_identity`); `draw` gives numbers in [0, 1) for the jitter."""
        self._api = api
        self._clock = clock
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._timing = timing or LeaseTiming()
        self._draw = draw
        self._lease: Object | None = None
        """The record as last read or written, None before the first and after a write that met another's."""
        self._seen: Object = {}
        """The spec that `_seen_at` belongs to."""
        self._seen_at = 0.0
        self._held_until = float("-inf")
        self._told = ""

    @property
    def identity(self) -> str:
        """Return how this replica is called."""
        return self._identity

    @property
    def lasts_s(self) -> int:
        """Return how long a lease is left alone that does not change, in seconds."""
        return self._timing.duration_s

    @property
    def leading(self) -> bool:
        """Return whether this replica may act as the leader at this very moment."""
        return self._clock.monotonic() < self._held_until

    @property
    def holder(self) -> str:
        """Return who held the lease when it was last looked at, empty when nobody did; for people to read."""
        return self._seen.get("holderIdentity") or ""

    async def campaign(self, work: Work) -> None:
        """Do `work` whenever this replica leads, until cancelled or until `work` ends by itself.

        `work` is cancelled when the lease is lost and has ended before anything else happens here. The lease is given
        back at the end, so that the next leader need not wait for it to run out. Raises what `work` raises.
        """
        while True:
            await self._win()
            self._told = ""
            _log.info("leading", lease=self._name, identity=self._identity)
            try:
                await first_of(work(), self._keep())
            except _LeaseLost:
                _log.warning("no longer leading", lease=self._name, identity=self._identity, holder=self.holder)
            else:
                return
            finally:
                self._held_until = float("-inf")
                await first_of(self._release(), self._clock.sleep(self._timing.retry_s))

    async def _win(self) -> None:
        while True:
            await self._attempt()
            if self.leading:
                return
            if self.holder:
                self._tell(f"{self.holder} holds it")
            await self._clock.sleep(self._timing.retry_s * (1 + JITTER * self._draw()))

    async def _keep(self) -> None:
        while self.leading:
            await self._clock.sleep(min(self._timing.retry_s, self._left()))
            # An API that hangs must not make the leader overstay.
            await first_of(self._attempt(), self._clock.sleep(self._left()))
        raise _LeaseLost

    def _left(self) -> float:
        return self._held_until - self._clock.monotonic()

    async def _attempt(self) -> None:
        """Renew or take the lease if that is allowed; on any failure everything stays as it was."""
        try:
            if not (self.leading and await self._renew_as_known()):
                await self._read_and_take()
        except (ApiError, UnavailableError) as error:
            if not (isinstance(error, ApiError) and (error.conflict or error.already_exists)):
                self._tell(str(error))
            # Otherwise another candidate was faster: the next attempt will tell.

    def _tell(self, why: str) -> None:
        """Say once why this replica does not lead, or may soon no longer."""
        if why != self._told:
            self._told = why
            _log.info("waiting for the lease", lease=self._name, identity=self._identity, why=why)

    async def _renew_as_known(self) -> bool:
        if self._lease is None:
            return False
        known, self._lease = self._lease, None
        try:
            await self._write(known)
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            return False
        return True

    async def _read_and_take(self) -> None:
        try:
            lease = await self._api.get(LEASE, self._name, self._namespace)
        except ApiError as error:
            if not error.not_found:
                raise
            await self._write(None)
            return
        self._see(lease)
        if self.holder in ("", self._identity) or self._has_run_out():
            await self._write(lease)
        else:
            self._held_until = float("-inf")

    def _has_run_out(self) -> bool:
        lasts_s = self._seen.get("leaseDurationSeconds") or self._timing.duration_s
        return self._clock.monotonic() >= self._seen_at + lasts_s

    async def _write(self, lease: Object | None) -> None:
        """Write ourselves into `lease` (None: there is none yet), and count from before the writing."""
        sent_at = self._clock.monotonic()
        spec = self._claim((lease or {}).get("spec") or {})
        if lease is None:
            stored = await self._api.create(
                LEASE, {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": spec}, self._namespace
            )
        else:
            stored = await self._api.replace(LEASE, {**lease, "spec": spec})
        self._lease = stored
        self._see(stored)
        self._held_until = sent_at + self._timing.renew_deadline_s

    def _claim(self, before: Object) -> Object:
        """Return `before` with ourselves as its holder; fields that others keep there (`strategy`, ...) stay."""
        now = _micro_time(self._clock.now())
        mine = before.get("holderIdentity") == self._identity
        transitions = before.get("leaseTransitions") or 0
        return {
            **before,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._timing.duration_s,
            "acquireTime": before.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": transitions if mine or not before else transitions + 1,
        }

    def _see(self, lease: Object) -> None:
        spec = lease.get("spec") or {}
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock.monotonic()

    async def _release(self) -> None:
        try:
            lease = await self._api.get(LEASE, self._name, self._namespace)
            self._see(lease)
            if self.holder != self._identity:
                return
            now = _micro_time(self._clock.now())
            # One second, as client-go writes it: a reader that does not take an empty holder for free waits no longer.
            free = {**self._seen, "holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": now, "renewTime": now}
            self._see(await self._api.replace(LEASE, {**lease, "spec": free}))
        except (ApiError, UnavailableError) as error:
            # It will run out by itself.
            _log.debug("lease not given back", lease=self._name, identity=self._identity, reason=error)


class _LeaseLost(Exception):
    """The lease is another's, or could not be renewed in time."""


def process_identity() -> str:
    """Return a name that no other process has: the host's (a pod's own name, on a cluster) and eight random digits."""
    return f"{socket.gethostname()}_{os.urandom(4).hex()}"


def _micro_time(moment: datetime) -> str:
    """Return `moment` as the API's MicroTime: UTC, six decimals, a trailing Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
