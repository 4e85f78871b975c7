"""Which routes lead where, written on the Revisions and Configurations they lead to.

After Serving, pkg/reconciler/labeler: annotation `routes`, label `routingState`, annotation
`routingStateModified`. A revision that no route leads to any more may be scaled down and collected.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.controllers.serving.names import ROUTES, ROUTING_STATE, ROUTING_STATE_MODIFIED
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.informer import Informer
from eventmesh.kube.objects import Key, annotations_of, key_of, labels_of

BY_ROUTE = "route"


class Labeler:
    """Keeps those notes for one route at a time."""

    def __init__(self, api: Api, clock: Clock, revisions: Informer, configurations: Informer) -> None:
        self._api = api
        self._clock = clock
        self._revisions = revisions
        self._configurations = configurations
        for cache in (revisions, configurations):
            cache.add_index(BY_ROUTE, _routes_index)

    async def label(
        self, route: Key, revisions: Iterable[str], configurations: Iterable[str], *, release: bool
    ) -> None:
        """Note that `route` leads to these; with `release` also that it leads nowhere else.

        Until the data plane has taken a new route in, requests still reach the revisions of the old one.
        """
        for cache, names, stateful in (
            (self._revisions, set(revisions), True),
            (self._configurations, set(configurations), False),
        ):
            noted = {key_of(obj).name for obj in cache.by_index(BY_ROUTE, str(route))}
            for name in names | (noted if release else set()):
                obj = cache.get(name, route.namespace)
                if obj is not None:
                    change = self._change(obj, route.name, leads=name in names, stateful=stateful)
                    await self._write(cache.resource, obj, change)

    def _change(self, obj: Object, route: str, *, leads: bool, stateful: bool) -> Object:
        routes = set(_routes(obj))
        routes = routes | {route} if leads else routes - {route}
        annotations: Object = {}
        labels: Object = {}
        text = ",".join(sorted(routes)) or None
        if annotations_of(obj).get(ROUTES) != text:
            annotations[ROUTES] = text
        state = "active" if routes else "reserve"
        if stateful and labels_of(obj).get(ROUTING_STATE) != state:
            labels[ROUTING_STATE] = state
            annotations[ROUTING_STATE_MODIFIED] = rfc3339(self._clock.now())
        change: Object = {}
        if annotations:
            change["annotations"] = annotations
        if labels:
            change["labels"] = labels
        return change

    async def _write(self, resource: Resource, obj: Object, change: Object) -> None:
        if not change:
            return
        metadata = obj["metadata"]
        # With the version read: another route's note must not be lost.
        patch = {"metadata": {**change, "resourceVersion": metadata["resourceVersion"]}}
        try:
            await self._api.patch(resource, metadata["name"], patch, metadata["namespace"])
        except ApiError as error:
            if not error.not_found:
                raise


def _routes(obj: Object) -> list[str]:
    return [name for name in annotations_of(obj).get(ROUTES, "").split(",") if name]


def _routes_index(obj: Object) -> list[str]:
    return [str(Key(obj["metadata"]["namespace"], name)) for name in _routes(obj)]
