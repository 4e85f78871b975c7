"""What can be seen of requests over HTTP/2: counters, the access log, spans, and the tap. Virtual time."""

from __future__ import annotations

from tests.otlp import SERVER
from tests.unit.core.http2_world import MANY, World, cluster
from tests.unit.core.test_retries import counters
from tests.unit.core.test_tap import rows, terms
from tests.unit.core.test_tracing import EVERYTHING, PARENT, TRACE, spans


def test_every_request_is_logged_with_its_answer() -> None:
    world = World(cluster())
    world.one_at_a_time(1, "/a")
    world.asks("/b")
    (one,) = world.asked()
    world.answers(one, 500)
    ((_, lines),) = world.mesh.engine.take_access_log()
    ok, failed = lines.decode().splitlines()
    assert '"GET /a HTTP/2" 200 - 0 6 ' in ok and '"GET /b HTTP/2" 500 - 0 6 ' in failed


def test_every_request_is_counted() -> None:
    world = World(cluster())
    world.one_at_a_time(2)
    assert counters(world.mesh)["upstream_rq_total"] == 2


def test_a_request_is_a_span_of_the_trace_that_it_names() -> None:
    world = World(cluster(), tracing=EVERYTHING)
    world.one_at_a_time(1, "/a", traceparent=f"00-{TRACE}-{PARENT}-01")
    (span,) = spans(world.mesh)
    assert (span.trace, span.parent, span.kind) == (TRACE, PARENT, SERVER)


def test_a_request_is_seen_by_the_tap() -> None:
    world = World(cluster())
    world.mesh.engine.tap(terms())
    world.one_at_a_time(1, "/a")
    (row,) = rows(world.mesh)
    assert (row["path"], row["status"], row["upstream"]) == ("/a", 200, MANY[0])
