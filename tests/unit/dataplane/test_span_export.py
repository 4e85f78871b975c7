"""How spans leave the process: batches, answers of collectors, and what is lost when there are none. Virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from eventmesh.dataplane.otlp import GRPC_PATH
from eventmesh.dataplane.span_export import (
    EXPORT_INTERVAL_S,
    MAX_PENDING_BYTES,
    MAX_TRIES,
    SpanExporter,
    resource_attributes,
    with_collectors,
)
from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener
from eventmesh.model.route import Forward
from eventmesh.model.snapshot import Snapshot
from eventmesh.model.tracing import Collector, OtlpProtocol, Tracing
from tests.manual_clock import ManualClock
from tests.otlp import read_request

HTTP = Collector("otel", "otel:4318", service_name="shop")
GRPC = Collector("otel", "otel:4317", OtlpProtocol.GRPC, headers=(("x-key", "k"),))
OTHER = Collector("other", "other:4318", headers=(("x-key", "k"),))


def one(name: str) -> tuple[bytes, int]:
    return ScopeSpans(spans=[SpanMessage(name=name)]).SerializeToString(), 1


def answer(status: int = 200, error: str = "", body: bytes = b"", **headers: str) -> Any:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return SimpleNamespace(status=status, error=error, body=body, headers=pairs)


@dataclass
class Bench:
    """An exporter between spans to take and a collector that answers as it is told."""

    recorded: list[tuple[str, bytes, int]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    sent: list[tuple[str, str, str, dict[str, str], bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        resource = {"service.name": "gateway", "k8s.pod.name": "p"}
        self.exporter = SpanExporter(self.take, self, self.clock, resource)  # type: ignore[arg-type]

    def take(self) -> list[tuple[str, bytes, int]]:
        taken, self.recorded = self.recorded, []
        return taken

    async def send(
        self, table: str, method: str, authority: str, path: str, headers: Any, body: bytes, **terms: object
    ) -> Any:
        assert method == "POST" and terms["hold"] is False
        self.sent.append((table, authority, path, dict(headers), body))
        given = self.answers.pop(0) if self.answers else answer()
        return await given if asyncio.isfuture(given) else given

    def record(self, listener: str, *names: str) -> None:
        self.recorded.extend((listener, *one(name)) for name in names)

    def counts(self) -> tuple[int, int]:
        return self.exporter.counts.exported, self.exporter.counts.lost


def traced(common: Collector | None = HTTP, **listeners: Collector) -> Snapshot:
    return Snapshot(
        "1",
        tuple(Listener(name, "", "t", tracing=Tracing(one)) for name, one in listeners.items()),
        tracing=Tracing(common) if common else None,
    )


def bench(snapshot: Snapshot) -> Bench:
    made = Bench()
    made.exporter.configure(snapshot)
    return made


async def test_spans_are_sent_each_second_with_the_attributes_of_the_process() -> None:
    made = bench(traced())
    running = asyncio.create_task(made.exporter.run())  # noqa: TID251
    made.record("", "a")
    await made.clock.advance(EXPORT_INTERVAL_S / 2)
    assert not made.sent
    await made.clock.advance(EXPORT_INTERVAL_S / 2)
    ((table, authority, path, headers, body),) = made.sent
    assert (table, authority, path) == ("otlp/otel", "otel:4318", "/v1/traces")
    assert headers == {"content-type": "application/x-protobuf"}
    (span,) = read_request(body)
    assert (span.name, span.resource) == ("a", {"service.name": "shop", "k8s.pod.name": "p"})
    assert made.counts() == (1, 0)
    running.cancel()


async def test_over_grpc_a_batch_is_one_call() -> None:
    made = bench(traced(GRPC))
    made.record("", "a")
    made.answers = [answer(grpc_status="0", content_type="application/grpc")]
    await made.exporter.export()
    ((_, _, path, headers, body),) = made.sent
    assert path == GRPC_PATH
    assert headers == {"content-type": "application/grpc", "te": "trailers", "x-key": "k"}
    assert body[:5] == b"\0" + (len(body) - 5).to_bytes(4)
    assert read_request(body[5:])[0].resource["service.name"] == "gateway"
    assert made.counts() == (1, 0)


async def test_each_listener_has_its_own_collector() -> None:
    made = bench(traced(HTTP, edge=OTHER))
    made.record("", "a")
    made.record("edge", "b")
    await made.exporter.export()
    assert [(table, read_request(body)[0].name) for table, *_, body in made.sent] == [
        ("otlp/otel", "a"),
        ("otlp/other", "b"),
    ]


@pytest.mark.parametrize(
    "trouble",
    [
        answer(503),
        answer(429),
        answer(503, error="connect_failed"),
        answer(504, error="timeout"),
        answer(grpc_status="14"),
    ],
)
async def test_what_a_collector_does_not_take_now_is_sent_again(trouble: Any) -> None:
    made = bench(traced(GRPC))
    made.record("", "a")
    made.answers = [trouble]
    await made.exporter.export()
    assert made.counts() == (0, 0)
    await made.exporter.export()
    assert made.counts() == (1, 0)
    assert len({body for *_, body in made.sent}) == 1 and len(made.sent) == 2


@pytest.mark.parametrize("refusal", [answer(400), answer(401), answer(grpc_status="3")])
async def test_what_a_collector_refuses_is_lost_and_counted(refusal: Any) -> None:
    made = bench(traced(GRPC))
    made.record("", "a", "b")
    made.answers = [refusal]
    await made.exporter.export()
    assert made.counts() == (1, 1)
    await made.exporter.export()
    assert len(made.sent) == 2


async def test_a_collector_that_never_recovers_is_not_asked_for_ever() -> None:
    made = bench(traced())
    made.record("", "a")
    made.answers = [answer(503)] * MAX_TRIES
    for _ in range(MAX_TRIES + 2):
        await made.exporter.export()
    assert len(made.sent) == MAX_TRIES and made.counts() == (0, 1)


async def test_spans_refused_in_part_are_counted() -> None:
    partial = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=1))
    made = bench(traced())
    made.record("", "a")
    made.answers = [answer(body=partial.SerializeToString())]
    await made.exporter.export()
    assert made.counts() == (0, 1)


async def test_while_a_collector_is_away_the_oldest_spans_are_given_up() -> None:
    made = bench(traced())
    size = MAX_PENDING_BYTES // 2
    made.answers = [answer(503)] * 3
    made.recorded = [("", bytes(size), 7), ("", bytes(size), 8), ("", bytes(size), 9)]
    await made.exporter.export()
    assert made.counts() == (0, 7)


async def test_spans_of_a_listener_that_is_gone_still_go_where_they_were_to_go() -> None:
    made = bench(traced(None, edge=OTHER))
    made.record("edge", "a")
    made.exporter.configure(Snapshot("2"))
    await made.exporter.export()
    assert made.counts() == (1, 0)
    made.record("edge", "late")
    await made.exporter.export()
    assert made.counts() == (1, 1)


async def test_the_end_of_the_process_sends_what_is_left_and_waits_for_nobody() -> None:
    made = bench(traced())
    made.record("", "a")
    await made.exporter.finish()
    assert made.counts() == (1, 0)


async def test_a_batch_on_its_way_when_the_process_ends_is_sent_once_more() -> None:
    made = bench(traced())
    made.record("", "a")
    made.answers = [asyncio.get_running_loop().create_future()]
    running = asyncio.create_task(made.exporter.export())  # noqa: TID251
    await asyncio.sleep(0)
    assert len(made.sent) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await made.exporter.finish()
    assert len(made.sent) == 2 and made.counts() == (1, 0)


def test_a_route_leads_to_each_cluster_that_takes_spans() -> None:
    plain = Snapshot("1", clusters=(Cluster("otel"),))
    assert with_collectors(plain) is plain
    snapshot = with_collectors(traced(HTTP, edge=OTHER, second=HTTP))
    assert [table.name for table in snapshot.route_tables] == ["otlp/otel", "otlp/other"]
    action = snapshot.route_tables[0].virtual_hosts[0].routes[0].action
    assert isinstance(action, Forward) and [share.name for share in action.clusters] == ["otel"]


def test_the_environment_has_the_last_word_on_attributes() -> None:
    own = {"service.name": "gateway", "k8s.pod.name": "p"}
    said = {"OTEL_RESOURCE_ATTRIBUTES": "team=a, k8s.pod.name=q,broken,=x", "OTEL_SERVICE_NAME": "edge"}
    assert resource_attributes(own, said) == {"service.name": "edge", "k8s.pod.name": "q", "team": "a"}
    assert resource_attributes(own, {}) == own
