"""The envelope around spans, read by opentelemetry-proto's own messages."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span

from eventmesh.dataplane.otlp import export_request, rejected_spans


def test_spans_of_one_resource_and_one_scope() -> None:
    spans = ScopeSpans(spans=[Span(name="a" * 300), Span(name="b")]).SerializeToString()
    request = ExportTraceServiceRequest.FromString(
        export_request({"service.name": "shöp", "k8s.pod.name": "p" * 200}, ("eventmesh", "1"), spans)
    )
    (group,) = request.resource_spans
    attributes = {pair.key: pair.value.string_value for pair in group.resource.attributes}
    assert attributes == {"service.name": "shöp", "k8s.pod.name": "p" * 200}
    (scope,) = group.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("eventmesh", "1")
    assert [span.name for span in scope.spans] == ["a" * 300, "b"]


def test_a_receiver_may_have_refused_some() -> None:
    partial = ExportTracePartialSuccess(rejected_spans=300, error_message="too old")
    assert rejected_spans(ExportTraceServiceResponse(partial_success=partial).SerializeToString()) == 300
    assert rejected_spans(ExportTraceServiceResponse().SerializeToString()) == 0


@pytest.mark.parametrize("odd", [b"{}", b"\x0a\xff", b"\xff" * 20, b"\x0a\x01", b"OK\n", b"\x0b", b"\x09\x01"])
def test_an_answer_that_is_no_message_refuses_nothing(odd: bytes) -> None:
    assert rejected_spans(odd) == 0
