"""What stands in the place of a store that is damaged, so that the rest of the process goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from eventmesh.activator.broker.store.api import Elsewhere, EventStore
from eventmesh.activator.broker.store.errors import CorruptStore
from eventmesh.activator.broker.store.shares import Alone


def refusing(damage: CorruptStore) -> EventStore:
    """Return a store that answers everything with `damage`: nothing is acknowledged, nothing delivered."""
    return cast(EventStore, _RefusingStore(str(damage)))


class _RefusingStore:
    """An `EventStore` by every name its methods have, those of its history, queue and replays included."""

    def __init__(self, damage: str) -> None:
        self._damage = damage
        self.history = self.queue = self.replays = self
        self.shares = Alone()
        self.kept_in = "SQLite, damaged"
        self.doubts = (damage,)

    def follow(self, listener: Elsewhere) -> None:
        """Do nothing: there is nothing to hear."""

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def refuse(*_: object, **__: object) -> object:
            raise CorruptStore(self._damage)

        return refuse
