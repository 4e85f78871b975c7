"""A watch of one kind as clients see it: selectors applied, versions converted, initial events in front."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import field

from eventmesh.base.frozen import frozen
from eventmesh.cluster.store.store import Change, ChangeType, Watch
from eventmesh.kube.api import EventType, Object, WatchEvent
from eventmesh.kube.selectors import FieldSelector, LabelSelector

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@frozen
class Selection:
    """Which objects of a kind are meant; everything by default."""

    labels: LabelSelector = field(default_factory=LabelSelector)
    fields: FieldSelector = field(default_factory=FieldSelector)

    def matches(self, obj: Object) -> bool:
        """Return whether `obj` is meant."""
        return self.labels.matches(obj["metadata"].get("labels")) and self.fields.matches(obj)


class ObjectWatch:
    """Hands out the events of a watch one by one. Always `close` it."""

    def __init__(
        self,
        watch: Watch,
        selection: Selection,
        convert: Callable[[Object], Object],
        initial: list[WatchEvent],
    ) -> None:
        self._watch = watch
        self._selection = selection
        self._convert = convert
        self._initial = deque(initial)

    async def next(self) -> WatchEvent:
        """Return the next event; raises WatchOverflowError when the client was too slow."""
        if self._initial:
            return self._initial.popleft()
        while True:
            event = self._event(await self._watch.next())
            if event is not None:
                return event

    def poll(self) -> WatchEvent | None:
        """Return the next event if one has arrived, else None."""
        if self._initial:
            return self._initial.popleft()
        while (change := self._watch.poll()) is not None:
            event = self._event(change)
            if event is not None:
                return event
        return None

    def close(self) -> None:
        """Stop receiving."""
        self._watch.close()

    def _event(self, change: Change) -> WatchEvent | None:
        before = change.previous is not None and self._selection.matches(change.previous)
        after = change.type is not ChangeType.DELETED and self._selection.matches(change.object)
        match before, after:
            case False, True:
                return WatchEvent(EventType.ADDED, self._convert(change.object))
            case True, True:
                return WatchEvent(EventType.MODIFIED, self._convert(change.object))
            case True, False:
                return WatchEvent(EventType.DELETED, self._convert(_as_it_left(change)))
            case _:
                return None


def _as_it_left(change: Change) -> Object:
    """Return the object of a change by which it is gone for a watcher.

    What is no longer selected is shown as it was when it still was, at the version at which it left.
    """
    if change.type is ChangeType.DELETED or change.previous is None:
        return change.object
    version = change.object["metadata"]["resourceVersion"]
    return {**change.previous, "metadata": {**change.previous["metadata"], "resourceVersion": version}}


def bookmark(kind: str, api_version: str, revision: int, *, initial_end: bool = False) -> WatchEvent:
    """Return the event that tells a watcher how far it has seen."""
    metadata: Object = {"resourceVersion": str(revision)}
    if initial_end:
        metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
    return WatchEvent(EventType.BOOKMARK, {"kind": kind, "apiVersion": api_version, "metadata": metadata})
