"""Deployment: one ReplicaSet for each version of its template, and a rollout from the old to the new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.controllers.workloads.pods import TEMPLATE_HASH
from eventmesh.controllers.workloads.rollout import Bounds, Version, desired_replicas, plan
from eventmesh.kube.api import Api, ApiError, Object, Propagation
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_controlled_by, is_deleting, key_of, labels_of, owner_reference
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import DEPLOYMENT, REPLICA_SET
from eventmesh.kube.status import condition, write_status

DEFAULT_PROGRESS_DEADLINE_S: Final = 600
"""Kubernetes' own default of progressDeadlineSeconds."""

DEFAULT_HISTORY: Final = 10
"""Kubernetes' own default of revisionHistoryLimit."""

REVISION: Final = "deployment.kubernetes.io/revision"


class Deployments:
    """The controller of Deployments."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._recorder = recorder
        self._deployments = informers.of(DEPLOYMENT)
        self._sets = informers.of(REPLICA_SET)
        self.controller = Controller("deployments", self._deployments, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._sets, settle_s=SETTLE_S)

    async def reconcile(self, key: Key) -> None:
        """Bring the ReplicaSets to the sizes that the rollout allows now, and tell the status."""
        deployment = self._deployments.get(key.name, key.namespace)
        if deployment is None or is_deleting(deployment):
            return
        owned = [item for item in self._sets.list(key.namespace) if is_controlled_by(item, deployment)]
        newest = await self._newest(deployment, owned)
        older = [item for item in owned if item["metadata"]["name"] != newest["metadata"]["name"]]
        versions = [_version(item) for item in older]
        sizes = plan(desired_replicas(deployment), _version(newest), versions, Bounds.of(deployment))
        for item in (newest, *older):
            size = sizes[item["metadata"]["name"]]
            if desired_replicas(item) != size:
                await self._scale(deployment, item, size)
        await self._forget_history(deployment, older)
        await self._tell(deployment, newest, older)

    async def _newest(self, deployment: Object, owned: Sequence[Object]) -> Object:
        """Return the ReplicaSet of the present template, made when there is none."""
        digest = template_hash(deployment["spec"]["template"])
        name = f"{deployment['metadata']['name']}-{digest}"
        for item in owned:
            if item["metadata"]["name"] == name:
                return item
        replica_set = _replica_set(deployment, name, digest, _next_revision(owned))
        try:
            return await self._api.create(REPLICA_SET, replica_set, deployment["metadata"]["namespace"])
        except ApiError as error:
            if not error.already_exists:
                raise
            # Our own, which the cache does not show yet, or a stranger's: the next pass of the queue sees which.
            found = await self._api.get(REPLICA_SET, name, deployment["metadata"]["namespace"])
            if not is_controlled_by(found, deployment):
                raise
            return found

    async def _scale(self, deployment: Object, replica_set: Object, size: int) -> None:
        metadata = replica_set["metadata"]
        await self._api.patch(REPLICA_SET, metadata["name"], {"spec": {"replicas": size}}, metadata["namespace"])
        direction = "up" if size > desired_replicas(replica_set) else "down"
        message = f"Scaled {direction} replica set {metadata['name']} to {size}"
        await self._recorder.record(deployment, EventKind.NORMAL, "ScalingReplicaSet", message)

    async def _forget_history(self, deployment: Object, older: Sequence[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit")
        idle = [item for item in older if not desired_replicas(item) and not (item.get("status") or {}).get("replicas")]
        idle = [item for item in idle if not is_deleting(item)]
        idle.sort(key=_revision)
        for item in idle[: max(0, len(idle) - (DEFAULT_HISTORY if limit is None else int(limit)))]:
            metadata = item["metadata"]
            await self._api.delete(
                REPLICA_SET, metadata["name"], metadata["namespace"], propagation=Propagation.BACKGROUND
            )

    async def _tell(self, deployment: Object, newest: Object, older: Sequence[Object]) -> None:
        counts = _counts(deployment, newest, older)
        now = self._clock.now()
        progressing = _progressing(deployment, newest, counts, now)
        status = {**counts, "conditions": [_available(deployment, counts, now), progressing]}
        if progressing["reason"] == "ReplicaSetUpdated":
            since = datetime.fromisoformat(progressing["lastUpdateTime"])
            wait = since + timedelta(seconds=_deadline_s(deployment)) - now
            # One second later than the deadline: stamps are whole seconds.
            self.controller.enqueue_after(key_of(deployment), wait.total_seconds() + 1.0)
        await write_status(self._api, DEPLOYMENT, deployment, status)


def template_hash(template: Object) -> str:
    """Return ten characters that name this pod template, the same for the same template."""
    canonical = json.dumps(template, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()[:10]


def _replica_set(deployment: Object, name: str, digest: str, revision: int) -> Object:
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = dict(spec["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), TEMPLATE_HASH: digest}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = dict(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), TEMPLATE_HASH: digest}
    return {
        "apiVersion": REPLICA_SET.api_version,
        "kind": REPLICA_SET.kind,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**labels_of(deployment), **labels},
            "annotations": {REVISION: str(revision)},
            "ownerReferences": [owner_reference(DEPLOYMENT, deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }


def _next_revision(owned: Sequence[Object]) -> int:
    return 1 + max((_revision(item) for item in owned), default=0)


def _revision(replica_set: Object) -> int:
    return int((replica_set["metadata"].get("annotations") or {}).get(REVISION, 0))


def _version(replica_set: Object) -> Version:
    available = (replica_set.get("status") or {}).get("availableReplicas", 0)
    return Version(replica_set["metadata"]["name"], desired_replicas(replica_set), available)


def _deadline_s(deployment: Object) -> int:
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return DEFAULT_PROGRESS_DEADLINE_S if seconds is None else int(seconds)


def _counts(deployment: Object, newest: Object, older: Sequence[Object]) -> dict[str, int]:
    statuses = [item.get("status") or {} for item in (newest, *older)]
    available = sum(status.get("availableReplicas", 0) for status in statuses)
    counts = {
        "replicas": sum(status.get("replicas", 0) for status in statuses),
        "updatedReplicas": statuses[0].get("replicas", 0),
        "readyReplicas": sum(status.get("readyReplicas", 0) for status in statuses),
        "availableReplicas": available,
        "unavailableReplicas": max(0, desired_replicas(deployment) - available),
    }
    # Kubernetes leaves zeros out, and clients print what is there.
    return {name: count for name, count in counts.items() if count}


def _available(deployment: Object, counts: dict[str, int], now: datetime) -> Object:
    least = max(0, desired_replicas(deployment) - Bounds.of(deployment).unavailable)
    if counts.get("availableReplicas", 0) >= least:
        wanted = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        wanted = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    return _condition(deployment, "Available", *wanted, now)


def _progressing(deployment: Object, newest: Object, counts: dict[str, int], now: datetime) -> Object:
    name = newest["metadata"]["name"]
    desired = desired_replicas(deployment)
    complete = (
        counts.get("updatedReplicas", 0) == desired == counts.get("availableReplicas", 0) == counts.get("replicas", 0)
    )
    if complete:
        message = f'ReplicaSet "{name}" has successfully progressed.'
        return _condition(deployment, "Progressing", "True", "NewReplicaSetAvailable", message, now)
    stored = condition(deployment, "Progressing")
    before = deployment.get("status") or {}
    moved = before.get("observedGeneration") != deployment["metadata"].get("generation") or any(
        counts.get(field, 0) > before.get(field, 0) for field in ("updatedReplicas", "readyReplicas")
    )
    if stored is not None and not moved and stored.get("reason") != "NewReplicaSetAvailable":
        since = datetime.fromisoformat(stored["lastUpdateTime"])
        if now - since <= timedelta(seconds=_deadline_s(deployment)) and stored["status"] == "True":
            return stored
        message = f'ReplicaSet "{name}" has timed out progressing.'
        return _condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded", message, now)
    progress = _condition(
        deployment, "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.', now
    )
    return {**progress, "lastUpdateTime": rfc3339(now)}


def _condition(deployment: Object, kind: str, status: str, reason: str, message: str, now: datetime) -> Object:
    """Return the condition; its stamps stay while it says the same."""
    stored = condition(deployment, kind)
    if stored is not None and (stored["status"], stored.get("reason"), stored.get("message")) == (
        status,
        reason,
        message,
    ):
        return stored
    turned = stored is None or stored["status"] != status
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": rfc3339(now),
        "lastTransitionTime": rfc3339(now) if turned or stored is None else stored["lastTransitionTime"],
    }
