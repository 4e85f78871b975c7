"""The event sources of one activator together."""

from __future__ import annotations

from eventmesh.activator.sources.api_server import ApiServerSources
from eventmesh.activator.sources.kafka import KafkaSources
from eventmesh.activator.sources.outbox import Outbox
from eventmesh.activator.sources.ping import PingSources
from eventmesh.activator.sources.sinks import KubeSinks
from eventmesh.base.clock import Clock
from eventmesh.kube.api import Api
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import API_SERVER_SOURCE, KAFKA_SOURCE, OF_KAFKA, PING_SOURCE

KINDS = (API_SERVER_SOURCE, KAFKA_SOURCE, PING_SOURCE)
"""Kinds whose events are made in this process."""


def sinks_of(informers: Informers) -> KubeSinks:
    """Return what is delivered of sources."""
    return KubeSinks([informers.of(resource, may_be_absent=resource in OF_KAFKA) for resource in KINDS])


class EventSources:
    """Runs all of them."""

    def __init__(self, api: Api, informers: Informers, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._ping = PingSources(informers.of(PING_SOURCE), outbox, clock)
        self._api_server = ApiServerSources(api, informers.of(API_SERVER_SOURCE), outbox, clock)
        self._kafka = KafkaSources(api, informers.of(KAFKA_SOURCE, may_be_absent=True), outbox, clock)

    def start(self) -> None:
        """Begin to make events; the informers are expected to have synced."""
        self._ping.start()
        self._api_server.start()
        self._kafka.start()

    async def stop(self) -> None:
        """Make no more events."""
        await self._ping.stop()
        await self._api_server.stop()
        await self._kafka.stop()
        await self._outbox.stop()
