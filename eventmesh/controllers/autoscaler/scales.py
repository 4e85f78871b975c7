"""What every Deployment is set to: the cache's word, but never older than the autoscaler's own last write.

A reconcile that follows a write closely still finds the Deployment of before it in the cache. Taken at its word
it would write, and report, the same scaling again.
"""

from __future__ import annotations

from eventmesh.kube.api import Api, Object
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import DEPLOYMENT


class Scales:
    """Reads and writes the `replicas` of Deployments, each known by the revision that it runs."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._written: dict[Key, Object] = {}

    def of(self, key: Key, cached: Object | None) -> int | None:
        """Return what the Deployment of revision `key` is set to; None while there is none."""
        if cached is None:
            return None
        written = self._written.get(key)
        if written is not None and _is_older(cached, written):
            return _replicas(written)
        self._written.pop(key, None)
        return _replicas(cached)

    async def set(self, key: Key, name: str, replicas: int) -> None:
        """Set the Deployment `name` of revision `key` to `replicas`; raises ApiError."""
        self._written[key] = await self._api.patch(DEPLOYMENT, name, {"spec": {"replicas": replicas}}, key.namespace)

    def forget(self, key: Key) -> None:
        """Drop what is known of `key`."""
        self._written.pop(key, None)


def _is_older(cached: Object, written: Object) -> bool:
    """Return whether `cached` is the same Deployment as `written` with an earlier spec: generations count upwards."""
    before, after = cached["metadata"], written["metadata"]
    older: bool = before["uid"] == after["uid"] and before["generation"] < after["generation"]
    return older


def _replicas(deployment: Object) -> int:
    replicas: int = deployment["spec"].get("replicas", 1)
    return replicas
