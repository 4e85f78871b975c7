"""The trace of a Dubbo call: read from its attachments, and told anew in them to the next hop. Virtual time."""

from __future__ import annotations

import struct

import pytest

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import WireProtocol
from eventmesh.model.match import RouteMatch
from eventmesh.model.policy import RetryOn, RetryPolicy
from eventmesh.model.route import Forward, Route, WeightedCluster
from eventmesh.model.tracing import Tracing
from tests.unit.core.playbook import Playbook, snapshot
from tests.unit.core.requests import TWO
from tests.unit.core.test_dubbo import call, frame, id_of, text, value
from tests.unit.core.test_tracing import EVERYTHING, NOTHING, PARENT, TRACE, asked, spans, traced

MAX_DUBBO_BODY = 8 * 1024 * 1024
"""`crates/core/src/limits.rs`."""


def dubbo_mesh(tracing: Tracing | None = NOTHING) -> Playbook:
    listener = traced(tracing, protocol=WireProtocol.DUBBO)
    return Playbook(snapshot(Cluster("up", TWO[:1], protocol=WireProtocol.DUBBO), listener=listener))


def attached(name: str, words: str) -> bytes:
    """Return an attachment; Hessian has the length of a text beyond 31 characters in two bytes."""
    length = text(words) if len(words) < 32 else struct.pack(">H", 0x3000 | len(words)) + words.encode()
    return text(name) + length


def dubbo_call(*attachments: bytes, end: bytes = b"Z") -> bytes:
    return frame(0xC2, 7, call(7)[16:-1] + b"".join(attachments) + end)


def told(mesh: Playbook, said: bytes, cut: int = 0) -> bytes:
    """Have a caller say `said`, in two pieces; return what the provider hears, which is a whole frame, and answer."""
    caller = mesh.connect()
    for piece in (said[:cut], said[cut:]):
        caller.says(piece)
    server = asked(mesh)
    heard = server.takes()
    assert len(heard) == 16 + int.from_bytes(heard[12:16])
    server.says(value(id_of(heard)))
    return heard


def test_a_dubbo_call_goes_on_in_its_trace_as_the_child_of_its_sender_and_is_the_same_call_otherwise() -> None:
    mesh = dubbo_mesh()
    others = [attached("group", "b"), b"\x05count\x91", b"\x04list\x79\x91", b"\x01x\x01\xc3\xa9"]
    sender = [attached("traceparent", f"00-{TRACE}-{PARENT}-01"), attached("tracestate", "a=1")]
    heard = told(mesh, dubbo_call(others[0], sender[0], *others[1:3], sender[1], others[3]))
    (span,) = spans(mesh)
    assert (span.trace, span.parent, span.attributes["rpc.system"]) == (TRACE, PARENT, "apache_dubbo")
    assert span.attributes["rpc.method"] == "find"
    own = [attached("tracestate", "a=1"), attached("traceparent", f"00-{TRACE}-{span.span}-01")]
    assert heard[16:] == dubbo_call(*others, *own)[16:]


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 60, 90, 100, 110])
def test_a_dubbo_call_without_a_trace_begins_one_however_it_comes(cut: int) -> None:
    mesh = dubbo_mesh(EVERYTHING)
    heard = told(mesh, dubbo_call(attached("group", "b")), cut)
    (span,) = spans(mesh)
    own = attached("traceparent", f"00-{span.trace}-{span.span}-01")
    assert heard[16:] == dubbo_call(attached("group", "b"), own)[16:]


def test_b3_and_the_call_of_sofa_are_told_in_their_own_ways_in_dubbo_too() -> None:
    mesh = dubbo_mesh(EVERYTHING)
    sofa = [attached("sofa-traceid", "0a2c7e3f1533812677021100116644"), attached("sofa-rpcid", "0.1")]
    heard = told(mesh, dubbo_call(*sofa, attached("b3", f"{TRACE}-{PARENT}-1")))
    (span,) = spans(mesh)
    assert attached("b3", f"{TRACE}-{span.span}-1-{PARENT}") in heard and attached("sofa-rpcid", "0.1.1") in heard
    assert heard.count(b"sofa-rpcid") == heard.count(b"\x02b3") == 1


def test_a_call_without_attachments_gets_some() -> None:
    mesh = dubbo_mesh(EVERYTHING)
    body = call(7)[16:-2]
    heard = told(mesh, frame(0xC2, 7, body + b"N"))
    (span,) = spans(mesh)
    assert heard[16:] == body + b"H" + attached("traceparent", f"00-{span.trace}-{span.span}-01") + b"Z"


@pytest.mark.parametrize(
    ("shadow", "behind"),
    [
        pytest.param(b"C" + text("a.Trace") + b"\x91" + text("id") + b"\x60\x91", b"\x60\x92", id="a class"),
        pytest.param(b"M" + text("a.Trace") + b"Z", b"M\x90Z", id="a type"),
        pytest.param(b"HZ", b"Q\x91", id="a map"),
    ],
)
def test_an_attachment_that_others_refer_to_stays_though_it_has_the_name_of_a_trace(
    shadow: bytes, behind: bytes
) -> None:
    mesh = dubbo_mesh(EVERYTHING)
    said = [text("traceparent") + shadow, text("after") + behind, attached("group", "b")]
    heard = told(mesh, dubbo_call(*said))
    (span,) = spans(mesh)
    # Java's maps keep the last value of a name.
    own = attached("traceparent", f"00-{span.trace}-{span.span}-01")
    assert heard[16:] == dubbo_call(*said, own)[16:]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(dubbo_call(end=b""), id="a map without an end"),
        pytest.param(dubbo_call(end=b"Z\x91"), id="something behind it"),
        pytest.param(frame(0xC6, 7, call(7)[16:]), id="another serialization"),
        pytest.param(frame(0xC2, 7, call(7)[16:-2]), id="no map"),
        pytest.param(frame(0xC2, 7, call(7)[16:-2] + b"N\x91"), id="something behind none"),
        pytest.param(dubbo_call(*(attached(f"k{at}", "v") for at in range(257))), id="more than are read"),
    ],
)
def test_a_dubbo_call_whose_attachments_cannot_be_told_anew_passes_as_it_came(said: bytes) -> None:
    mesh = dubbo_mesh(EVERYTHING)
    assert told(mesh, said)[16:] == said[16:]
    assert len(spans(mesh)) == 1


def test_a_dubbo_call_that_nobody_traces_passes_as_it_came() -> None:
    said = dubbo_call(attached("traceparent", f"00-{TRACE}-{PARENT}-01"))
    assert told(dubbo_mesh(None), said)[16:] == said[16:]


def large_call(size: int) -> bytes:
    """Return a call with a body of this size: bytes in chunks."""
    strings = b"".join(map(text, ("2.0.2", "com.shop.Orders", "1.0", "find", "[B")))
    chunks, last = divmod(size - len(strings) - len(b"HZ") - 3, 3 + 0x8000)
    argument = (b"A\x80\0" + bytes(0x8000)) * chunks + b"B" + struct.pack(">H", last) + bytes(last)
    return frame(0xC2, 7, strings + argument + b"HZ")


@pytest.mark.parametrize(("room", "told_anew"), [(0, False), (68, False), (69, True)])
def test_a_dubbo_call_is_not_made_longer_than_providers_take(room: int, told_anew: bool) -> None:
    said = large_call(MAX_DUBBO_BODY - room)
    heard = told(dubbo_mesh(EVERYTHING), said)
    assert (len(heard) == len(said) + 69, heard[16:] == said[16:]) == (told_anew, not told_anew)
    assert len(heard) <= 16 + MAX_DUBBO_BODY


def test_a_dubbo_call_that_is_tried_again_is_told_as_it_was() -> None:
    policy = RetryPolicy(on=(RetryOn.SERVER_ERROR,), max_retries=1)
    cluster = Cluster("up", TWO[:1], protocol=WireProtocol.DUBBO)
    route = Route(RouteMatch(), Forward((WeightedCluster("up"),), retry=policy))
    listener = traced(EVERYTHING, protocol=WireProtocol.DUBBO)
    mesh = Playbook(snapshot(cluster, routes=(route,), listener=listener))
    mesh.connect().says(dubbo_call(attached("group", "b")))
    server = asked(mesh)
    first = server.takes()
    server.says(frame(0x02, id_of(first), text("no"), 80))
    mesh.passes(1)
    again = server.takes()
    assert again[12:] == first[12:] and b"traceparent" in again
