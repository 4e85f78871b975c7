"""KafkaSources at work: one reader a source, in the process that works on it, and what its status is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventmesh.activator.kafka_access import KafkaProblem, secrets_of, settings_of
from eventmesh.activator.kafka_reports import KafkaReports
from eventmesh.activator.sources.outbox import Outbox
from eventmesh.activator.sources.sinks import source_key
from eventmesh.activator.sources.waiting import Waiting
from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import FIRST_RETRY_S, RETRY_CAP_S, Informer
from eventmesh.kube.kafka_report import KafkaReport
from eventmesh.kube.kafka_source import KafkaReading, parse_kafka_source
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.resources import KAFKA_SOURCE

_log = log.get("activator.sources.kafka")


class KafkaSources:
    """Runs every KafkaSource that has a sink and is this process's to work on."""

    def __init__(self, api: Api, sources: Informer, outbox: Outbox, clock: Clock) -> None:
        self._api = api
        self._sources = sources
        self._outbox = outbox
        self._clock = clock
        self._reports = KafkaReports(api, KAFKA_SOURCE, clock)
        self._wanted: dict[str, KafkaReading] = {}
        """By UID."""
        self._running: dict[str, tuple[KafkaReading, asyncio.Task[None]]] = {}
        self._tasks = TaskGroup("kafka")

    def start(self) -> None:
        """Begin to read."""
        self._outbox.follow(self._shares_changed)
        self._sources.add_handler(self._changed)

    async def stop(self) -> None:
        """Read no more."""
        await self._tasks.stop()
        await self._reports.stop()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old or {}
        uid = obj["metadata"]["uid"]
        wanted = _compile(new) if new is not None else None
        if wanted is None:
            self._wanted.pop(uid, None)
        else:
            self._wanted[uid] = wanted
        self._adjust(uid)
        if new is None:
            self._reports.forget(key_of(obj))

    def _shares_changed(self) -> None:
        for uid in {*self._wanted, *self._running}:
            self._adjust(uid)

    def _adjust(self, uid: str) -> None:
        wanted = self._wanted.get(uid) if self._outbox.works_on(uid) else None
        running = self._running.get(uid)
        if running is not None:
            if running[0] == wanted:
                return
            running[1].cancel()
            del self._running[uid]
            # Should this process begin again, it tells again: another may have told something else meanwhile.
            self._reports.forget(Key(running[0].namespace, running[0].name))
        if wanted is not None:
            self._running[uid] = (wanted, self._tasks.spawn(f"{wanted.namespace}/{wanted.name}", self._run(wanted)))

    async def _run(self, reading: KafkaReading) -> None:
        key, where = source_key(KAFKA_SOURCE, reading.namespace, reading.name), Key(reading.namespace, reading.name)
        await self._outbox.open(reading.uid, key)
        waiting, backoff = Waiting(), Backoff(FIRST_RETRY_S, RETRY_CAP_S)

        def began() -> None:
            backoff.reset()
            self._reports.tell(where, KafkaReport(reading.generation, connected=True, settled=True))

        while True:
            try:
                await self._read(reading, key, waiting, began)
            except KafkaProblem as problem:
                _log.warning("not reading", source=str(where), reason=problem)
                told = KafkaReport(reading.generation, problem.connected, reason=problem.reason, problem=str(problem))
                self._reports.tell(where, told)
            await self._clock.sleep(backoff.next_s())

    async def _read(self, reading: KafkaReading, key: str, waiting: Waiting, began: Callable[[], None]) -> None:
        secrets = await secrets_of(self._api, reading.namespace, reading.net.secrets())
        try:
            login = reading.net.login(secrets)
        except ConfigError as error:
            raise KafkaProblem("SecretInvalid", str(error)) from error
        settings = settings_of(reading.servers, reading.topics[0], login)
        from eventmesh.activator.sources.kafka_reader import KafkaReader

        await KafkaReader(reading, settings, key, self._outbox, waiting).read(began)


def _compile(source: Object) -> KafkaReading | None:
    if is_deleting(source) or not (source.get("status") or {}).get("sinkUri"):
        return None
    try:
        reading = parse_kafka_source(source)
    except ConfigError as error:
        # Told in the source's conditions by its controller.
        _log.warning("source does not run", source=key_of(source), reason=error)
        return None
    return reading if reading.consumers else None
