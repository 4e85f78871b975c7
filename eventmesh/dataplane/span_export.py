"""Sends the spans that the engine has recorded to their collectors, through the engine itself.

Bounded at every step: the engine keeps so many bytes, this module so many more while a collector is away, and what does
not fit is counted as lost. Serving never waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from eventmesh import __version__
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.dataplane.otlp import GRPC_PATH, export_request, rejected_spans
from eventmesh.model.match import RouteMatch
from eventmesh.model.route import Forward, Route, RouteTable, VirtualHost, WeightedCluster
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Collector, OtlpProtocol

if TYPE_CHECKING:
    from eventmesh.core._core import Response
    from eventmesh.transport.exchange import Caller

_log = log.get("dataplane.tracing")

EXPORT_INTERVAL_S: Final = 1.0
"""Longest time a span waits before it is sent: somebody who debugs looks at once, and a batch a second is no load."""

MAX_PENDING_BYTES: Final = 8_388_608
"""Spans kept for collectors that do not take them now, some 10,000; the oldest are given up first."""

MAX_TRIES: Final = 5
"""A batch that a collector has refused so often, each time for a reason that passes, is given up."""

LAST_EXPORT_S: Final = 2.0
"""How long the end of the process waits for the last spans to be taken."""

_PASSING: Final = frozenset((429, 502, 503, 504))
"""Answers after which OTLP lets a client try again (OTLP specification, "Failures")."""

_PASSING_GRPC: Final = frozenset(("1", "4", "8", "10", "11", "14", "15"))
"""The same of gRPC: CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS."""

_MAX_ANSWER_BYTES: Final = 65_536
_SCOPE: Final = ("eventmesh", __version__)

Take = Callable[[], list[tuple[str, bytes, int]]]


def collectors(snapshot: Snapshot) -> Mapping[str, Collector]:
    """Return who takes the spans of each listener; of the process itself under the empty name."""
    found = {one.name: one.tracing.collector for one in snapshot.listeners if one.tracing is not None}
    return {**found, "": snapshot.tracing.collector} if snapshot.tracing is not None else found


def with_collectors(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with a route table for each cluster that spans go to; the same one if there is none."""
    clusters = sorted({collector.cluster for collector in collectors(snapshot).values()})
    if not clusters:
        return snapshot
    tables = tuple(_table(cluster) for cluster in clusters)
    return Snapshot(
        snapshot.version,
        snapshot.listeners,
        snapshot.route_tables + tables,
        snapshot.clusters,
        snapshot.tracing,
    )


def _table_name(cluster: str) -> str:
    return f"otlp/{cluster}"


def _table(cluster: str) -> RouteTable:
    name = _table_name(cluster)
    everything = Route(RouteMatch("/"), Forward((WeightedCluster(cluster),)), name=name)
    return RouteTable(name, (VirtualHost(name, ("*",), (everything,)),))


@dataclass(slots=True)
class Counts:
    """What became of the spans that were taken from the engine; only ever rising."""

    exported: int = 0
    lost: int = 0
    """Refused by their collector, or given up."""


@dataclass(slots=True)
class _Batch:
    collector: Collector
    spans: bytes
    count: int
    tries: int = 0


@dataclass(slots=True)
class _Pending:
    batches: deque[_Batch] = field(default_factory=deque)
    size: int = 0

    def add(self, batch: _Batch) -> int:
        """Keep a batch; return how many spans were given up for it."""
        self.batches.append(batch)
        self.size += len(batch.spans)
        lost = 0
        while self.size > MAX_PENDING_BYTES:
            lost += self.next().count
        return lost

    def next(self) -> _Batch:
        batch = self.batches.popleft()
        self.size -= len(batch.spans)
        return batch


class SpanExporter:
    """One per process. `resource` are the attributes of the process that records."""

    def __init__(self, take: Take, caller: Caller, clock: Clock, resource: Mapping[str, str]) -> None:
        self.counts = Counts()
        self._take = take
        self._caller = caller
        self._clock = clock
        self._resource = resource
        self._collectors: Mapping[str, Collector] = {}
        self._pending = _Pending()
        self._troubled: set[Collector] = set()

    def configure(self, snapshot: Snapshot) -> None:
        """Send spans as `snapshot` says from now on. Those recorded before still go where they were to go."""
        self._collect()
        self._collectors = collectors(snapshot)

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self._clock.sleep(EXPORT_INTERVAL_S)
            await self.export()

    async def export(self) -> None:
        """Send everything there is, once; what may be taken later waits for the next call."""
        self._collect()
        for _ in range(len(self._pending.batches)):
            if not self._pending.batches:
                return
            await self._send(self._pending.next())

    async def finish(self) -> None:
        """Send what is left; called once, at the end. A collector that does not answer is not waited for."""
        try:
            async with asyncio.timeout(LAST_EXPORT_S):
                await self.export()
        except TimeoutError:
            _log.warning("last spans given up: their collector does not answer", seconds=LAST_EXPORT_S)

    def _collect(self) -> None:
        for listener, spans, count in self._take():
            collector = self._collectors.get(listener)
            if collector is None:
                self.counts.lost += count
            else:
                self.counts.lost += self._pending.add(_Batch(collector, spans, count))

    async def _send(self, batch: _Batch) -> None:
        collector = batch.collector
        batch.tries += 1
        request = export_request(self._named(collector), _SCOPE, batch.spans)
        is_grpc = collector.protocol is OtlpProtocol.GRPC
        content = "application/grpc" if is_grpc else "application/x-protobuf"
        headers = [("content-type", content), *collector.headers]
        if is_grpc:
            headers.append(("te", "trailers"))
            request = b"\0" + len(request).to_bytes(4) + request
        try:
            response = await self._caller.send(
                _table_name(collector.cluster),
                "POST",
                collector.authority,
                GRPC_PATH if is_grpc else collector.path,
                headers,
                request,
                timeout_s=collector.timeout_s,
                hold=False,
                max_response_bytes=_MAX_ANSWER_BYTES,
            )
        except asyncio.CancelledError:
            self.counts.lost += self._pending.add(batch)  # for `finish`: a batch sent twice is better than one not sent
            raise
        self._judge(batch, response)

    def _judge(self, batch: _Batch, response: Response) -> None:
        is_grpc = batch.collector.protocol is OtlpProtocol.GRPC
        status = dict(response.headers).get("grpc-status", "") if is_grpc else ""
        taken = not response.error and 200 <= response.status < 300 and status in ("", "0")
        if taken:
            self._troubled.discard(batch.collector)
            rejected = min(rejected_spans(response.body[5:] if is_grpc else response.body), batch.count)
            self.counts.exported += batch.count - rejected
            self.counts.lost += rejected
            return
        passing = bool(response.error) or response.status in _PASSING or status in _PASSING_GRPC
        if batch.collector not in self._troubled:
            self._troubled.add(batch.collector)
            reason = response.error or (f"gRPC status {status}" if status else f"HTTP status {response.status}")
            _log.warning("spans are not taken", cluster=batch.collector.cluster, reason=reason, tried_again=passing)
        if passing and batch.tries < MAX_TRIES:
            self.counts.lost += self._pending.add(batch)
        else:
            self.counts.lost += batch.count

    def _named(self, collector: Collector) -> Mapping[str, str]:
        return {**self._resource, **({"service.name": collector.service_name} if collector.service_name else {})}


def resource_attributes(own: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of this process: `own`, over which OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go.

    A pair that is not understood is left out, as OpenTelemetry's SDKs do.
    """
    return {**own, **dict(_pairs(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))), **_service_name(environment)}


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    for pair in text.split(","):
        name, equals, value = pair.partition("=")
        if equals and name.strip():
            yield name.strip(), value.strip()


def _service_name(environment: Mapping[str, str]) -> dict[str, str]:
    name = environment.get("OTEL_SERVICE_NAME", "")
    return {"service.name": name} if name else {}
