"""The messages, one line a field, grouped in files by Envoy package.

A line is `NUMBER NAME TYPE`; the type may end in `?` (wrapper message), `[]` (repeated) or `{}` (map from
string). ` |NAME` puts the field into a oneof; ` only VALUE` marks a setting of which just one value says what
eventmesh does anyway. Lines `ignored:` and `refused:` list the fields whose setting is a warning or an error.
Numbers and types are those of the Envoy v3 API; a test compares every line with envoy-data-plane.
"""

from eventmesh.xds.schema.table import (
    access,
    authz,
    bootstrap,
    cluster,
    core,
    discovery,
    jwt,
    listener,
    route,
    tls,
    tracing,
)

ALIASES = {
    "accesslog": "envoy.config.accesslog.v3",
    "bolt": "eventmesh.extensions.filters.network.bolt_proxy.v3",
    "bootstrap": "envoy.config.bootstrap.v3",
    "cluster": "envoy.config.cluster.v3",
    "common_fault": "envoy.extensions.filters.common.fault.v3",
    "core": "envoy.config.core.v3",
    "cors": "envoy.extensions.filters.http.cors.v3",
    "declared_inspector": "eventmesh.extensions.filters.listener.declared_inspector.v3",
    "discovery": "envoy.service.discovery.v3",
    "dubbo": "eventmesh.extensions.filters.network.dubbo_proxy.v3",
    "endpoint": "envoy.config.endpoint.v3",
    "environment_detector": "envoy.extensions.tracers.opentelemetry.resource_detectors.v3",
    "ext_authz": "envoy.extensions.filters.http.ext_authz.v3",
    "fault": "envoy.extensions.filters.http.fault.v3",
    "file_log": "envoy.extensions.access_loggers.file.v3",
    "framed": "eventmesh.extensions.filters.network.framed_proxy.v3",
    "hcm": "envoy.extensions.filters.network.http_connection_manager.v3",
    "http_inspector": "envoy.extensions.filters.listener.http_inspector.v3",
    "http_rbac": "envoy.extensions.filters.http.rbac.v3",
    "istio_ca": "istio.v1.auth",
    "jwt_authn": "envoy.extensions.filters.http.jwt_authn.v3",
    "lb_common": "envoy.extensions.load_balancing_policies.common.v3",
    "lb_least_request": "envoy.extensions.load_balancing_policies.least_request.v3",
    "lb_maglev": "envoy.extensions.load_balancing_policies.maglev.v3",
    "lb_random": "envoy.extensions.load_balancing_policies.random.v3",
    "lb_ring_hash": "envoy.extensions.load_balancing_policies.ring_hash.v3",
    "lb_round_robin": "envoy.extensions.load_balancing_policies.round_robin.v3",
    "listener": "envoy.config.listener.v3",
    "local_ratelimit": "envoy.extensions.filters.http.local_ratelimit.v3",
    "matcher": "envoy.type.matcher.v3",
    "previous_hosts": "envoy.extensions.retry.host.previous_hosts.v3",
    "protobuf": "google.protobuf",
    "python_filter": "eventmesh.extensions.filters.http.python_filter.v3",
    "raw_buffer": "envoy.extensions.transport_sockets.raw_buffer.v3",
    "rbac": "envoy.config.rbac.v3",
    "route": "envoy.config.route.v3",
    "router": "envoy.extensions.filters.http.router.v3",
    "rpc": "google.rpc",
    "stream_log": "envoy.extensions.access_loggers.stream.v3",
    "trace": "envoy.config.trace.v3",
    "type": "envoy.type.v3",
    "tls": "envoy.extensions.transport_sockets.tls.v3",
    "tls_inspector": "envoy.extensions.filters.listener.tls_inspector.v3",
    "upstreams": "envoy.extensions.upstreams.http.v3",
    "workload_identity": "eventmesh.bootstrap.workload_identity.v3",
}
"""Short name in the table -> protobuf package."""

_PARTS = (access, authz, jwt, bootstrap, core, listener, route, cluster, discovery, tls, tracing)

MESSAGES: dict[str, str] = {name: text for part in _PARTS for name, text in part.MESSAGES.items()}
"""Message (with the package's short name) -> its fields."""

ENUMS: dict[str, str] = {name: text for part in _PARTS for name, text in part.ENUMS.items()}
"""Enum -> its labels in the order of their numbers; `=N` where the order jumps."""
