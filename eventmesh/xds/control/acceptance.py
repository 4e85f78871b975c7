"""Writes what has become of each object of a kind of ours: accepted for what it names, and programmed when data planes
obey it."""

from __future__ import annotations

from collections.abc import Callable

from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.promises import Promises

KINDS = ConditionSet(("Accepted", "Programmed"))

Problem = Callable[[Key], tuple[str, str] | None]
"""Returns (reason, message) when an object cannot hold for what it names; None when it can."""


class AcceptanceStatus:
    """The controller of the status of one kind."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        informer: Informer,
        clock: Clock,
        acks: AckTracker,
        problem: Problem,
        refusal: Callable[[Key], str | None] = lambda key: None,
        is_held: Callable[[Key], bool] = lambda key: False,
        lack: Problem = lambda key: None,
    ) -> None:
        """`refusal` returns why a data plane would not take what an accepted object became; `is_held` tells that it is
        not in force, or on trial; `lack` returns what is missing to do as an accepted object says."""
        self.promises = Promises()
        self._api = api
        self._resource = resource
        self._informer = informer
        self._clock = clock
        self._acks = acks
        self._problem = problem
        self._refusal = refusal
        self._is_held = is_held
        self._lack = lack
        self.controller = Controller(resource.kind.lower(), informer, self.reconcile, clock)

    async def reconcile(self, key: Key) -> None:
        """Write the status of one object as far as it is known."""
        obj = self._informer.get(key.name, key.namespace)
        if obj is None or is_deleting(obj):
            self.promises.gone(key)
            return
        conditions = Conditions(KINDS, conditions_of(obj), self._clock.now())
        problem = self._problem(key)
        if problem is not None:
            conditions.mark_false("Accepted", *problem)
            conditions.mark_false("Programmed", "NotAccepted", "nothing is done about what is not accepted")
            await self._write(obj, conditions)
            self.promises.kept(key)
            return
        publication = self.promises.of(key)
        if publication is None:
            return  # Enqueued again by the publication that will contain it.
        conditions.mark_true("Accepted", "Accepted")
        refusal, lack = self._refusal(key), self._lack(key)
        acks = self._acks.of(publication.generation, publication.at)
        if refusal is not None:
            conditions.mark_false("Programmed", "ConfigurationRefused", refusal)
        elif lack is not None:
            conditions.mark_false("Programmed", *lack)
            self.promises.kept(key)
        elif acks.ready and not self._is_held(key):
            conditions.mark_true("Programmed", "Programmed")
            self.promises.kept(key)
        else:
            self.promises.reopened(key)
            conditions.mark_unknown("Programmed", "AwaitingAcknowledgement", "data planes have not answered yet")
            if acks.again_after_s is not None:
                self.controller.enqueue_after(key, acks.again_after_s)
        await self._write(obj, conditions)

    async def _write(self, obj: Object, conditions: Conditions) -> None:
        await write_status(self._api, self._resource, obj, {"conditions": conditions.result()})
