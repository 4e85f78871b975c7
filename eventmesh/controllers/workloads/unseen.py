"""Pods that a controller has made or told to go and that its cache does not show yet."""

from __future__ import annotations

from collections import defaultdict

from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import controller_of, is_deleting, key_of
from eventmesh.kube.resources import POD

BY_OWNER = "controller-uid"
"""Index of pods by the uid of what controls them."""


class UnseenWrites:
    """Makes and deletes pods, and remembers each until the cache knows by itself: none is made or missed twice."""

    def __init__(self, api: Api, pods: Informer) -> None:
        self._api = api
        self._pods = pods
        self._created: dict[str, set[str]] = defaultdict(set)
        self._deleted: dict[str, str] = {}
        pods.add_index(BY_OWNER, owner_uid)
        pods.add_handler(self._seen)

    def pods_of(self, owner_uid: str) -> list[Object]:
        """Return the pods that `owner_uid` controls and that nobody here has told to go."""
        found = self._pods.by_index(BY_OWNER, owner_uid)
        return [pod for pod in found if pod["metadata"]["uid"] not in self._deleted]

    def created(self, owner_uid: str) -> int:
        """Return how many pods of that owner the cache does not show yet."""
        return len(self._created[owner_uid]) if owner_uid in self._created else 0

    def settled(self, owner_uid: str) -> bool:
        """Return whether the cache shows all that was done here to the pods of that owner."""
        return not self.created(owner_uid) and owner_uid not in self._deleted.values()

    async def create(self, pod: Object, owner_uid: str, namespace: str) -> Object:
        """Create the pod; raises what the API raises."""
        made = await self._api.create(POD, pod, namespace)
        key = key_of(made)
        if self._pods.get(key.name, key.namespace) is None:
            self._created[owner_uid].add(made["metadata"]["uid"])
        return made

    async def delete(self, pod: Object) -> None:
        """Tell the pod to go, if it is still this one; raises what the API raises."""
        metadata = pod["metadata"]
        owner = controller_of(pod)
        self._deleted[metadata["uid"]] = owner["uid"] if owner is not None else ""
        try:
            await self._api.delete(POD, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except ApiError as error:
            self._deleted.pop(metadata["uid"], None)
            if not (error.not_found or error.conflict):
                raise

    def _seen(self, old: Object | None, new: Object | None) -> None:
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
            self._deleted.pop(uid, None)


def owner_uid(obj: Object) -> tuple[str, ...]:
    """Return the uid of what controls the object: the indexer of `BY_OWNER`."""
    owner = controller_of(obj)
    return (owner["uid"],) if owner is not None else ()
