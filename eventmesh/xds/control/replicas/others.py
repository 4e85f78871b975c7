"""Follows the Leases of other replicas. One that has not changed for its duration is dead, and its word with it.

As for the lease of a leader, no clock is compared with another machine's: a Lease counts from when it was *seen* to
change (`kube.lease`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import first_of
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import annotations_of, key_of
from eventmesh.kube.resources import LEASE
from eventmesh.xds.control.acks import RESOLUTION_S
from eventmesh.xds.control.replicas.own import LABELS, RELEASE_S
from eventmesh.xds.control.replicas.versions import Versions
from eventmesh.xds.control.replicas.word import ANNOTATION, UNKNOWN, Refused, Word
from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

_log = log.get("xds.replicas")


@frozen
class _Known:
    holder: str
    word: Word
    until: float
    """When it is dead unless it changes before, in monotonic seconds."""
    uid: str


class OtherReplicas:
    """What the other replicas said last."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        own: str,
        lasts_s: int,
        is_leading: Callable[[], bool],
        on_change: Callable[[Iterable[Refused]], None],
    ) -> None:
        """`own` is the name of this replica's Lease; whoever leads removes those of the dead, also of a leader before.

        `on_change` is called when one says something else than before, with the refusals that are new or void.
        """
        self._api = api
        self._clock = clock
        self._own = own
        self._lasts_s = lasts_s
        self._is_leading = is_leading
        self._on_change = on_change
        self._known: dict[str, _Known] = {}
        self._dead: dict[str, str] = {}
        """Leases that have run out and are there still, with their uids."""
        selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
        self._leases = Informer(api, LEASE, clock, namespace=SYSTEM_NAMESPACE, label_selector=selector)
        self._leases.add_handler(self._changed)

    async def synced(self) -> None:
        """Return when it is known who is there."""
        await self._leases.synced()

    def waiting(self, needs: Versions) -> list[str]:
        """Return who has not acknowledged `needs`: data planes by name, or the replica that has them."""
        return [
            name
            for known in self._known.values()
            if not known.word.covers(needs)
            for name in (
                [f"{node} at {known.holder}" for node in known.word.waiting] or [f"data planes of {known.holder}"]
            )
        ]

    def refusal(self, resource: Resource, obj: Object) -> str | None:
        """Return why a data plane at another replica does not take this form of an object; None when none says so."""
        asked = resource.group_resource, key_of(obj), generation_of(obj)
        return next(filter(None, (known.word.refusal(*asked) for known in self._known.values())), None)

    async def run(self) -> None:
        """Follow them until cancelled."""
        await first_of(self._leases.run(), self._bury())

    async def _bury(self) -> None:
        while True:
            now = self._clock.monotonic()
            dead = {name: known for name, known in self._known.items() if known.until <= now + RESOLUTION_S}
            for name, known in dead.items():
                del self._known[name]
                self._dead[name] = known.uid
                _log.warning("a replica of control is gone", holder=known.holder, clients=known.word.clients)
                self._on_change(known.word.refused)
            if self._is_leading():
                for name, uid in list(self._dead.items()):
                    # A server that hangs must not keep the death of another from being noticed.
                    await first_of(self._remove(name, uid), self._clock.sleep(RELEASE_S))
            nearest = min((known.until for known in self._known.values()), default=now + self._lasts_s)
            # One that appears meanwhile has its whole duration before it.
            await self._clock.sleep(min(nearest - now, self._lasts_s))

    async def _remove(self, name: str, uid: str) -> None:
        try:
            await self._api.delete(LEASE, name, SYSTEM_NAMESPACE, uid=uid)
        except (ApiError, UnavailableError) as error:
            _log.debug("lease of a dead replica not removed", lease=name, reason=error)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        name = key_of(new or old or {}).name
        if name == self._own:
            return
        self._dead.pop(name, None)
        before = self._known.get(name)
        if new is None:
            if before is not None:
                del self._known[name]
                self._on_change(before.word.refused)
            return
        spec = new.get("spec") or {}
        holder = str(spec.get("holderIdentity") or name)
        lasts_s = spec.get("leaseDurationSeconds") or self._lasts_s
        try:
            word = Word.from_json(annotations_of(new).get(ANNOTATION) or "")
        except ValueError as error:
            word = UNKNOWN
            if before is None or before.word is not UNKNOWN:  # It is renewed again and again, and told of once.
                _log.warning(
                    "the word of a replica is not understood", holder=holder, annotation=ANNOTATION, reason=error
                )
        self._known[name] = _Known(holder, word, self._clock.monotonic() + lasts_s, new["metadata"].get("uid") or "")
        if before is None:
            self._on_change(word.refused)
        elif before.word != word:
            self._on_change({*word.refused} ^ {*before.word.refused})


def generation_of(obj: Object) -> int:
    """Return which form of its spec an object has; 0 for kinds that count none."""
    return obj["metadata"].get("generation") or 0
