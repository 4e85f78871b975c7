"""ReplicaSet: as many pods of one template as it says."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import TemporaryError
from eventmesh.controllers.workloads.pods import available_in_s, deletion_order, is_active, is_ready_pod, pod_of
from eventmesh.controllers.workloads.rollout import desired_replicas
from eventmesh.controllers.workloads.unseen import UnseenWrites
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import POD, REPLICA_SET
from eventmesh.kube.status import condition, write_status

_log = log.get("workloads.replicaset")

MAX_PODS_AT_ONCE: Final = 50
"""Pods created or deleted in one pass; the rest follows in the next, so that one set cannot starve all others."""


RETRY_S: Final = 3.0
"""After pods were refused (no such service account): what was missing may be there by then."""


class ReplicaSets:
    """The controller of ReplicaSets."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._sets = informers.of(REPLICA_SET)
        self._pods = informers.of(POD)
        self._unseen = UnseenWrites(api, self._pods)
        self._recorder = recorder
        self._clock = clock
        self.controller = Controller("replicasets", self._sets, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._pods, settle_s=SETTLE_S)

    async def reconcile(self, key: Key) -> None:
        """Create or delete pods until there are as many as wanted, and tell the status."""
        replica_set = self._sets.get(key.name, key.namespace)
        if replica_set is None:
            return
        uid = replica_set["metadata"]["uid"]
        pods = [pod for pod in self._unseen.pods_of(uid) if is_active(pod)]
        refused: ApiError | None = None
        if not is_deleting(replica_set):
            try:
                await self._resize(replica_set, pods)
            except ApiError as error:
                refused = error
        now, least_s = self._clock.now(), float(replica_set["spec"].get("minReadySeconds") or 0)
        waits = [left for pod in pods if (left := available_in_s(pod, least_s, now)) is not None]
        status = _status(pods, sum(left <= 0 for left in waits))
        if refused is not None:
            status["conditions"] = [_failure(replica_set, refused, now)]
        await write_status(self._api, REPLICA_SET, replica_set, status)
        if refused is not None:
            raise TemporaryError(refused.message, RETRY_S)
        soon = min((left for left in waits if left > 0), default=None)
        if soon is not None:
            # One second later than due: stamps are whole seconds.
            self.controller.enqueue_after(key, soon + 1.0)

    async def _resize(self, replica_set: Object, pods: list[Object]) -> None:
        uid = replica_set["metadata"]["uid"]
        missing = desired_replicas(replica_set) - len(pods) - self._unseen.created(uid)
        if missing > 0:
            await asyncio.gather(*(self._create(replica_set) for _ in range(min(missing, MAX_PODS_AT_ONCE))))
        elif missing < 0 and not self._unseen.created(uid):
            doomed = sorted(pods, key=deletion_order)[: min(-missing, MAX_PODS_AT_ONCE)]
            await asyncio.gather(*(self._unseen.delete(pod) for pod in doomed))
        if abs(missing) > MAX_PODS_AT_ONCE:
            self.controller.enqueue(key_of(replica_set))

    async def _create(self, replica_set: Object) -> None:
        metadata = replica_set["metadata"]
        pod = pod_of(REPLICA_SET, replica_set)
        try:
            await self._unseen.create(pod, metadata["uid"], metadata["namespace"])
        except ApiError as error:
            message = f"Error creating: {error.message}"
            await self._recorder.record(replica_set, EventKind.WARNING, "FailedCreate", message)
            raise


def _status(pods: list[Object], available: int) -> Object:
    status: Object = {"replicas": len(pods), "fullyLabeledReplicas": len(pods)}
    return {**status, "readyReplicas": sum(is_ready_pod(pod) for pod in pods), "availableReplicas": available}


def _failure(replica_set: Object, error: ApiError, now: datetime) -> Object:
    """Return the condition that says why there are too few pods; its stamp stays while it says the same."""
    stored = condition(replica_set, "ReplicaFailure")
    written = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": error.message}
    since = stored["lastTransitionTime"] if stored is not None else rfc3339(now)
    return {**written, "lastTransitionTime": since}
