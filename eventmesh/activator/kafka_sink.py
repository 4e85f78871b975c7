"""KafkaSinks: a POST takes one event and writes it into a topic; 202 means that Kafka has acknowledged it (acks=all).

After eventing-kafka-broker: the receiver of its data plane. The key of the record is the event's `partitionkey`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventmesh.activator.broker.admittance import Admittance, Refused, read
from eventmesh.activator.gatekeeper import kafka_sink_key
from eventmesh.activator.kafka_access import KafkaProblem, RecordTooLong, secrets_of, settings_of
from eventmesh.activator.kafka_reports import KafkaReports
from eventmesh.base import log
from eventmesh.base.backoff import Backoff
from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.tasks import TaskGroup
from eventmesh.cloudevents import kafka
from eventmesh.kube.api import Api, Object
from eventmesh.kube.informer import FIRST_RETRY_S, RETRY_CAP_S, Informer
from eventmesh.kube.kafka_access import KafkaLogin, login_of_secret
from eventmesh.kube.kafka_report import KafkaReport
from eventmesh.kube.kafka_sink import ContentMode, KafkaWriting, parse_kafka_sink
from eventmesh.kube.knative import KAFKA_SINK_INGRESS
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.resources import KAFKA_SINK
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Route, Serve, VirtualHost
from eventmesh.transport.exchange import Reply

if TYPE_CHECKING:
    from eventmesh.activator.kafka_writer import KafkaWriter
    from eventmesh.core._core import Request

HANDLER: Final = "kafka-sink"
"""Name under which the handler is registered, and that its Serve route names."""

RETRY_AFTER_S: Final = 1
"""What a sender is asked to wait while Kafka does not take the event."""

_ENCODE: Final = {ContentMode.BINARY: kafka.encode_binary, ContentMode.STRUCTURED: kafka.encode_structured}

_log = log.get("activator.kafka_sink")


def host(max_event_bytes: int) -> VirtualHost:
    """Return the hosts that KafkaSinks are addressed by, on the listener that takes events in."""
    route = Route(RouteMatch("/"), Serve(HANDLER, max_event_bytes), name=HANDLER)
    return VirtualHost(HANDLER, (KAFKA_SINK_INGRESS, f"{KAFKA_SINK_INGRESS}.*"), (route,))


@dataclass(slots=True)
class _Served:
    writing: KafkaWriting
    writer: KafkaWriter | None = None
    """None: Kafka has not let us in yet, or not any more."""
    task: asyncio.Task[None] | None = None


class KafkaSinks:
    """The `ExchangeHandler` of all KafkaSinks."""

    def __init__(self, api: Api, sinks: Informer, admittance: Admittance, clock: Clock) -> None:
        self._api = api
        self._sinks = sinks
        self._admittance = admittance
        self._clock = clock
        self._reports = KafkaReports(api, KAFKA_SINK, clock)
        self._served: dict[Key, _Served] = {}
        self._tasks = TaskGroup("kafka-sink")

    def start(self) -> None:
        """Begin to connect."""
        self._sinks.add_handler(self._changed)

    async def stop(self) -> None:
        """Write no more."""
        await self._tasks.stop()
        await self._reports.stop()

    async def handle(self, request: Request) -> Reply:
        """Answer one request: 202 written, 400 no event, 401 and 403 not from this sender, 404 nobody there, 405, 413
        longer than the topic takes, 415, 503 Kafka does not take it now."""
        parts = [part for part in request.path.partition("?")[0].split("/") if part]
        if request.method != "POST":
            return Reply(405, (("allow", "POST"),), b"send events with POST\n")
        if len(parts) != 2:
            return Reply.text(400, f"path {request.path} is not /<namespace>/<kafkasink>\n")
        served = self._served.get(Key(*parts))
        if served is None:
            return Reply.text(404, f'no kafkasink "{parts[1]}" in namespace "{parts[0]}"\n')
        key = kafka_sink_key(*parts)
        try:
            sender = await self._admittance.sender(key, request.headers)
            event = read(request)
            self._admittance.admit(key, sender, event)
            await self._write(served, _ENCODE[served.writing.mode](event))
        except Refused as refused:
            return refused.reply()
        except RecordTooLong as error:
            return Reply.text(413, f"{error}\n")
        except KafkaProblem as problem:
            _log.error("event not written", sink="/".join(parts), reason=problem)
            body = f"the event could not be written to topic {served.writing.topic}; send it again later\n"
            return Reply(503, (("retry-after", str(RETRY_AFTER_S)),), body.encode())
        return Reply(202)

    async def _write(self, served: _Served, message: kafka.Message) -> None:
        if served.writer is None:
            raise KafkaProblem("NotConnected", "Kafka has not let us in")
        await served.writer.write(message)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        key = key_of(new or old or {})
        wanted = _compile(new) if new is not None else None
        served = self._served.get(key)
        if served is not None:
            if served.writing == wanted:
                return
            del self._served[key]
            self._reports.forget(key)
            if served.task is not None:
                served.task.cancel()
        if wanted is not None:
            self._served[key] = served = _Served(wanted)
            served.task = self._tasks.spawn(str(key), self._serve(key, served))

    async def _serve(self, key: Key, served: _Served) -> None:
        backoff = Backoff(FIRST_RETRY_S, RETRY_CAP_S)
        generation = served.writing.generation
        while True:
            try:
                await self._connected(key, served, backoff)
            except KafkaProblem as problem:
                _log.warning("not connected", sink=str(key), reason=problem)
                told = KafkaReport(generation, problem.connected, reason=problem.reason, problem=str(problem))
                self._reports.tell(key, told)
            await self._clock.sleep(backoff.next_s())

    async def _connected(self, key: Key, served: _Served, backoff: Backoff) -> None:
        """Be connected for as long as it goes well; raises KafkaProblem."""
        writing = served.writing
        settings = settings_of(writing.servers, writing.topic, await self._login(writing))
        from eventmesh.activator.kafka_writer import opened

        async with opened(settings, writing.partitions, writing.replicas) as writer:
            served.writer = writer
            try:
                _log.info("writing", sink=str(key), topic=writing.topic)
                self._reports.tell(key, KafkaReport(writing.generation, connected=True, settled=True))
                backoff.reset()
                raise await writer.broken()
            finally:
                served.writer = None

    async def _login(self, writing: KafkaWriting) -> KafkaLogin:
        if not writing.secret:
            return KafkaLogin()
        found: Mapping[str, Object] = await secrets_of(self._api, writing.namespace, [writing.secret])
        if writing.secret not in found:
            raise KafkaProblem("SecretInvalid", f'auth.secret.ref.name: secret "{writing.secret}" not found')
        try:
            return login_of_secret(found[writing.secret])
        except ConfigError as error:
            raise KafkaProblem("SecretInvalid", f'secret "{writing.secret}": {error.problem}') from error


def _compile(sink: Object) -> KafkaWriting | None:
    if is_deleting(sink):
        return None
    try:
        return parse_kafka_sink(sink)
    except ConfigError as error:
        # Told in the sink's conditions by its controller.
        _log.warning("sink is not served", sink=key_of(sink), reason=error)
        return None
