"""One trace through a whole mesh, as OpenTelemetry's own gRPC service receives it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from eventmesh.cli.send import post
from eventmesh.cloudevents.event import Event
from eventmesh.kube.api import ApiError, Object, Resource
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import BROKER, CONFIG_MAP, TRIGGER
from eventmesh.kube.status import is_ready
from tests.mesh.objects import add_function, deploy, service, until
from tests.mesh.processes import MeshProcess
from tests.otlp import CLIENT, SERVER, Span, read_request
from tests.waiting import WAIT_S

pytestmark = pytest.mark.peer

ECHO = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
PARENT = "00f067aa0ba902b7"
GATEWAY, ACTIVATOR, FUNCTION = "eventmesh-gateway", "eventmesh-activator", "echo"
LOOK_S = 3.0
"""Processes export each second: so long a trace is waited for before another one is tried."""


class Receiver(TraceServiceServicer):
    """OpenTelemetry's service, with what it was sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    async def Export(  # noqa: N802  # the service's own name
        self, request: ExportTraceServiceRequest, context: object
    ) -> ExportTraceServiceResponse:
        self.spans += read_request(request.SerializeToString())
        return ExportTraceServiceResponse()

    async def trace(self, trace: str, count: int) -> list[Span]:
        """Return the spans of a trace, by their beginnings, once there are so many; fewer after a while."""
        for _ in range(int(LOOK_S / 0.05)):
            if len(self._of(trace)) >= count:
                break
            await asyncio.sleep(0.05)
        return self._of(trace)

    def _of(self, trace: str) -> list[Span]:
        return sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.started_ns)


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[Receiver, int]]:
    server, service_ = grpc.aio.server(), Receiver()
    add_TraceServiceServicer_to_server(service_, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield service_, port
    finally:
        await server.stop(None)


def named(span: Span) -> tuple[object, int]:
    return span.resource["service.name"], span.kind


async def test_a_request_and_an_event_are_one_trace_each(shared_mesh: MeshProcess, tmp_path: Path) -> None:
    add_function(shared_mesh, tmp_path / "echo", "echo", ECHO)
    async with shared_mesh.api() as api, receiver() as (received, port), asyncio.timeout(3 * WAIT_S):
        settings = {
            "tracing-protocol": "grpc",
            "tracing-endpoint": f"127.0.0.1:{port}",
            "tracing-sampling-rate": "1",
        }
        await api.patch(CONFIG_MAP, "config-observability", {"data": settings}, "knative-serving")
        # The activator stays in the way.
        await deploy(api, service("echo", "dev.local/echo", min_scale="1", target_burst_capacity="-1"))
        await the_request(shared_mesh, received)
        broker = await made(api, BROKER, {})
        reference = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "echo"}
        await made(api, TRIGGER, {"broker": "traced", "subscriber": {"ref": reference}})
        url = next(each["url"] for each in broker["status"]["addresses"] if each.get("name") == "external")
        await the_event(url, received)
        for wrong in ({"tracing-protocol": "zipkin"}, {"tracing-sampling-rate": "2"}):
            with pytest.raises(ApiError, match="config-observability.tracing"):
                await api.patch(CONFIG_MAP, "config-observability", {"data": wrong}, "knative-serving")


async def made(api: HttpApi, resource: Resource, spec: dict[str, Any]) -> Object:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "traced"}, "spec": spec}
    await api.create(resource, body, "default")
    return await until(api, resource, "traced", is_ready)


async def the_request(mesh: MeshProcess, received: Receiver) -> None:
    """Ask until every process has heard of the collector; then gateway, activator and sidecar are one chain."""
    for number in itertools.count(1):
        trace = f"{number:032x}"
        (answer,) = await mesh.ask("echo.default.localhost", traceparent=f"00-{trace}-{PARENT}-01")
        assert answer.status == 200
        spans = await received.trace(trace, 3)
        if len(spans) == 3:
            break
    assert [named(span) for span in spans] == [(GATEWAY, SERVER), (ACTIVATOR, SERVER), (FUNCTION, SERVER)]
    assert [span.parent for span in spans] == [PARENT, spans[0].span, spans[1].span]
    assert json.loads(answer.body)["traceparent"] == f"00-{trace}-{spans[2].span}-01"
    assert {span.attributes["http.response.status_code"] for span in spans} == {200}
    assert spans[2].resource["k8s.namespace.name"] == "default"
    assert str(spans[2].resource["k8s.pod.name"]).startswith("echo-00001-deployment-")


async def the_event(url: str, received: Receiver) -> None:
    """Send events until one's whole way was recorded: taken in, delivered, and received by the function."""
    for number in itertools.count(1):
        trace = f"{0xE:016x}{number:016x}"
        traceparent = f"00-{trace}-{PARENT}-01"
        event = Event(
            {"id": str(number), "source": "/s", "type": "t", "specversion": "1.0", "traceparent": traceparent}
        )
        status, _ = await asyncio.to_thread(post, url, event)
        assert status == 202
        spans = await received.trace(trace, 4)
        if len(spans) >= 4:
            break
    kinds = [named(span) for span in spans]
    assert kinds == [(GATEWAY, SERVER), (ACTIVATOR, SERVER), (ACTIVATOR, CLIENT), (FUNCTION, SERVER)]
    taken, delivered = spans[1], spans[2]
    assert (taken.attributes["http.response.status_code"], taken.parent) == (202, spans[0].span)
    assert (delivered.parent, spans[3].parent) == (taken.span, delivered.span)
