"""What the other activators that share the store do, and who here has to know of it."""

from __future__ import annotations

from eventmesh.activator.broker.dispatcher import Dispatcher
from eventmesh.activator.broker.ingress import Ingress
from eventmesh.activator.broker.replayer import Replayer
from eventmesh.activator.broker.store.values import StoredEvent


class Others:
    """An `Elsewhere`: passes on what was heard."""

    def __init__(self, ingress: Ingress, dispatcher: Dispatcher, replayer: Replayer) -> None:
        self._ingress = ingress
        self._dispatcher = dispatcher
        self._replayer = replayer

    def accepted(self, stored: StoredEvent) -> None:
        """Treat the event as one that was accepted here."""
        self._ingress.heard(stored)

    def queued(self, uid: str) -> None:
        """Have the trigger look into its queue."""
        self._dispatcher.queued(uid)

    def replaying(self) -> None:
        """Have the replays looked at."""
        self._replayer.wake()
