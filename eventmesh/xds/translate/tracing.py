"""Tracing of a connection manager, of a bootstrap and of a mesh into Tracing."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from eventmesh.base.errors import ConfigError
from eventmesh.model.tracing import MILLION, Collector, OtlpProtocol, Tracing
from eventmesh.xds.schema.tree import Json, Message

OPENTELEMETRY = "envoy.config.trace.v3.OpenTelemetryConfig"
ENVIRONMENT_DETECTOR = "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig"

MAX_TEXT_BYTES = 4096
"""Longest value that an attribute may be let have: a span should not be larger than what it tells of."""


def read_tracing(manager: Message, common: Collector | None = None) -> Tracing | None:
    """Return what an HttpConnectionManager's `tracing` says; None: it does not trace.

    Its spans go to `common`, the bootstrap's, unless it names a provider. Raises ConfigError for an unknown tracer.
    """
    tracing = manager.child("tracing")
    if tracing is None:
        return None
    provider = tracing.child("provider")
    collector = _collector(provider) if provider is not None else common
    if collector is None:
        raise tracing.error("provider", f"missing; {OPENTELEMETRY} is supported, here or in the bootstrap's tracing")
    longest = tracing.number("max_path_tag_length", 256)
    if not 0 < longest <= MAX_TEXT_BYTES:
        raise tracing.error("max_path_tag_length", f"{longest} is out of range; accepted are 1 to {MAX_TEXT_BYTES}")
    return Tracing(
        collector,
        client_millionths=_share(tracing, "client_sampling"),
        random_millionths=_share(tracing, "random_sampling"),
        overall_millionths=_share(tracing, "overall_sampling"),
        max_text_bytes=longest,
    )


def read_common_collector(tracing: Message) -> Collector | None:
    """Return who takes the spans of listeners without a provider of their own, by a bootstrap's `tracing`."""
    http = tracing.child("http")
    return _collector(http) if http is not None else None


def read_mesh_tracing(path: str, settings: Json, cluster: str) -> Tracing:
    """Return what the metadata `tracing` of a cluster says: it takes the spans of every process that is told of it.

    Members: `protocol` (grpc or http/protobuf), `sampling` (0 to 1), `authority`, and with HTTP `path`.
    Raises ConfigError naming the member.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(path, f"expected an object, got {settings!r}")
    texts = {key: value for key, value in settings.items() if isinstance(value, str)}
    unknown = settings.keys() - {"protocol", "sampling", "authority", "path"}
    if unknown:
        raise ConfigError(f"{path}.{min(unknown)}", "no such setting")
    try:
        protocol = OtlpProtocol(texts.get("protocol"))
    except ValueError:
        known = " or ".join(one.value for one in OtlpProtocol)
        raise ConfigError(f"{path}.protocol", f"expected {known}, got {settings.get('protocol')!r}") from None
    share = settings.get("sampling")
    if isinstance(share, bool) or not isinstance(share, float | int) or not 0 <= share <= 1:
        raise ConfigError(f"{path}.sampling", f"expected a number from 0 to 1, got {share!r}")
    if not texts.get("authority"):
        raise ConfigError(f"{path}.authority", "missing")
    collector = Collector(cluster, texts["authority"], protocol, texts.get("path", "/v1/traces"))
    return Tracing(collector, random_millionths=round(share * MILLION))


def _share(tracing: Message, name: str) -> int:
    percent = tracing.child(name)
    share = percent.decimal("value") if percent is not None else 100.0
    if not 0 <= share <= 100:
        raise tracing.error(f"{name}.value", f"{share} is out of range; accepted are 0 to 100")
    return round(share / 100 * MILLION)


def _collector(provider: Message) -> Collector:
    config = provider.child("typed_config")
    if config is None or config.schema.name != OPENTELEMETRY:
        what = config.schema.name if config else f"{provider.text('name')!r} without typed_config"
        raise provider.error("typed_config", f"{what} is not supported; {OPENTELEMETRY} is")
    for i, detector in enumerate(config.children("resource_detectors")):
        kind = detector.child("typed_config")
        if kind is None or kind.schema.name != ENVIRONMENT_DETECTOR:
            what = kind.schema.name if kind else detector.text("name")
            raise config.error(f"resource_detectors[{i}]", f"{what} is not supported; {ENVIRONMENT_DETECTOR} is")
    grpc, http = config.child("grpc_service"), config.child("http_service")
    if (grpc is None) == (http is None):
        raise config.error("", "needs grpc_service or http_service, one of them")
    service = config.text("service_name")
    return _grpc(grpc, service) if grpc is not None else _http(config, service)


def _grpc(service: Message, name: str) -> Collector:
    target = service.child("envoy_grpc")
    if target is None or not target.text("cluster_name"):
        raise service.error("envoy_grpc.cluster_name", "missing; spans are sent to a cluster")
    headers = tuple((one.text("key").lower(), one.text("value")) for one in service.children("initial_metadata"))
    return Collector(
        target.text("cluster_name"),
        target.text("authority") or target.text("cluster_name"),
        OtlpProtocol.GRPC,
        headers=headers,
        service_name=name,
        timeout_s=service.seconds("timeout", 10.0),
    )


def _http(config: Message, name: str) -> Collector:
    service = config.child("http_service")
    uri = service.child("http_uri") if service is not None else None
    if service is None or uri is None or not uri.text("cluster"):
        raise config.error("http_service.http_uri.cluster", "missing; spans are sent to a cluster")
    parts = urlsplit(uri.text("uri"))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise uri.error("uri", f"{uri.text('uri')!r} is no absolute http or https URI")
    headers = tuple(
        (header.text("key").lower(), header.text("value"))
        for option in service.children("request_headers_to_add")
        if (header := option.child("header")) is not None
    )
    path = parts.path or "/"
    return Collector(
        uri.text("cluster"),
        parts.netloc,
        OtlpProtocol.HTTP,
        f"{path}?{parts.query}" if parts.query else path,
        headers,
        name,
        uri.seconds("timeout", 10.0),
    )
