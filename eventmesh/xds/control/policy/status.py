"""Writes what has become of each TrafficPolicy: accepted for what it names, and programmed when data planes obey it."""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import TRAFFIC_POLICY
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.policy.attaching import exists, winners
from eventmesh.xds.control.policy.values import TrafficPolicy
from eventmesh.xds.control.promises import Promises

KINDS = ConditionSet(("Accepted", "Programmed"))


class PolicyStatus:
    """The controller of TrafficPolicy status."""

    def __init__(
        self,
        api: Api,
        policies: Informer,
        clock: Clock,
        acks: AckTracker,
        view: Callable[[str], View],
        invalid: Callable[[Key], str | None],
        refusal: Callable[[TrafficPolicy], str | None],
        is_held: Callable[[Key], bool],
    ) -> None:
        """`view` returns what is in a namespace, `invalid` why a policy is not understood, `refusal` why a data plane
        would not take what it became; `is_held` tells that a policy is not in force, or on trial."""
        self.promises = Promises()
        self._api = api
        self._policies = policies
        self._clock = clock
        self._acks = acks
        self._view = view
        self._invalid = invalid
        self._refusal = refusal
        self._is_held = is_held
        self.controller = Controller("trafficpolicy", policies, self.reconcile, clock)

    async def reconcile(self, key: Key) -> None:
        """Write the status of one TrafficPolicy as far as it is known."""
        obj = self._policies.get(key.name, key.namespace)
        if obj is None or is_deleting(obj):
            self.promises.gone(key)
            return
        conditions = Conditions(KINDS, conditions_of(obj), self._clock.now())
        problem = self._problem(key)
        if problem is not None:
            conditions.mark_false("Accepted", *problem)
            conditions.mark_false("Programmed", "NotAccepted", "nothing is done about a policy that is not accepted")
            await self._write(obj, conditions)
            self.promises.kept(key)
            return
        publication = self.promises.of(key)
        if publication is None:
            return  # Enqueued again by the publication that will contain it.
        conditions.mark_true("Accepted", "Accepted")
        refusal = self._refusal(self._view(key.namespace).policies[key])
        acks = self._acks.of(publication.generation, publication.at)
        if refusal is not None:
            conditions.mark_false("Programmed", "ConfigurationRefused", refusal)
        elif acks.ready and not self._is_held(key):
            conditions.mark_true("Programmed", "Programmed")
            self.promises.kept(key)
        else:
            self.promises.reopened(key)
            conditions.mark_unknown("Programmed", "AwaitingAcknowledgement", "data planes have not answered yet")
            if acks.again_after_s is not None:
                self.controller.enqueue_after(key, acks.again_after_s)
        await self._write(obj, conditions)

    def _problem(self, key: Key) -> tuple[str, str] | None:
        """Return (reason, message) when the policy cannot hold for what it names."""
        wrong = self._invalid(key)
        if wrong is not None:
            return "Invalid", wrong
        view = self._view(key.namespace)
        policy = view.policies.get(key)
        if policy is None:
            return None
        missing = [str(target) for target in policy.targets if not exists(view, target)]
        if missing:
            return "TargetNotFound", f"there is no {', '.join(missing)} in namespace {key.namespace}"
        won = winners(view)
        lost = [
            f"{target} has the older policy {won[target].key.name}"
            for target in policy.targets
            if won[target] != policy
        ]
        return ("Conflicted", "; ".join(lost)) if lost else None

    async def _write(self, obj: Object, conditions: Conditions) -> None:
        await write_status(self._api, TRAFFIC_POLICY, obj, {"conditions": conditions.result()})
