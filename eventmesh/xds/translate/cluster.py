"""Cluster and ClusterLoadAssignment into Cluster and Endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from eventmesh.base.errors import ConfigError
from eventmesh.model.cluster import Balancing, Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.xds.schema.tree import Json, Message
from eventmesh.xds.translate.address import read_address
from eventmesh.xds.translate.balancing import with_balancing
from eventmesh.xds.translate.labels import read_labels
from eventmesh.xds.translate.resources import ClusterResource
from eventmesh.xds.translate.sources import read_config_source

if TYPE_CHECKING:
    from eventmesh.model.tracing import Tracing
    from eventmesh.xds.translate.tls import ClientTlsResource

METADATA_KEY = "eventmesh"
"""Key of our own settings in a cluster's filter_metadata."""
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_OWN_BALANCINGS = (Balancing.FIRST_AVAILABLE.value,)
_OWN_PROTOCOLS = (WireProtocol.BOLT.value, WireProtocol.DUBBO.value, WireProtocol.FRAMED.value)


def read_cluster(message: Message, warnings: list[str]) -> ClusterResource:
    """Return a `cluster.Cluster`. Raises ConfigError for what is unsupported or contradicts itself."""
    name = message.text("name")
    if not name:
        raise message.error("name", "missing")
    kind = message.text("type", "STATIC")
    if kind == "ORIGINAL_DST":
        raise message.error("type", "ORIGINAL_DST is not supported; use STATIC, STRICT_DNS, LOGICAL_DNS or EDS")
    limits = _default_thresholds(message)
    cluster = Cluster(
        name=name,
        endpoints=() if kind == "EDS" else _own_endpoints(message, kind),
        protocol=_http_protocol(message),
        connect_timeout_s=message.seconds("connect_timeout", 5.0),
        idle_timeout_s=_idle_timeout_s(message),
        max_connections=limits.number("max_connections", 1024) if limits else 1024,
        max_requests=limits.number("max_requests", 1024) if limits else 1024,
        max_pending=limits.number("max_pending_requests", 1024) if limits else 1024,
        max_retries=limits.number("max_retries", 3) if limits else 3,
    )
    cluster = _with_settings(with_balancing(_with_keepalive(cluster, message), message), message)
    if cluster.hold:
        # Requests wait for an endpoint that is well: sending them to one that is not helps nobody.
        cluster = replace(cluster, panic_percent=0.0)
    cluster = _with_policies(cluster, message, limits)
    tls = _tls(message, cluster.protocol, warnings)
    tracing = _tracing(message, name)
    if kind != "EDS":
        return ClusterResource(cluster, tls=tls, tracing=tracing)
    eds = message.child("eds_cluster_config")
    if eds is None:
        raise message.error("eds_cluster_config", "missing; a cluster of type EDS needs eds_config")
    source = read_config_source(eds, "eds_config")
    return ClusterResource(cluster, eds.text("service_name") or name, source, tls, tracing)


def read_assignment(message: Message, *, dns: bool = False) -> tuple[Endpoint, ...]:
    """Return the endpoints of a `ClusterLoadAssignment`, those of each locality together."""
    endpoints = []
    for group in message.children("endpoints"):
        place = group.child("locality")
        locality = "/".join(place.text(part) for part in ("region", "zone", "sub_zone")) if place else ""
        terms = (group.number("priority"), locality, group.number("load_balancing_weight"))
        endpoints += [_endpoint(item, dns, *terms) for item in group.children("lb_endpoints")]
    return tuple(endpoints)


def _endpoint(item: Message, dns: bool, priority: int, locality: str, locality_weight: int) -> Endpoint:
    endpoint = item.child("endpoint")
    if endpoint is None:
        raise item.error("endpoint", "missing")
    weight = item.number("load_balancing_weight", 1)
    if weight < 1:
        raise item.error("load_balancing_weight", "0 is out of range; weights start at 1")
    return Endpoint(
        address=read_address(endpoint, "address", dns=dns),
        weight=weight,
        healthy=item.text("health_status", "UNKNOWN") in ("UNKNOWN", "HEALTHY", "DEGRADED"),
        priority=priority,
        locality=locality,
        locality_weight=locality_weight,
        metadata=read_labels(item, "metadata"),
    )


def _with_policies(cluster: Cluster, message: Message, limits: Message | None) -> Cluster:
    """Return the cluster with the rarer of its policies. Each is imported where it is asked for: a sidecar starts with
    every pod, and a module that it does not need costs it 0.1 MiB."""
    if message.has("outlier_detection") or message.has("health_checks"):
        from eventmesh.xds.translate.health import read_health_check, read_outlier

        check = read_health_check(message, cluster.protocol)
        cluster = replace(cluster, outlier=read_outlier(message), health_check=check)
    if limits is not None and limits.has("retry_budget"):
        from eventmesh.xds.translate.retry import read_retry_budget

        cluster = replace(cluster, retry_budget=read_retry_budget(limits))
    return cluster


def _tls(message: Message, protocol: WireProtocol, warnings: list[str]) -> ClientTlsResource | None:
    if not message.has("transport_socket"):
        return None
    # Most clusters are spoken to in clear text, and a sidecar would feel the import.
    from eventmesh.xds.translate.tls import read_client_tls

    tls = read_client_tls(message, warnings)
    if tls is not None and protocol is WireProtocol.HTTP2 and not tls.terms.alpn:
        # Servers of HTTP/2 under TLS insist on it (RFC 9113 3.2), gRPC's above all.
        return replace(tls, terms=replace(tls.terms, alpn=("h2",)))
    return tls


def _own_endpoints(message: Message, kind: str) -> tuple[Endpoint, ...]:
    assignment = message.child("load_assignment")
    if assignment is None:
        return ()
    endpoints = read_assignment(assignment, dns=kind != "STATIC")
    if kind == "LOGICAL_DNS" and len(endpoints) != 1:
        raise message.error("load_assignment", f"LOGICAL_DNS takes exactly one endpoint, not {len(endpoints)}")
    return endpoints


def _default_thresholds(message: Message) -> Message | None:
    breakers = message.child("circuit_breakers")
    found = None
    for thresholds in breakers.children("thresholds") if breakers else ():
        if thresholds.text("priority", "DEFAULT") == "DEFAULT":
            found = thresholds
    return found


def _http_options(message: Message) -> Message | None:
    for key, options in message.messages_by_key("typed_extension_protocol_options").items():
        if options.schema.name != HTTP_OPTIONS:
            path = message.where(f'typed_extension_protocol_options["{key}"]')
            raise ConfigError(path, f"{options.schema.name} is not supported; {HTTP_OPTIONS} is")
        return options
    return None


def _http_protocol(message: Message) -> WireProtocol:
    options = _http_options(message)
    if options is None:
        if message.text("protocol_selection", "USE_CONFIGURED_PROTOCOL") == "USE_DOWNSTREAM_PROTOCOL":
            return WireProtocol.DOWNSTREAM
        return WireProtocol.HTTP2 if message.has("http2_protocol_options") else WireProtocol.HTTP1
    if options.has("use_downstream_protocol_config"):
        return WireProtocol.DOWNSTREAM
    explicit = options.child("explicit_http_config")
    if explicit is None:
        raise options.error("explicit_http_config", "missing; say which HTTP version the endpoints speak")
    return WireProtocol.HTTP2 if explicit.has("http2_protocol_options") else WireProtocol.HTTP1


def _with_keepalive(cluster: Cluster, message: Message) -> Cluster:
    options = _http_options(message)
    explicit = options.child("explicit_http_config") if options else None
    http2 = (explicit or message).child("http2_protocol_options")
    keepalive = http2.child("connection_keepalive") if http2 else None
    if keepalive is None:
        return cluster
    interval, timeout = keepalive.seconds("interval", 0.0), keepalive.seconds("timeout", 0.0)
    if not timeout > 0:
        raise keepalive.error("timeout", "missing; say how long the answer to a PING may take")
    return replace(cluster, keepalive_interval_s=interval, keepalive_timeout_s=timeout)


def _idle_timeout_s(message: Message) -> float:
    options = _http_options(message)
    common = (options or message).child("common_http_protocol_options")
    return common.seconds("idle_timeout", 3600.0) if common else 3600.0


def _with_settings(cluster: Cluster, message: Message) -> Cluster:
    """Return the cluster with what `metadata.filter_metadata.eventmesh` says beyond Envoy's own types."""
    for key, value in _settings(message).items():
        path = message.where(f"metadata.filter_metadata.{METADATA_KEY}.{key}")
        match key:
            case "tracing":
                pass  # not of the cluster itself: `_tracing`
            case "hold":
                cluster = replace(cluster, hold=_flag(path, value))
            case "protocol":
                cluster = replace(cluster, protocol=WireProtocol(_one_of(path, value, _OWN_PROTOCOLS)))
            case "declaration":
                if not isinstance(value, str):
                    raise ConfigError(path, f"expected the name of a declared protocol, got {value!r}")
                cluster = replace(cluster, declaration=value)
            case "max_requests_per_endpoint":
                cluster = replace(cluster, max_requests_per_endpoint=_count(path, value))
            case "balancing":
                cluster = replace(cluster, balancing=Balancing(_one_of(path, value, _OWN_BALANCINGS)))
            case "hold_timeout_s":
                cluster = replace(cluster, hold_timeout_s=_positive(path, value))
            case "max_held_bytes":
                cluster = replace(cluster, max_held_bytes=_count(path, value))
            case _:
                raise ConfigError(path, "no such setting")
    if (cluster.protocol is WireProtocol.FRAMED) != bool(cluster.declaration):
        path = message.where(f"metadata.filter_metadata.{METADATA_KEY}.declaration")
        raise ConfigError(path, "goes with protocol framed, which needs it: the name of the declaration")
    return cluster


def _settings(message: Message) -> Mapping[str, Json]:
    metadata = message.child("metadata")
    return metadata.structs_by_key("filter_metadata").get(METADATA_KEY, {}) if metadata else {}


def _tracing(message: Message, name: str) -> Tracing | None:
    settings = _settings(message).get("tracing")
    if settings is None:
        return None
    # One cluster of a mesh takes spans, if any.
    from eventmesh.xds.translate.tracing import read_mesh_tracing

    return read_mesh_tracing(message.where(f"metadata.filter_metadata.{METADATA_KEY}.tracing"), settings, name)


def _one_of(path: str, value: Json, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        words = ", ".join(known)
        raise ConfigError(path, f"{value!r} is not supported; what Envoy has no fields for is {words}")
    return value


def _flag(path: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(path, f"expected true or false, got {value!r}")
    return value


def _positive(path: str, value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, float) or not value > 0:
        raise ConfigError(path, f"expected a number above 0, got {value!r}")
    return value


def _count(path: str, value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, float) or value < 0 or not value.is_integer():
        raise ConfigError(path, f"expected a whole number from 0, got {value!r}")
    return int(value)
