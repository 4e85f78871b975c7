"""Everything that is delivered, wherever it is declared: one `TriggerSource` made of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from eventmesh.activator.broker.triggers import Subscription, TriggerSource


class Subscriptions:
    """A `TriggerSource` that knows what all of `sources` know; their keys and UIDs never meet."""

    def __init__(self, *sources: TriggerSource) -> None:
        self._sources = sources

    def has_broker(self, broker: str) -> bool:
        """Return whether one of the sources has it."""
        return any(source.has_broker(broker) for source in self._sources)

    def subscriptions(self) -> Mapping[str, Subscription]:
        """Return all subscriptions by UID."""
        return {uid: made for source in self._sources for uid, made in source.subscriptions().items()}

    def exists(self, uid: str) -> bool:
        """Return whether the object of that UID is there, be it served or not."""
        return any(source.exists(uid) for source in self._sources)

    def subscribe(self, changed: Callable[[], None]) -> None:
        """Call `changed` after each change of any source."""
        for source in self._sources:
            source.subscribe(changed)
