"""ReplicaSet: as many pods of one template as it says."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.controllers.workloads.pods import deletion_order, is_active, is_ready_pod
from eventmesh.controllers.workloads.rollout import desired_replicas
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, controller_of, is_deleting, key_of, owner_reference
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import POD, REPLICA_SET
from eventmesh.kube.status import write_status

_log = log.get("workloads.replicaset")

MAX_PODS_AT_ONCE: Final = 50
"""Pods created or deleted in one pass; the rest follows in the next, so that one set cannot starve all others."""

BY_OWNER: Final = "controller-uid"


class ReplicaSets:
    """The controller of ReplicaSets."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._sets = informers.of(REPLICA_SET)
        self._pods = informers.of(POD)
        self._pods.add_index(BY_OWNER, _owner_uid)
        self._recorder = recorder
        # Writes of ours that the cache does not show yet: pods created are counted, pods deleted are not.
        self._created: dict[str, set[str]] = defaultdict(set)
        self._deleted: set[str] = set()
        self._pods.add_handler(self._seen)
        self.controller = Controller("replicasets", self._sets, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._pods, settle_s=SETTLE_S)

    async def reconcile(self, key: Key) -> None:
        """Create or delete pods until there are as many as wanted, and tell the status."""
        replica_set = self._sets.get(key.name, key.namespace)
        if replica_set is None:
            return
        uid = replica_set["metadata"]["uid"]
        pods = [pod for pod in self._pods.by_index(BY_OWNER, uid) if is_active(pod)]
        pods = [pod for pod in pods if pod["metadata"]["uid"] not in self._deleted]
        if not is_deleting(replica_set):
            await self._resize(replica_set, pods)
        await write_status(self._api, REPLICA_SET, replica_set, _status(pods))

    async def _resize(self, replica_set: Object, pods: list[Object]) -> None:
        uid = replica_set["metadata"]["uid"]
        missing = desired_replicas(replica_set) - len(pods) - len(self._created[uid])
        if missing > 0:
            await asyncio.gather(*(self._create(replica_set) for _ in range(min(missing, MAX_PODS_AT_ONCE))))
        elif missing < 0 and not self._created[uid]:
            doomed = sorted(pods, key=deletion_order)[: min(-missing, MAX_PODS_AT_ONCE)]
            await asyncio.gather(*(self._delete(pod) for pod in doomed))
        if abs(missing) > MAX_PODS_AT_ONCE:
            self.controller.enqueue(key_of(replica_set))

    async def _create(self, replica_set: Object) -> None:
        metadata = replica_set["metadata"]
        template = replica_set["spec"]["template"]
        wanted = template.get("metadata") or {}
        pod: Object = {
            "apiVersion": POD.api_version,
            "kind": POD.kind,
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": dict(wanted.get("labels") or {}),
                "annotations": dict(wanted.get("annotations") or {}),
                "ownerReferences": [owner_reference(REPLICA_SET, replica_set)],
            },
            "spec": template["spec"],
        }
        try:
            created = await self._api.create(POD, pod, metadata["namespace"])
        except ApiError as error:
            await self._recorder.record(replica_set, EventKind.WARNING, "FailedCreate", f"pod refused: {error.message}")
            raise
        key = key_of(created)
        if self._pods.get(key.name, key.namespace) is None:
            self._created[metadata["uid"]].add(created["metadata"]["uid"])

    async def _delete(self, pod: Object) -> None:
        metadata = pod["metadata"]
        self._deleted.add(metadata["uid"])
        try:
            await self._api.delete(POD, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except ApiError as error:
            self._deleted.discard(metadata["uid"])
            if not (error.not_found or error.conflict):
                raise

    def _seen(self, old: Object | None, new: Object | None) -> None:
        """Forget what the cache now knows by itself."""
        pod = new or old
        if pod is None:
            return
        uid = pod["metadata"]["uid"]
        owner = controller_of(pod)
        if owner is not None and owner["uid"] in self._created:
            self._created[owner["uid"]].discard(uid)
            if not self._created[owner["uid"]]:
                del self._created[owner["uid"]]
        if new is None or is_deleting(new):
            self._deleted.discard(uid)


def _owner_uid(pod: Object) -> tuple[str, ...]:
    owner = controller_of(pod)
    return (owner["uid"],) if owner is not None else ()


def _status(pods: list[Object]) -> Object:
    ready = sum(is_ready_pod(pod) for pod in pods)
    status: Object = {"replicas": len(pods), "fullyLabeledReplicas": len(pods)}
    return {**status, "readyReplicas": ready, "availableReplicas": ready}
