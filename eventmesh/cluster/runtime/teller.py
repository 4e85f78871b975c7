"""What the runtime tells the API of one pod: its status, Events, and that it is gone."""

from __future__ import annotations

import asyncio
import shutil
from functools import partial
from pathlib import Path
from typing import Final

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.cluster.runtime.orders import Tell
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.resources import POD

_log = log.get("runtime.teller")

RETRY_S: Final = 2.0
"""How soon what the API could not take (its disk is full) is told again: whoever makes room then looks."""


class PodTeller:
    """Tells of one pod; `pod` is the object as it was last seen."""

    def __init__(self, api: Api, recorder: EventRecorder, pod: Object, clock: Clock) -> None:
        self.pod = pod
        self._api = api
        self._recorder = recorder
        self._clock = clock
        self._status: Object | None = None
        self._published: Object | None = None
        self._behind = asyncio.Event()

    async def record(self, told: Tell) -> None:
        """Record an Event."""
        kind = EventKind.WARNING if told.warning else EventKind.NORMAL
        await self._recorder.record(self.pod, kind, told.reason, told.message)

    async def publish(self, status: Object) -> None:
        """Write the pod's status, unless it is the one that was written last; a refusal is logged.

        What the API cannot take now is written by `catch_up`. A pod that was deleted by force may have a successor of
        the same name by now: nothing of it is touched.
        """
        self._status = status
        if status == self._published:
            return
        metadata = self.pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"]}, "status": status}
        try:
            self.pod = await self._api.patch(POD, metadata["name"], patch, metadata["namespace"], subresource="status")
            self._published = status
        except ApiError as error:
            if error.server_fault:
                self._behind.set()
            elif not (error.not_found or error.conflict):
                _log.warning("pod status refused", pod=metadata["name"], reason=error.message)

    async def catch_up(self) -> None:
        """Write, until cancelled, the newest status whenever the API could not take one."""
        while True:
            await self._behind.wait()
            await self._clock.sleep(RETRY_S)
            self._behind.clear()
            if self._status is not None:
                await self.publish(self._status)

    async def remove(self, directory: Path) -> None:
        """Remove the pod, and `directory`, which is its own; return when the API has taken it."""
        await remove_directory(directory)
        await remove_pod(self._api, self.pod, self._clock)


async def remove_pod(api: Api, pod: Object, clock: Clock) -> None:
    """Remove a pod of which nothing runs any more; return when the API has taken it. A refusal is logged."""
    metadata = pod["metadata"]
    name, namespace, uid = metadata["name"], metadata["namespace"], metadata["uid"]
    while True:
        try:
            await api.delete(POD, name, namespace, uid=uid, grace_seconds=0)
        except ApiError as error:
            if error.server_fault:
                await clock.sleep(RETRY_S)
                continue
            if not (error.not_found or error.conflict):
                _log.warning("pod not removed", pod=name, reason=error.message)
        return


async def remove_directory(directory: Path) -> None:
    """Remove what a pod has left on disk, logs too; that nothing is there is as good."""
    await asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, directory, ignore_errors=True))
