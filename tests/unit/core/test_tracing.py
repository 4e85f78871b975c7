"""Which trace a request belongs to, what the next hop is told, and what is recorded of it. Virtual time."""

from __future__ import annotations

import dataclasses
import json

import pytest

from eventmesh.model.cluster import Cluster
from eventmesh.model.listener import Listener, WireProtocol
from eventmesh.model.match import PathKind, RouteMatch
from eventmesh.model.policy import RetryOn, RetryPolicy
from eventmesh.model.route import Forward, Route, Serve, WeightedCluster
from eventmesh.model.tracing import Collector, Tracing, Traffic
from tests.otlp import CLIENT, SERVER, Span, read_spans
from tests.unit.core.playbook import Peer, Playbook, snapshot
from tests.unit.core.requests import OK, TWO, status
from tests.unit.core.test_bolt import id_of
from tests.unit.core.test_bolt import request as bolt_request
from tests.unit.core.test_bolt import response as bolt_response

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
EVERYTHING = Tracing(Collector("otel", "otel:4318"))
NOTHING = dataclasses.replace(EVERYTHING, random_millionths=0)


def tracing_mesh(
    tracing: Tracing = EVERYTHING, routes: tuple[Route, ...] | None = None, **listener: object
) -> Playbook:
    return Playbook(snapshot(routes=routes, listener=traced(tracing, **listener)))


def traced(tracing: Tracing | None, **more: object) -> Listener:
    return Listener("in", "", "t", tracing=tracing, **more)  # type: ignore[arg-type]


def ask(*headers: str, path: str = "/") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"GET {path} HTTP/1.1\r\nHost: shop:8080\r\n{lines}\r\n".encode()


def fields(heard: bytes) -> dict[str, str]:
    lines = heard.split(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.lower().split(": ", 1) for line in lines)


def asked(mesh: Playbook) -> Peer:
    """Return the endpoint's connection that has just been asked, a new one or one from the pool."""
    for peer in mesh.dials[:]:
        mesh.dialled(peer.address)
    return next(peer for peer in mesh.peers.values() if peer.address != "client" and peer.heard)


def passed_on(mesh: Playbook, *headers: str, path: str = "/") -> dict[str, str]:
    """Have a client ask; return the header fields that the endpoint gets, and answer."""
    client = mesh.connect()
    client.says(ask(*headers, path=path))
    server = asked(mesh)
    heard = fields(server.takes())
    server.says(OK)
    assert status(client) == 200
    return heard


def spans(mesh: Playbook) -> list[Span]:
    return [span for _, recorded, _ in mesh.engine.take_spans() for span in read_spans(recorded)]


def test_a_request_that_belongs_to_a_trace_goes_on_in_it_as_the_child_of_its_sender() -> None:
    mesh = tracing_mesh(NOTHING)
    heard = passed_on(mesh, f"traceparent: 00-{TRACE}-{PARENT}-01", "tracestate: a=1,b=2")
    (span,) = spans(mesh)
    assert (span.trace, span.parent, span.kind, span.state) == (TRACE, PARENT, SERVER, "a=1,b=2")
    assert heard["traceparent"] == f"00-{TRACE}-{span.span}-01" and span.span != PARENT
    assert heard["tracestate"] == "a=1,b=2"


def test_a_request_without_a_trace_begins_one_by_the_share_that_is_drawn() -> None:
    mesh = tracing_mesh(dataclasses.replace(EVERYTHING, random_millionths=500_000))
    told = [passed_on(mesh)["traceparent"] for _ in range(200)]
    recorded = spans(mesh)
    marked = [text for text in told if text.endswith("-01")]
    assert [f"00-{span.trace}-{span.span}-01" for span in recorded] == marked
    assert 70 < len(marked) < 130
    assert len({text.split("-")[1] for text in told}) == 200 and all(not span.parent for span in recorded)


def test_a_sender_that_does_not_record_is_obeyed_and_its_trace_goes_on() -> None:
    mesh = tracing_mesh()
    heard = passed_on(mesh, f"traceparent: 00-{TRACE}-{PARENT}-00")
    assert heard["traceparent"].startswith(f"00-{TRACE}-") and heard["traceparent"].endswith("-00")
    assert spans(mesh) == []


def test_without_tracing_nothing_is_added_and_nothing_changed() -> None:
    mesh = Playbook()
    assert "traceparent" not in passed_on(mesh)
    said = f"00-{TRACE}-{PARENT}-01"
    assert passed_on(mesh, f"traceparent: {said}")["traceparent"] == said
    assert mesh.engine.take_spans() == []
    assert not [name for name, _, _ in json.loads(mesh.engine.stats())["counters"] if "tracing" in name]


def test_b3_is_continued_in_its_own_form_beside_traceparent() -> None:
    mesh = tracing_mesh(NOTHING)
    heard = passed_on(mesh, f"b3: {TRACE}-{PARENT}-1")
    (span,) = spans(mesh)
    assert (span.trace, span.parent) == (TRACE, PARENT)
    assert heard["b3"] == f"{TRACE}-{span.span}-1-{PARENT}"
    assert heard["traceparent"] == f"00-{TRACE}-{span.span}-01"
    heard = passed_on(mesh, f"X-B3-TraceId: {TRACE}", f"X-B3-SpanId: {PARENT}", "X-B3-Sampled: 1")
    (span,) = spans(mesh)
    assert (heard["x-b3-traceid"], heard["x-b3-spanid"], heard["x-b3-parentspanid"]) == (TRACE, span.span, PARENT)


def test_two_hops_are_one_chain_of_parents() -> None:
    first, second = tracing_mesh(), tracing_mesh()
    heard = passed_on(first)
    passed_on(second, f"traceparent: {heard['traceparent']}")
    (outer,), (inner,) = spans(first), spans(second)
    assert (inner.trace, inner.parent, outer.parent) == (outer.trace, outer.span, "")


def test_a_span_tells_of_the_request_in_opentelemetrys_words() -> None:
    routes = (
        Route(RouteMatch("/basket", PathKind.SEPARATED_PREFIX), Forward((WeightedCluster("up"),)), name="basket"),
    )
    mesh = tracing_mesh(routes=routes)
    client = mesh.connect()
    client.says(ask("User-Agent: curl/8", "x-request-id: 7", path="/basket/1?card=4111"))
    mesh.passes(0.25)
    server = mesh.dialled()
    server.says(OK)
    (span,) = spans(mesh)
    assert span.name == "GET /basket"
    assert (span.started_ns, span.ended_ns) == (1_000_000_000_000, 1_000_250_000_000)
    assert not span.failed
    assert span.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/basket/1",
        "http.route": "/basket",
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "user_agent.original": "curl/8",
        "guid:x-request-id": "7",
        "server.address": "shop",
        "server.port": 8080,
        "network.peer.address": "10.9.9.9",
        "network.peer.port": 5,
        "upstream_cluster": "up",
        "upstream_address": "10.0.0.1:80",
        "request_size": 0,
        "response_size": 2,
    }


def test_what_a_client_chooses_is_cut_to_the_longest_text() -> None:
    mesh = tracing_mesh(dataclasses.replace(EVERYTHING, max_text_bytes=16))
    passed_on(mesh, f"User-Agent: {'a' * 5_000}", path="/" + "p" * 5_000)
    (span,) = spans(mesh)
    assert span.attributes["url.path"] == "/" + "p" * 15 and span.attributes["user_agent.original"] == "a" * 16


def test_bytes_that_are_no_text_do_not_spoil_the_batch() -> None:
    mesh = tracing_mesh()
    client = mesh.connect()
    client.says(b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: \xff\xfe\r\n\r\n")
    mesh.dialled().says(OK)
    (span,) = spans(mesh)
    assert span.attributes["user_agent.original"] == "\ufffd\ufffd"


def test_answers_of_the_mesh_itself_are_spans_too() -> None:
    mesh = Playbook(snapshot(Cluster("up"), listener=traced(EVERYTHING)))
    client = mesh.connect()
    client.says(ask())
    assert status(client) == 503
    (span,) = spans(mesh)
    assert span.failed
    assert (span.attributes["response_flags"], span.attributes["error.type"]) == ("UH", "UH")
    assert span.attributes["http.response.status_code"] == 503


def test_retries_are_events_of_the_one_span() -> None:
    policy = RetryPolicy((RetryOn.SERVER_ERROR,), max_retries=2)
    mesh = tracing_mesh(routes=(Route(RouteMatch(), Forward((WeightedCluster("up"),), retry=policy)),))
    client = mesh.connect()
    client.says(ask())
    server = mesh.dialled()
    first = fields(server.takes())
    server.says(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    mesh.passes(0.25)
    assert fields(server.takes())["traceparent"] == first["traceparent"]
    server.says(OK)
    (span,) = spans(mesh)
    assert span.events == [("retry", 1_000_000_000_000, {"http.response.status_code": 503})]
    assert span.attributes["http.request.resend_count"] == 1 and not span.failed


@pytest.mark.parametrize("probe", ["K-Network-Probe: queue", "User-Agent: kube-probe/1.32", "K-Kubelet-Probe: queue"])
def test_probes_begin_no_traces(probe: str) -> None:
    mesh = tracing_mesh()
    passed_on(mesh, probe)
    assert spans(mesh) == []


def test_a_client_may_ask_to_be_recorded_when_clients_may() -> None:
    mesh = tracing_mesh(NOTHING)
    passed_on(mesh, "x-client-trace-id: 1")
    assert len(spans(mesh)) == 1
    mesh = tracing_mesh(dataclasses.replace(NOTHING, client_millionths=0))
    passed_on(mesh, "x-client-trace-id: 1")
    assert spans(mesh) == []


def test_a_listener_follows_the_snapshot_if_its_traffic_goes_anywhere() -> None:
    base = snapshot(listener=Listener("in", "", "t", traffic=Traffic.OUTBOUND))
    mesh = Playbook(dataclasses.replace(base, tracing=EVERYTHING))
    passed_on(mesh)
    ((listener, recorded, count),) = mesh.engine.take_spans()
    assert (listener, count, read_spans(recorded)[0].kind) == ("", 1, CLIENT)
    mesh = Playbook(dataclasses.replace(snapshot(), tracing=EVERYTHING))
    assert "traceparent" not in passed_on(mesh), "the process's own pages are no traffic"


def test_tracing_comes_and_goes_with_the_configuration() -> None:
    plain, wanted = snapshot(), snapshot(listener=traced(EVERYTHING))
    mesh = Playbook(plain)
    mesh.apply(wanted)
    passed_on(mesh)
    assert len(spans(mesh)) == 1
    mesh.apply(plain)
    assert "traceparent" not in passed_on(mesh)
    assert spans(mesh) == []


def own_mesh() -> Playbook:
    return Playbook(dataclasses.replace(snapshot(), tracing=EVERYTHING))


def send(mesh: Playbook, *headers: tuple[str, str]) -> dict[str, str]:
    exchange, actions = mesh.engine.send("t", "POST", "h", "/", list(headers), b"x", mesh.now)
    mesh.do(actions)
    server = mesh.dialled()
    heard = fields(server.takes())
    server.says(OK)
    assert mesh.done[exchange].status == 200
    return heard


def test_what_this_process_sends_within_a_trace_is_a_clients_span_of_it() -> None:
    mesh = own_mesh()
    heard = send(mesh, ("traceparent", f"00-{TRACE}-{PARENT}-01"))
    (span,) = spans(mesh)
    assert (span.trace, span.parent, span.kind) == (TRACE, PARENT, CLIENT)
    assert heard["traceparent"] == f"00-{TRACE}-{span.span}-01"


def test_what_this_process_sends_outside_of_traces_begins_none() -> None:
    mesh = own_mesh()
    assert "traceparent" not in send(mesh)
    assert spans(mesh) == []


def test_a_handler_of_this_process_is_told_of_the_span_it_works_in() -> None:
    mesh = tracing_mesh(routes=(Route(RouteMatch(), Serve("broker")),))
    client = mesh.connect()
    client.says(ask())
    exchange, _, request = mesh.served[0]
    mesh.reply(exchange, 202)
    (span,) = spans(mesh)
    assert dict(request.headers)["traceparent"] == f"00-{span.trace}-{span.span}-01"
    assert span.attributes["http.response.status_code"] == 202


def test_a_bolt_call_of_sofatracer_is_continued_in_its_own_terms() -> None:
    listener = traced(EVERYTHING, protocol=WireProtocol.BOLT)
    mesh = Playbook(snapshot(Cluster("up", TWO[:1], protocol=WireProtocol.BOLT), listener=listener))
    caller = mesh.connect()
    trace = "0a2c7e3f1533812677021100116644"
    pairs = {
        "service": "com.S:1.0",
        "sofa_head_method_name": "hello",
        "rpc_trace_context.sofaTraceId": trace,
        "rpc_trace_context.sofaRpcId": "0.1",
    }
    caller.says(bolt_request(7, b"body", timeout_ms=3000, kind=1, **pairs))
    server = mesh.dialled()
    heard = server.takes()
    assert b"0.1.1" in heard and trace.encode() in heard
    server.says(bolt_response(id_of(heard)))
    (span,) = spans(mesh)
    assert span.trace == f"{trace:0>32}" and span.name == "com.S:1.0/hello"
    assert f"00-{span.trace}-{span.span}-01".encode() in heard
    told = {name: span.attributes[name] for name in ("rpc.system", "rpc.service", "rpc.method")}
    assert told == {"rpc.system": "sofa_rpc", "rpc.service": "com.S:1.0", "rpc.method": "hello"}


def test_spans_are_counted() -> None:
    mesh = tracing_mesh()
    for _ in range(3):
        passed_on(mesh)
    counters = {name: value for name, _, value in json.loads(mesh.engine.stats())["counters"]}
    assert counters["eventmesh_tracing_spans_recorded_total"] == 3
    assert counters["eventmesh_tracing_spans_dropped_total"] == 0


def test_a_wrong_member_of_tracing_is_named() -> None:
    config = json.loads(snapshot(listener=traced(EVERYTHING)).to_core())
    config["listeners"][0]["tracing"]["random_millionths"] = "all"
    with pytest.raises(ValueError, match="invalid type"):
        Playbook().engine.apply(json.dumps(config).encode(), 0.0)
