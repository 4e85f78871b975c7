"""Kubernetes Events: what a controller tells the author of an object, shown by `kubectl describe`."""

from __future__ import annotations

import hashlib
from enum import Enum

from eventmesh.base import log
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import UnavailableError
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.resources import EVENT

_log = log.get("kube.events")

MAX_MESSAGE_CHARS = 1024
"""The API server's own limit on an Event's message."""


class EventKind(Enum):
    """Whether somebody should worry."""

    NORMAL = "Normal"
    WARNING = "Warning"


class EventRecorder:
    """Writes Events; the same event told again counts up instead of piling up. Never fails its caller."""

    def __init__(self, api: Api, component: str, clock: Clock) -> None:
        self._api = api
        self._component = component
        self._clock = clock

    async def record(self, obj: Object, kind: EventKind, reason: str, message: str) -> None:
        """Tell `message` about `obj`; `reason` is one CamelCase word a machine may match."""
        message = message[:MAX_MESSAGE_CHARS]
        try:
            await self._write(self._event(obj, kind, reason, message))
        except (ApiError, UnavailableError) as error:
            # An Event is a courtesy: its loss must not undo the reconcile that tells it.
            _log.debug("event not recorded", reason=reason, error=error)

    async def _write(self, event: Object) -> None:
        name, namespace = event["metadata"]["name"], event["metadata"]["namespace"]
        try:
            known = await self._api.get(EVENT, name, namespace)
        except ApiError as error:
            if not error.not_found:
                raise
            await self._api.create(EVENT, event, namespace)
            return
        change = {"count": known.get("count", 1) + 1, "lastTimestamp": event["lastTimestamp"]}
        await self._api.patch(EVENT, name, change, namespace)

    def _event(self, obj: Object, kind: EventKind, reason: str, message: str) -> Object:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace") or "default"
        stamp = rfc3339(self._clock.now())
        identity = "\n".join((metadata.get("uid", ""), self._component, kind.value, reason, message))
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata['name'][:200]}.{digest}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": obj.get("apiVersion", ""),
                "kind": obj.get("kind", ""),
                "namespace": metadata.get("namespace", ""),
                "name": metadata["name"],
                "uid": metadata.get("uid", ""),
                "resourceVersion": metadata.get("resourceVersion", ""),
            },
            "type": kind.value,
            "reason": reason,
            "message": message,
            "source": {"component": self._component},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
