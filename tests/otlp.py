"""Spans as their receiver reads them: opentelemetry-proto's own messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

SERVER, CLIENT = 2, 3
ERROR = 2


@dataclass
class Span:
    """One span, its ids in hexadecimal."""

    name: str
    trace: str
    span: str
    parent: str
    kind: int
    started_ns: int
    ended_ns: int
    state: str
    failed: bool
    attributes: dict[str, object] = field(default_factory=dict)
    events: list[tuple[str, int, dict[str, object]]] = field(default_factory=list)
    resource: dict[str, object] = field(default_factory=dict)


def read_spans(recorded: bytes) -> list[Span]:
    """Return what `Engine.take_spans` gave as bytes."""
    return [_span(span, {}) for span in ScopeSpans.FromString(recorded).spans]


def read_request(body: bytes) -> list[Span]:
    """Return what one export brought."""
    return [
        _span(span, _attributes(group.resource.attributes))
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: SpanMessage, resource: dict[str, object]) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.trace_state,
        span.status.code == ERROR,
        _attributes(span.attributes),
        [(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events],
        resource,
    )


def _attributes(pairs: object) -> dict[str, object]:
    found: dict[str, object] = {}
    for pair in pairs:  # type: ignore[attr-defined]
        value = pair.value
        found[pair.key] = value.int_value if value.HasField("int_value") else value.string_value
    return found
