"""Writes what has become of each KIngress: Ready when the data plane has acknowledged its routes, and not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import KINGRESS
from eventmesh.kube.status import Conditions, ConditionSet, condition, conditions_of, is_ready, write_status
from eventmesh.xds.control.acks import RESOLUTION_S, SIDECAR_WAIT_S, Acks, AckTracker
from eventmesh.xds.control.objects import Ingress, is_ours
from eventmesh.xds.control.promises import Promises
from eventmesh.xds.control.quarantine import Quarantine
from eventmesh.xds.control.refusals import ClusterRefusals
from eventmesh.xds.control.services import Settings

KINDS = ConditionSet(("NetworkConfigured", "LoadBalancerReady"))
LAGGING = "DataPlaneLagging"
MISSING = "BackendMissing"
REFUSED = "ConfigurationRefused"

MAX_NAMED = 10
"""Data planes that a condition names; a fleet that lags is a number, and objects have a size."""

QUIET_WAIT_S = 1.0
"""An acknowledgement takes milliseconds; only a longer wait is worth telling, and naming who is waited for."""

RETURN_WAIT_S = 15.0
"""After a start of control, how long that is of what was Ready before and is unchanged: its data planes have its routes
still, and take a moment to say so again. To tell of it would write every route and its owners twice at each restart; a
mesh of a thousand revisions has answered after 4 s."""


class IngressStatus:
    """The controller of KIngress status."""

    def __init__(
        self,
        api: Api,
        ingresses: Informer,
        clock: Clock,
        acks: AckTracker,
        quarantine: Quarantine[Ingress],
        settings: Settings,
        invalid: Callable[[], Mapping[Key, str]],
        conflicts: Callable[[], Mapping[Key, Mapping[str, Key]]],
        refusals: ClusterRefusals,
        elsewhere: Callable[[Key], str | None],
        missing: Callable[[Key], str | None],
    ) -> None:
        """`elsewhere` returns why a data plane of another replica does not take a KIngress, `missing` what it leads to
        that is not there."""
        self.promises = Promises()
        self._api = api
        self._ingresses = ingresses
        self._clock = clock
        self._acks = acks
        self._quarantine = quarantine
        self._settings = settings
        self._invalid = invalid
        self._conflicts = conflicts
        self._refusals = refusals
        self._elsewhere = elsewhere
        self._missing = missing
        self._recorder = EventRecorder(api, "eventmesh-control", clock)
        self.controller = Controller("kingress", ingresses, self.reconcile, clock, recorder=self._recorder)

    async def reconcile(self, key: Key) -> None:
        """Write the status of one KIngress as far as it is known."""
        obj = self._ingresses.get(key.name, key.namespace)
        if obj is None or not is_ours(obj) or is_deleting(obj):
            self.promises.gone(key)
            return
        conditions = Conditions(KINDS, conditions_of(obj), self._clock.now())
        problem = self._problem(key)
        if problem is not None:
            await self._write_problem(obj, conditions, *problem)
            # Whatever ends the problem enqueues the key: a change of the object, or a publication without the conflict.
            self.promises.kept(key)
            return
        publication = self.promises.of(key)
        if publication is None:
            return  # Enqueued again by the publication that will contain it.
        acks = self._acks.of(publication.generation, publication.at)
        if acks.ready and not self._quarantine.holds(key):
            await self._write_ready(obj, key, conditions, acks)
            return
        self.promises.reopened(key)
        quiet_until = publication.at + QUIET_WAIT_S
        if is_ready(obj):
            quiet_until = max(quiet_until, self._acks.opened_at + RETURN_WAIT_S)
        left_s = quiet_until - self._clock.monotonic()
        if acks.again_after_s is not None:
            self.controller.enqueue_after(key, acks.again_after_s)
        if left_s > RESOLUTION_S:
            self.controller.enqueue_after(key, left_s)
        else:
            who = _named(acks.waiting or acks.lagging) or "the data plane"
            conditions.mark_unknown("LoadBalancerReady", "AwaitingAcknowledgement", f"waiting for {who}")
            await self._write(obj, conditions)

    async def _write_problem(self, obj: Object, conditions: Conditions, kind: str, reason: str, message: str) -> None:
        known = condition(obj, kind) or {}
        conditions.mark_false(kind, reason, message)
        await self._write(obj, conditions)
        if reason == REFUSED and (known.get("reason"), known.get("message")) != (reason, message):
            await self._recorder.record(obj, EventKind.WARNING, reason, message)

    def _problem(self, key: Key) -> tuple[str, str, str] | None:
        """Return (condition, reason, message) when the author must change something."""
        if key in self._invalid():
            return "NetworkConfigured", "InvalidIngress", self._invalid()[key]
        refusal = self._quarantine.message(key) or self._refusals.message(key) or self._elsewhere(key)
        if refusal is not None:
            return "NetworkConfigured", REFUSED, refusal
        lost = self._conflicts().get(key)
        if lost:
            message = ", ".join(f"{host} is claimed by {owner}, which is older" for host, owner in sorted(lost.items()))
            return "LoadBalancerReady", "DomainConflict", message
        return None

    async def _write_ready(self, obj: Object, key: Key, conditions: Conditions, acks: Acks) -> None:
        conditions.mark_true("NetworkConfigured")
        conditions.mark_true("LoadBalancerReady")
        missing = self._missing(key)
        if missing is not None:
            conditions.mark(MISSING, "True", "ServiceNotFound", missing)
        else:
            conditions.remove(MISSING)
        if acks.lagging:
            message = f"no acknowledgement within {SIDECAR_WAIT_S:g} s from {_named(acks.lagging)}"
            conditions.mark(LAGGING, "True", "NoAcknowledgement", message)
        else:
            conditions.remove(LAGGING)
            self.promises.kept(key)
        await self._write(obj, conditions)

    async def _write(self, obj: Object, conditions: Conditions) -> None:
        status = {
            "conditions": conditions.result(),
            "publicLoadBalancer": {"ingress": [{"domainInternal": self._settings.public_service}]},
            "privateLoadBalancer": {"ingress": [{"domainInternal": self._settings.local_service}]},
        }
        await write_status(self._api, KINGRESS, obj, status)


def _named(nodes: Sequence[str]) -> str:
    more = len(nodes) - MAX_NAMED
    return ", ".join(nodes[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
