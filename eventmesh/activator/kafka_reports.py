"""What the status of KafkaSources and KafkaSinks is told by who speaks to Kafka: the newest, once the API takes it.

Nobody waits for it: events come and go while the API is away.
"""

from __future__ import annotations

import asyncio

from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import UnavailableError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, ApiError, Resource
from eventmesh.kube.informer import FIRST_RETRY_S, RETRY_CAP_S
from eventmesh.kube.kafka_report import KafkaReport
from eventmesh.kube.objects import Key

_log = log.get("activator.kafka_reports")


class KafkaReports:
    """The reports on all objects of one kind."""

    def __init__(self, api: Api, resource: Resource, clock: Clock) -> None:
        self._api = api
        self._resource = resource
        self._clock = clock
        self._told: dict[Key, tuple[KafkaReport, asyncio.Task[None]]] = {}
        self._tasks = TaskGroup("reports")

    async def stop(self) -> None:
        """Tell no more."""
        await self._tasks.stop()

    def tell(self, key: Key, report: KafkaReport) -> None:
        """Have a report written in place of the one before, unless it says the same."""
        known = self._told.get(key)
        if known is not None:
            if known[0] == report:
                return
            known[1].cancel()
        self._told[key] = (report, self._tasks.spawn(str(key), self._write(key, report)))

    def forget(self, key: Key) -> None:
        """Take note that an object is gone, or somebody else's to report on."""
        known = self._told.pop(key, None)
        if known is not None:
            known[1].cancel()

    async def _write(self, key: Key, report: KafkaReport) -> None:
        change = {"status": report.status()}
        backoff = Backoff(FIRST_RETRY_S, RETRY_CAP_S)
        while True:
            try:
                await self._api.patch(self._resource, key.name, change, key.namespace, subresource="status")
            except (ApiError, UnavailableError) as error:
                if isinstance(error, ApiError) and error.not_found:
                    return
                _log.warning("status not written", kind=self._resource.kind, object=str(key), reason=error)
                await self._clock.sleep(backoff.next_s())
            else:
                return
