"""Deployment: one ReplicaSet for each version of its template, and a rollout from the old to the new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from eventmesh.base.clock import Clock
from eventmesh.controllers.workloads.deployment_status import deployment_status, progress_deadline
from eventmesh.controllers.workloads.pods import TEMPLATE_HASH
from eventmesh.controllers.workloads.revisions import (
    REVISION,
    find_newest,
    revision_of,
    scale_annotations,
    set_annotations,
    template_hash,
)
from eventmesh.controllers.workloads.rollout import Bounds, Version, desired_replicas, plan, plan_paused
from eventmesh.controllers.workloads.unseen import BY_OWNER, owner_uid
from eventmesh.kube.api import Api, ApiError, Object, Propagation
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import (
    Key,
    annotations_of,
    controller_of,
    is_controlled_by,
    is_deleting,
    key_of,
    labels_of,
    owner_reference,
)
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import DEPLOYMENT, POD, REPLICA_SET
from eventmesh.kube.status import write_status

DEFAULT_HISTORY: Final = 10
"""Kubernetes' own default of revisionHistoryLimit."""


class Deployments:
    """The controller of Deployments."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._recorder = recorder
        self._deployments = informers.of(DEPLOYMENT)
        self._sets = informers.of(REPLICA_SET)
        self._pods = informers.of(POD)
        self._sets.add_index(BY_OWNER, owner_uid)
        self._pods.add_index(BY_OWNER, owner_uid)
        self.controller = Controller("deployments", self._deployments, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._sets, settle_s=SETTLE_S)
        self.controller.watch(self._pods, self._recreated, settle_s=SETTLE_S)

    async def reconcile(self, key: Key) -> None:
        """Bring the ReplicaSets to the sizes that the rollout allows now, and tell the status."""
        deployment = self._deployments.get(key.name, key.namespace)
        if deployment is None or is_deleting(deployment):
            return
        owned = self._sets.by_index(BY_OWNER, deployment["metadata"]["uid"])
        newest = find_newest(deployment, owned)
        older = [item for item in owned if item is not newest]
        if not deployment["spec"].get("paused"):
            newest = await self._current(deployment, newest, older)
        sizes = self._sizes(deployment, newest, older)
        resized = [item for item in filter(None, (newest, *older)) if desired_replicas(item) != _size(item, sizes)]
        for item in resized:
            await self._scale(deployment, item, _size(item, sizes))
        if resized:
            # Somebody may wait for the pods: what there is to tell is told once the ReplicaSets are seen to differ.
            return
        await self._forget_history(deployment, older)
        if newest is not None and revision_of(deployment) != revision_of(newest):
            deployment = await self._number(deployment, revision_of(newest))
        await self._tell(deployment, newest, older)

    def _sizes(self, deployment: Object, newest: Object | None, older: Sequence[Object]) -> dict[str, int]:
        desired, versions = desired_replicas(deployment), [_version(item) for item in older]
        if newest is None or deployment["spec"].get("paused"):
            return plan_paused(desired, [*([_version(newest)] if newest else []), *versions])
        strategy = deployment["spec"].get("strategy") or {}
        if strategy.get("type") == "Recreate" and older:
            present = any(self._pods.by_index(BY_OWNER, item["metadata"]["uid"]) for item in older)
            kept = desired_replicas(newest) if present else desired
            return {newest["metadata"]["name"]: kept, **{version.name: 0 for version in versions}}
        return plan(desired, _version(newest), versions, Bounds.of(deployment))

    def _recreated(self, pod: Object) -> Iterable[Key]:
        """Return the Deployment of the pod if it waits for pods to be gone before it makes new ones."""
        owner = controller_of(pod)
        if owner is None or owner["kind"] != REPLICA_SET.kind:
            return ()
        namespace = pod["metadata"]["namespace"]
        replica_set = self._sets.get(owner["name"], namespace)
        above = controller_of(replica_set) if replica_set is not None else None
        deployment = self._deployments.get(above["name"], namespace) if above is not None else None
        if deployment is None or (deployment["spec"].get("strategy") or {}).get("type") != "Recreate":
            return ()
        return (key_of(deployment),)

    async def _current(self, deployment: Object, newest: Object | None, older: Sequence[Object]) -> Object:
        """Return the ReplicaSet of the present template, made when there is none, and numbered as the newest."""
        annotations = set_annotations(deployment, newest, older)
        seconds = int(deployment["spec"].get("minReadySeconds") or 0)
        if newest is None:
            return await self._create(deployment, annotations, seconds)
        # How many are wanted changes often and is written with the replicas themselves.
        numbers = scale_annotations(deployment)
        differs = {**annotations_of(newest), **numbers} != {**annotations, **numbers}
        if differs or int(newest["spec"].get("minReadySeconds") or 0) != seconds:
            change = {"metadata": {"annotations": annotations}, "spec": {"minReadySeconds": seconds}}
            metadata = newest["metadata"]
            return await self._api.patch(REPLICA_SET, metadata["name"], change, metadata["namespace"])
        return newest

    async def _create(self, deployment: Object, annotations: dict[str, str], min_ready_s: int) -> Object:
        replica_set = _replica_set(deployment, annotations, min_ready_s)
        name, namespace = replica_set["metadata"]["name"], deployment["metadata"]["namespace"]
        try:
            return await self._api.create(REPLICA_SET, replica_set, namespace)
        except ApiError as error:
            if not error.already_exists:
                raise
            # Our own, which the cache does not show yet, or a stranger's: the next pass of the queue sees which.
            found = await self._api.get(REPLICA_SET, name, namespace)
            if not is_controlled_by(found, deployment):
                raise
            return found

    async def _number(self, deployment: Object, number: int) -> Object:
        """Say at the Deployment which version it is at; return it as stored."""
        metadata = deployment["metadata"]
        change = {"metadata": {"annotations": {REVISION: str(number)}}}
        return await self._api.patch(DEPLOYMENT, metadata["name"], change, metadata["namespace"])

    async def _scale(self, deployment: Object, replica_set: Object, size: int) -> None:
        metadata, before = replica_set["metadata"], desired_replicas(replica_set)
        change = {"spec": {"replicas": size}, "metadata": {"annotations": scale_annotations(deployment)}}
        await self._api.patch(REPLICA_SET, metadata["name"], change, metadata["namespace"])
        direction = "up" if size > before else "down"
        message = f"Scaled {direction} replica set {metadata['name']} from {before} to {size}"
        await self._recorder.record(deployment, EventKind.NORMAL, "ScalingReplicaSet", message)

    async def _forget_history(self, deployment: Object, older: Sequence[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit")
        idle = [item for item in older if not desired_replicas(item) and not (item.get("status") or {}).get("replicas")]
        idle = [item for item in idle if not is_deleting(item)]
        idle.sort(key=revision_of)
        for item in idle[: max(0, len(idle) - (DEFAULT_HISTORY if limit is None else int(limit)))]:
            metadata = item["metadata"]
            await self._api.delete(
                REPLICA_SET, metadata["name"], metadata["namespace"], propagation=Propagation.BACKGROUND
            )

    async def _tell(self, deployment: Object, newest: Object | None, older: Sequence[Object]) -> None:
        now = self._clock.now()
        status = deployment_status(deployment, newest, older, now)
        deadline = progress_deadline(deployment, status)
        if deadline is not None:
            # One second later than the deadline: stamps are whole seconds.
            self.controller.enqueue_after(key_of(deployment), (deadline - now).total_seconds() + 1.0)
        await write_status(self._api, DEPLOYMENT, deployment, status)


def _replica_set(deployment: Object, annotations: dict[str, str], min_ready_s: int) -> Object:
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = dict(spec["template"])
    digest = template_hash(template)
    labels = {**((template.get("metadata") or {}).get("labels") or {}), TEMPLATE_HASH: digest}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = dict(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: digest}
    made: Object = {
        "apiVersion": REPLICA_SET.api_version,
        "kind": REPLICA_SET.kind,
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": {**labels_of(deployment), **labels},
            "annotations": annotations,
            "ownerReferences": [owner_reference(DEPLOYMENT, deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if min_ready_s:
        made["spec"]["minReadySeconds"] = min_ready_s
    return made


def _size(replica_set: Object, sizes: Mapping[str, int]) -> int:
    return sizes[replica_set["metadata"]["name"]]


def _version(replica_set: Object) -> Version:
    available = (replica_set.get("status") or {}).get("availableReplicas", 0)
    return Version(replica_set["metadata"]["name"], desired_replicas(replica_set), available)
