"""Revision: resolves images, keeps a Deployment and a PodAutoscaler, and tells whether it can serve."""

from __future__ import annotations

import asyncio
from typing import Any

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import MeshError, UnavailableError
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.images import ImageResolver
from eventmesh.controllers.serving.names import REVISION as REVISION_LABEL
from eventmesh.controllers.serving.resources.deployment import deployment
from eventmesh.controllers.serving.resources.pod_autoscaler import pod_autoscaler
from eventmesh.controllers.serving.revision_status import (
    RESOURCES_AVAILABLE,
    REVISION_CONDITIONS,
    mark_autoscaling,
    mark_resources,
    mark_unknown_image,
)
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import DEPLOYMENT, POD, POD_AUTOSCALER, REVISION
from eventmesh.kube.status import Conditions, conditions_of, write_status

_log = log.get("controllers.serving.revision")

BY_REVISION = "revision"
IMAGE_RETRY_S = 2.0
"""An image that is not there may be added at any time, and no object tells of it."""
_DEPLOYMENT_ANNOTATIONS = ("deployment.kubernetes.io/revision",)
"""Written on Deployments by their own controller."""


class Revisions:
    """The controller of Revisions."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        recorder: EventRecorder,
        settings: SettingsStore,
        images: ImageResolver,
    ) -> None:
        self._api = api
        self._clock = clock
        self._children = Children(api)
        self._settings = settings
        self._images = images
        self._revisions = informers.of(REVISION)
        self._deployments = informers.of(DEPLOYMENT)
        self._autoscalers = informers.of(POD_AUTOSCALER)
        self._pods = informers.of(POD)
        self._pods.add_index(BY_REVISION, _revision_index)
        self.controller = Controller("revision", self._revisions, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._deployments, settle_s=SETTLE_S)
        self.controller.watch_controlled(self._autoscalers, settle_s=SETTLE_S)
        self.controller.watch(self._pods, _revision_of, settle_s=SETTLE_S)
        settings.on_change(self._settings_changed)

    async def reconcile(self, key: Key) -> None:
        """Make the children what the Revision says and its status what they say."""
        revision = self._revisions.get(key.name, key.namespace)
        if revision is None or is_deleting(revision):
            return
        conditions = Conditions(REVISION_CONDITIONS, conditions_of(revision), self._clock.now())
        status: Object = dict(revision.get("status") or {})
        digests = await self._digests(revision, status, conditions)
        if digests is None:
            self.controller.enqueue_after(key, IMAGE_RETRY_S)
        else:
            await self._run(revision, digests, status, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, REVISION, revision, status)

    async def _run(self, revision: Object, digests: dict[str, str], status: Object, conditions: Conditions) -> None:
        settings = self._settings.current
        metadata = revision["metadata"]
        namespace = metadata["namespace"]
        wanted = deployment(revision, digests, settings)
        try:
            # Independent of each other, and on the way of every cold start: written side by side.
            scaled, autoscaler = await asyncio.gather(
                self._children.ensure(
                    self._deployments,
                    wanted,
                    revision,
                    kept_annotations=_DEPLOYMENT_ANNOTATIONS,
                    # The autoscaler's, from the first moment on: what this reconcile has read may be old by now.
                    kept_spec=("replicas",),
                ),
                self._children.ensure(self._autoscalers, pod_autoscaler(revision, settings), revision),
            )
        except NotOwned as error:
            conditions.mark_false(RESOURCES_AVAILABLE, "NotOwned", str(error))
            return
        pods = self._pods.by_index(BY_REVISION, str(Key(namespace, metadata["name"])))
        mark_resources(conditions, scaled, pods)
        mark_autoscaling(conditions, autoscaler)
        scale: Object = autoscaler.get("status") or {}
        status["actualReplicas"] = scale.get("actualScale") or 0
        status["desiredReplicas"] = scale.get("desiredScale") or 0

    async def _digests(self, revision: Object, status: Object, conditions: Conditions) -> dict[str, str] | None:
        """Return each container's image by digest, resolved once for the life of the revision.

        None means that one is not to be had, which `conditions` then say; `status` is told the digests.
        """
        containers: list[Object] = revision["spec"]["containers"]
        known = {entry["name"]: entry.get("imageDigest") or "" for entry in status.get("containerStatuses") or []}
        for container in containers:
            name, image = container["name"], container["image"]
            if known.get(name):
                continue
            try:
                known[name] = await self._images.resolve(image)
            except UnavailableError:
                raise
            except MeshError as error:
                mark_unknown_image(conditions, image, str(error), self._clock.now())
                return None
        status["containerStatuses"] = [
            {"name": container["name"], "imageDigest": known[container["name"]]} for container in containers
        ]
        return known

    def _settings_changed(self) -> None:
        for revision in self._revisions:
            self.controller.enqueue(key_of(revision))


def _revision_of(pod: Object) -> tuple[Key, ...]:
    name = labels_of(pod).get(REVISION_LABEL)
    return (Key(pod["metadata"]["namespace"], name),) if name else ()


def _revision_index(pod: Object) -> Any:
    return tuple(map(str, _revision_of(pod)))
