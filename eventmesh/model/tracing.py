"""Which requests are recorded as spans, and where the spans go."""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen

MILLION = 1_000_000
"""Shares of requests are told in millionths."""


class Traffic(Enum):
    """Which way a listener's traffic goes (Envoy's traffic_direction): spans are a server's or a client's by it."""

    NONE = "none"
    """Neither: what serves the process itself, its admin pages above all."""
    INBOUND = "inbound"
    """To a service."""
    OUTBOUND = "outbound"
    """From a client that this process stands beside."""


class OtlpProtocol(Enum):
    """How spans are sent, spelled as in OTEL_EXPORTER_OTLP_PROTOCOL and in Knative's `tracing-protocol`."""

    GRPC = "grpc"
    HTTP = "http/protobuf"


@frozen
class Collector:
    """A receiver of OTLP."""

    cluster: str
    """The cluster it is reached by."""
    authority: str
    protocol: OtlpProtocol = OtlpProtocol.HTTP
    path: str = "/v1/traces"
    """With HTTP; gRPC's is its method."""
    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every batch, names in lower case."""
    service_name: str = ""
    """`service.name` of the spans; empty: what the process calls itself."""
    timeout_s: float = 10.0
    """Longest time for one batch (OTLP's default)."""


@frozen
class Tracing:
    """How a listener traces. A request whose sender has decided is recorded, or not, as it says; the rest is drawn.

    The shares are Envoy's client, random and overall sampling.
    """

    collector: Collector
    client_millionths: int = MILLION
    """Of those that ask for it by x-client-trace-id."""
    random_millionths: int = MILLION
    """Of the others."""
    overall_millionths: int = MILLION
    """Of both, in the end."""
    max_text_bytes: int = 256
    """Longest value of an attribute that a client chooses, a path above all (Envoy's max_path_tag_length)."""
