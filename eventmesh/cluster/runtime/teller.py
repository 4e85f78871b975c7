"""What the runtime tells the API of one pod: its status, Events, and that it is gone."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path

from eventmesh.base import log
from eventmesh.cluster.runtime.orders import Tell
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.resources import POD

_log = log.get("runtime.teller")


class PodTeller:
    """Tells of one pod; `pod` is the object as it was last seen."""

    def __init__(self, api: Api, recorder: EventRecorder, pod: Object) -> None:
        self.pod = pod
        self._api = api
        self._recorder = recorder
        self._published: Object | None = None

    async def record(self, told: Tell) -> None:
        """Record an Event."""
        kind = EventKind.WARNING if told.warning else EventKind.NORMAL
        await self._recorder.record(self.pod, kind, told.reason, told.message)

    async def publish(self, status: Object) -> None:
        """Write the pod's status, unless it is the one that was written last; a refusal is logged.

        A pod that was deleted by force may have a successor of the same name by now: nothing of it is touched.
        """
        if status == self._published:
            return
        metadata = self.pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
        try:
            self.pod = await self._api.patch(POD, metadata["name"], patch, metadata["namespace"], subresource="status")
            self._published = status
        except ApiError as error:
            if not (error.not_found or error.conflict):
                _log.warning("pod status refused", pod=metadata["name"], reason=error.message)

    async def remove(self, directory: Path) -> None:
        """Remove the pod, and `directory`, which is its own."""
        await remove_directory(directory)
        metadata = self.pod["metadata"]
        name, namespace, uid = metadata["name"], metadata["namespace"], metadata["uid"]
        try:
            await self._api.delete(POD, name, namespace, uid=uid, grace_seconds=0)
        except ApiError as error:
            if not (error.not_found or error.conflict):
                _log.warning("pod not removed", pod=name, reason=error.message)


async def remove_directory(directory: Path) -> None:
    """Remove what a pod has left on disk, logs too; that nothing is there is as good."""
    await asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, directory, ignore_errors=True))
