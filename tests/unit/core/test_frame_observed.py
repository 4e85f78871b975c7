"""What can be seen of calls of each protocol of whole frames: spans, and the tap. Virtual time."""

from __future__ import annotations

import pytest

from tests.otlp import SERVER
from tests.unit.core.frames import FRAMES, Frames
from tests.unit.core.playbook import Playbook, called
from tests.unit.core.test_tap import rows, terms
from tests.unit.core.test_tracing import EVERYTHING, PARENT, TRACE, spans

each = pytest.mark.parametrize("frames", FRAMES, ids=lambda frames: frames.name)


@each
@pytest.mark.parametrize("failed", [False, True])
def test_a_call_is_a_span_of_the_trace_that_it_names(frames: Frames, failed: bool) -> None:
    mesh = Playbook(frames.config(tracing=EVERYTHING))
    caller, server = called(mesh, frames.call(1, "find", {"traceparent": f"00-{TRACE}-{PARENT}-01"}))
    answered = frames.failure if failed else frames.answer
    server.says(answered(frames.id_of(server.takes())))
    assert caller.takes() == answered(1)
    (span,) = spans(mesh)
    assert (span.trace, span.parent, span.kind) == (TRACE, PARENT, SERVER) and span.name.endswith("/find")
    assert span.attributes["rpc.method"] == "find" and ("error.type" in span.attributes) == failed


@each
def test_a_call_is_seen_by_the_tap(frames: Frames) -> None:
    mesh = frames.mesh()
    mesh.engine.tap(terms(body_bytes=4))
    caller, server = called(mesh, frames.call(1, "find", {"x-user": "bob"}))
    server.says(frames.answer(frames.id_of(server.takes())))
    assert caller.takes() == frames.answer(1)
    (row,) = rows(mesh)
    assert row["path"].endswith("/find") and (row["cluster"], row["upstream"], row["flags"]) == (
        "up",
        "10.0.0.1:1",
        "-",
    )
    assert ["x-user", "bob"] in row["request_headers"] and row["status"] == 200 and row["bytes_in"]
