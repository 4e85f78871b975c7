"""How data planes are told to trace: ours by a cluster whose metadata says so, Envoy by its connection managers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from envoy_data_plane.google.protobuf import Struct, Value

from eventmesh.kube.observability import TracingSettings
from eventmesh.model.tracing import OtlpProtocol
from eventmesh.xds.control import envoy
from eventmesh.xds.control.encoding import made
from eventmesh.xds.control.envoy import Protocol
from eventmesh.xds.control.resources import Resource

if TYPE_CHECKING:
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
        HttpConnectionManagerTracing,
    )

TRACING_CLUSTER = "eventmesh-system/tracing"
"""Where spans go."""

_TIMEOUT = timedelta(seconds=10)
"""For one export: OTLP's own default."""

_SERVICE = "eventmesh-gateway"
"""What an Envoy calls itself in spans."""


def tracing_cluster(settings: TracingSettings) -> Resource:
    """Return the cluster that takes the spans of every data plane of ours that is told of it."""
    said = {
        "protocol": made(Value, string_value=settings.protocol.value),
        "sampling": made(Value, number_value=settings.sampling),
        "authority": made(Value, string_value=settings.authority),
        "path": made(Value, string_value=settings.path),
    }
    protocol = Protocol.HTTP2 if settings.protocol is OtlpProtocol.GRPC else Protocol.HTTP1
    tracing = {"tracing": made(Value, struct_value=made(Struct, fields=said))}
    return envoy.dns_cluster(TRACING_CLUSTER, settings.host, settings.port, protocol, settings=tracing)


def manager_tracing(settings: TracingSettings) -> HttpConnectionManagerTracing:
    """Return how a connection manager of Envoy traces."""
    # Imported where it is asked for: few meshes have an Envoy, and fewer trace.
    from envoy_data_plane.envoy.config.core.v3 import GrpcService, GrpcServiceEnvoyGrpc, HttpService, HttpUri
    from envoy_data_plane.envoy.config.trace.v3 import OpenTelemetryConfig, TracingHttp
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
        HttpConnectionManagerTracing,
    )
    from envoy_data_plane.envoy.type.v3 import Percent

    config = made(OpenTelemetryConfig, service_name=_SERVICE)
    if settings.protocol is OtlpProtocol.GRPC:
        grpc = made(GrpcServiceEnvoyGrpc, cluster_name=TRACING_CLUSTER, authority=settings.authority)
        config.grpc_service = made(GrpcService, envoy_grpc=grpc, timeout=_TIMEOUT)
    else:
        uri = f"http://{settings.authority}{settings.path}"
        http = made(HttpUri, uri=uri, cluster=TRACING_CLUSTER, timeout=_TIMEOUT)
        config.http_service = made(HttpService, http_uri=http)
    provider = made(TracingHttp, name="envoy.tracers.opentelemetry", typed_config=envoy.pack(config))
    share = made(Percent, value=settings.sampling * 100)
    return made(HttpConnectionManagerTracing, random_sampling=share, provider=provider)
