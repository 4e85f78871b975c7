"""The Envoy v3 messages control emits, built from plain values: clusters, endpoints, listeners, routes.

What each field means to Envoy and to proxyless gRPC is listed in the xDS documentation; what Envoy's types cannot
say stands in cluster metadata `filter_metadata["eventmesh"]` (ARCHITECTURE, "Names on the wire").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import Enum

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterDiscoveryType,
    ClusterEdsClusterConfig,
    ClusterLbPolicy,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    Locality,
    Metadata,
    SocketAddress,
    TrafficDirection,
    TransportSocket,
)
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy_data_plane.envoy.config.listener.v3 import ApiListener, Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerTracing,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
    Rds,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions,
    HttpProtocolOptionsExplicitHttpConfig,
    HttpProtocolOptionsUseDownstreamHttpConfig,
)
from envoy_data_plane.google.protobuf import Any, Struct, Value

from eventmesh.base.frozen import frozen
from eventmesh.xds.control import resources
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.policy.emitting import idle_fault_filter, idle_filters, load_balancing, outlier_detection
from eventmesh.xds.control.policy.values import ClusterPolicy
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.resource_types import ResourceType

MAX_CLUSTER_REQUESTS = 1_048_576
"""Requests, connections and waiting requests of one cluster. Envoy's default of 1024 is a trap for long polls; what a
function can bear is its containerConcurrency, which its sidecar and the activator hold to."""

MAX_HELD_REQUESTS = 10_000
"""Requests that wait for one revision at the activator; Knative's own queue is as deep, and the bytes they hold are
bounded apart."""

MOST_SLOTS_FILLED_FIRST = 3
"""Up to this containerConcurrency the activator fills one pod before it uses the next, as Knative's does: pods that do
nothing can go, and one that has few slots is soon full."""

_CONNECT_TIMEOUT = timedelta(seconds=5)
"""net-kourier's; pods that are gone refuse at once, only a lost host takes this long."""

_FIRST_FETCH = timedelta(seconds=15)
"""Envoy's own default for a resource that never comes, stated so that it cannot change under us."""

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class Protocol(Enum):
    """What is spoken to a cluster."""

    HTTP1 = "http1"
    HTTP2 = "http2"
    DOWNSTREAM = "downstream"
    """Whatever the caller speaks."""
    BOLT = "bolt"
    DUBBO = "dubbo"


@frozen
class Declared:
    """A protocol of its owner's own, by the name of its declaration."""

    name: str


Spoken = Protocol | Declared
"""What the endpoints of a cluster speak."""


@frozen
class Hold:
    """The cluster's requests wait while it has no endpoint; `max_requests_per_endpoint` 0 = no limit."""

    max_requests_per_endpoint: int = 0

    @property
    def balancing(self) -> ClusterLbPolicy:
        """Who is asked: of two drawn the less loaded; with slots whoever is next and has one free
        (knative/serving pkg/activator/net/lb_policy.go)."""
        return ClusterLbPolicy.ROUND_ROBIN if self.max_requests_per_endpoint else ClusterLbPolicy.LEAST_REQUEST

    @property
    def fills_first(self) -> bool:
        """True when a pod is filled before the next is used, which Envoy has no word for."""
        return 0 < self.max_requests_per_endpoint <= MOST_SLOTS_FILLED_FIRST


def cluster(name: str, protocol: Spoken, hold: Hold | None = None, policy: ClusterPolicy | None = None) -> Resource:
    """Return the cluster `name`, whose endpoints come over EDS under the same name."""
    message = made(
        Cluster,
        name=name,
        type=ClusterDiscoveryType.EDS,
        eds_cluster_config=made(ClusterEdsClusterConfig, eds_config=ads()),
        connect_timeout=_CONNECT_TIMEOUT,
        lb_policy=hold.balancing if hold else ClusterLbPolicy.ROUND_ROBIN,
        circuit_breakers=_breakers(policy, MAX_HELD_REQUESTS if hold else MAX_CLUSTER_REQUESTS),
    )
    said = _said(protocol, hold)
    message.typed_extension_protocol_options = _http_options(protocol)
    if policy is not None and policy.balancing is not None:
        message.load_balancing_policy = load_balancing(policy.balancing)
    elif hold is not None and hold.fills_first:
        said["balancing"] = made(Value, string_value="first_available")
    message.metadata = _metadata(said)
    if policy is not None and policy.outliers is not None:
        message.outlier_detection = outlier_detection(policy.outliers)
    return resources.from_message(ResourceType.CLUSTER, name, message)


def dns_cluster(
    name: str,
    host: str,
    port: int,
    protocol: Spoken,
    policy: ClusterPolicy | None = None,
    *,
    settings: Mapping[str, Value] | None = None,
) -> Resource:
    """Return a cluster of one host that the data plane resolves (an ExternalName Service); `settings` are for ours."""
    message = made(
        Cluster,
        name=name,
        type=ClusterDiscoveryType.LOGICAL_DNS,
        connect_timeout=_CONNECT_TIMEOUT,
        circuit_breakers=_breakers(policy),
        load_assignment=_assignment(name, [(host, port)]),
        metadata=_metadata({**_said(protocol), **(settings or {})}),
    )
    message.typed_extension_protocol_options = _http_options(protocol)
    return resources.from_message(ResourceType.CLUSTER, name, message)


def endpoints(name: str, addresses: Iterable[tuple[str, int]]) -> Resource:
    """Return the endpoints of the cluster `name`; without addresses it is known to be empty."""
    return resources.from_message(ResourceType.ENDPOINT, name, _assignment(name, sorted(addresses)))


@frozen
class HttpListener:
    """A listener that routes HTTP by the route table `table`."""

    name: str
    host: str
    port: int
    table: str
    """Empty: it has no routes."""
    via: str = ""
    is_edge: bool = False
    """Callers are clients: they are named in X-Forwarded-For."""
    secrets: tuple[str, ...] = ()
    """SDS names of the certificates it shows; none: it speaks clear text."""


def http_listener(
    listener: HttpListener,
    *,
    for_envoy: bool = False,
    on_demand: bool = False,
    tracing: HttpConnectionManagerTracing | None = None,
    filters: Iterable[HttpFilter] = (),
) -> Resource:
    """Return the listener; `for_envoy` switches off limits and on upgrades and `tracing`, which our engine does by
    itself; `on_demand` has an Envoy ask for virtual hosts that it does not know."""
    manager = made(
        HttpConnectionManager,
        codec_type=HttpConnectionManagerCodecType.AUTO,
        stat_prefix=listener.name,
        http_filters=[*filters, router()],
        via=listener.via,
        use_remote_address=listener.is_edge,
    )
    if listener.table:
        manager.rds = made(Rds, config_source=ads(), route_config_name=listener.table)
    else:
        manager.route_config = made(RouteConfiguration, name=listener.name)
    if for_envoy:
        # Requests may be quiet for as long as the function likes; its own timeouts stand in its sidecar.
        manager.stream_idle_timeout = timedelta(0)
        manager.http_filters = [*([on_demand_filter()] if on_demand else []), *idle_filters(), router()]
        manager.upgrade_configs = [made(HttpConnectionManagerUpgradeConfig, upgrade_type="websocket")]
        manager.tracing = tracing
    message = made(
        Listener,
        name=listener.name,
        address=socket_address(listener.host, listener.port),
        traffic_direction=TrafficDirection.INBOUND,
        filter_chains=[
            made(
                FilterChain,
                filters=[
                    made(Filter, name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
                ],
                transport_socket=_tls(listener.secrets) if listener.secrets else None,
            )
        ],
    )
    return resources.from_message(ResourceType.LISTENER, listener.name, message)


def on_demand_filter() -> HttpFilter:
    """Return the filter that holds a request until its virtual host has been asked for."""
    # Imported when the first such Envoy comes: most meshes have none.
    from envoy_data_plane.envoy.extensions.filters.http.on_demand.v3 import OnDemand

    return made(HttpFilter, name="envoy.filters.http.on_demand", typed_config=pack(made(OnDemand)))


def _tls(secrets: Iterable[str]) -> TransportSocket:
    # Imported when the first certificate comes: most meshes have none.
    from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
        CommonTlsContext,
        DownstreamTlsContext,
        SdsSecretConfig,
    )

    common = made(
        CommonTlsContext,
        tls_certificate_sds_secret_configs=[made(SdsSecretConfig, name=name, sds_config=ads()) for name in secrets],
        alpn_protocols=["h2", "http/1.1"],
    )
    context = pack(made(DownstreamTlsContext, common_tls_context=common))
    return made(TransportSocket, name="envoy.transport_sockets.tls", typed_config=context)


def api_listener(target: str, table: str) -> Resource:
    """Return the listener of the proxyless gRPC target `xds:///TARGET`."""
    manager = made(
        HttpConnectionManager,
        stat_prefix=target,
        rds=made(Rds, config_source=ads(), route_config_name=table),
        http_filters=[idle_fault_filter(), router()],
    )
    message = made(Listener, name=target, api_listener=made(ApiListener, api_listener=pack(manager)))
    return resources.from_message(ResourceType.LISTENER, target, message)


def set_headers(headers: Mapping[str, str]) -> list[HeaderValueOption]:
    """Return edits that put each header in place of what the client sent (Knative's appendHeaders are sets)."""
    return [
        made(
            HeaderValueOption,
            header=made(HeaderValue, key=name, value=literal(value)),
            append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        for name, value in sorted(headers.items())
    ]


def literal(value: str) -> str:
    """Return `value` as a proxy writes it out unchanged: a % begins a command in the values of headers."""
    return value.replace("%", "%%")


def pack(message: betterproto2.Message) -> Any:
    """Return `message` as an Any; the library's own `pack` encodes a thousand times slower."""
    return made(Any, type_url=_type_url(message), value=encode(message))


def _type_url(message: betterproto2.Message) -> str:
    module = type(message).__module__.removeprefix("envoy_data_plane.")
    return f"type.googleapis.com/{module}.{type(message).__name__}"


def ads(first_fetch: timedelta = _FIRST_FETCH) -> ConfigSource:
    """Return "over the stream that this came by"; what names it is used without it after `first_fetch`."""
    return made(
        ConfigSource,
        ads=made(AggregatedConfigSource),
        resource_api_version=ApiVersion.V3,
        initial_fetch_timeout=first_fetch,
    )


def router() -> HttpFilter:
    """Return the last filter of every chain."""
    return made(HttpFilter, name="envoy.filters.http.router", typed_config=pack(made(Router)))


def _http_options(protocol: Spoken) -> dict[str, Any]:
    """Return the extension that names the HTTP version spoken upstream; HTTP/1.1 needs none."""
    http2 = made(Http2ProtocolOptions)
    match protocol:
        case Protocol.HTTP2:
            explicit = made(HttpProtocolOptionsExplicitHttpConfig, http2_protocol_options=http2)
            options = made(HttpProtocolOptions, explicit_http_config=explicit)
        case Protocol.DOWNSTREAM:
            same = made(
                HttpProtocolOptionsUseDownstreamHttpConfig,
                http_protocol_options=made(Http1ProtocolOptions),
                http2_protocol_options=http2,
            )
            options = made(HttpProtocolOptions, use_downstream_protocol_config=same)
        case _:
            return {}
    return {_HTTP_OPTIONS: pack(options)}


def _breakers(policy: ClusterPolicy | None = None, waiting: int = MAX_CLUSTER_REQUESTS) -> CircuitBreakers:
    most, said = MAX_CLUSTER_REQUESTS, policy or ClusterPolicy()
    thresholds = made(
        CircuitBreakersThresholds,
        max_connections=most if said.max_connections is None else said.max_connections,
        max_pending_requests=waiting if said.max_pending_requests is None else said.max_pending_requests,
        max_requests=most if said.max_requests is None else said.max_requests,
    )
    if said.max_retries is not None:
        thresholds.max_retries = said.max_retries
    return made(CircuitBreakers, thresholds=[thresholds])


def _said(protocol: Spoken, hold: Hold | None = None) -> dict[str, Value]:
    """Return what Envoy's fields cannot say of a cluster."""
    said: dict[str, Value] = {}
    match protocol:
        case Declared(declaration):
            said["protocol"] = made(Value, string_value="framed")
            said["declaration"] = made(Value, string_value=declaration)
        case Protocol.BOLT | Protocol.DUBBO:
            said["protocol"] = made(Value, string_value=protocol.value)
    if hold is not None:
        said["hold"] = made(Value, bool_value=True)
        if hold.max_requests_per_endpoint:
            said["max_requests_per_endpoint"] = made(Value, number_value=float(hold.max_requests_per_endpoint))
    return said


def _metadata(said: Mapping[str, Value]) -> Metadata | None:
    return made(Metadata, filter_metadata={"eventmesh": made(Struct, fields=dict(said))}) if said else None


def _assignment(name: str, addresses: Iterable[tuple[str, int]]) -> ClusterLoadAssignment:
    hosts = [made(LbEndpoint, endpoint=made(Endpoint, address=socket_address(host, port))) for host, port in addresses]
    # gRPC passes over a locality without a weight or without a name.
    locality = made(
        LocalityLbEndpoints, locality=made(Locality, region="mesh"), lb_endpoints=hosts, load_balancing_weight=1
    )
    return made(ClusterLoadAssignment, cluster_name=name, endpoints=[locality] if hosts else [])


def socket_address(host: str, port: int) -> Address:
    """Return where something listens."""
    return made(Address, socket_address=made(SocketAddress, address=host, port_value=port))
