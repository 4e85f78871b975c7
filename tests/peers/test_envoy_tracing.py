"""Traces beside Envoy's: one bootstrap, one collector, the same contexts passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.otlp import SERVER
from tests.peers.otlp_collector import Collector, collecting
from tests.peers.pairs import Pair, Proxy, cluster, document, pair_on, scripted

pytestmark = pytest.mark.peer

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HOST = {"name": "h", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}


def tracing(share: float) -> dict[str, Any]:
    config = {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        "service_name": "peer",
        "http_service": {"http_uri": {"uri": "http://otel.test/v1/traces", "cluster": "otel", "timeout": "5s"}},
    }
    return {
        "random_sampling": {"value": share},
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
    }


async def passed_on(proxy: Proxy, **headers: str) -> dict[str, str]:
    """Return the header fields that the server got."""
    answer = await proxy.ask("/a?q", headers={name.replace("_", "-"): value for name, value in headers.items()})
    return {name.lower(): value for name, value in answer.seen["headers"].items()}


@pytest.mark.parametrize("share", [100.0, 0.0])
async def test_both_continue_and_begin_the_same_traces(share: float, tmp_path: Path) -> None:
    async with collecting() as collector, scripted("up") as server:
        clusters = [cluster("up", server.address), cluster("otel", collector.address)]
        async with pair_on(document([HOST], clusters, tracing=tracing(share)), tmp_path) as pair:
            await contexts_are_equal(pair, collector, begins=share > 0)


async def contexts_are_equal(pair: Pair, collector: Collector, *, begins: bool) -> None:
    recorded: list[tuple[str, str, str]] = []
    for proxy in pair.both:
        told = await passed_on(proxy, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="a=1")
        _, trace, own, flags = told["traceparent"].split("-")
        assert (trace, told["tracestate"]) == (TRACE, "a=1") and own != PARENT
        # Envoy draws at each hop, so that a trace of n hops is whole with the n-th power of the share; here whoever
        # begins it has decided (docs/tracing.md).
        assert flags == ("01" if begins or proxy is pair.mesh else "00")
        if flags == "01":
            recorded.append((own, TRACE, PARENT))
        told = await passed_on(proxy, traceparent=f"00-{TRACE}-{PARENT}-00")
        assert told["traceparent"].startswith(f"00-{TRACE}-") and told["traceparent"].endswith("-00")
        told = await passed_on(proxy)
        _, trace, own, flags = told["traceparent"].split("-")
        assert flags == ("01" if begins else "00")
        if begins:
            recorded.append((own, trace, ""))
    for own, trace, parent in recorded:
        span = await collector.span(own)
        assert (span.trace, span.parent, span.kind) == (trace, parent, SERVER)
        assert span.resource["service.name"] == "peer"
