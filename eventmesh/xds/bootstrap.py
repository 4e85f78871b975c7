"""Reads an Envoy v3 bootstrap: the one file a sidecar or gateway starts with, and Envoy itself could.

What cannot be carried out is an error with the path of its field; what is harmless is a warning.
"""

from __future__ import annotations

import json
import re
from binascii import crc32
from collections.abc import Mapping
from dataclasses import field, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.model.cluster import Cluster, Endpoint
from eventmesh.model.listener import WireProtocol
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.address import parse_address
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.tree import Json, Message
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.translate.address import read_address
from eventmesh.xds.translate.cluster import read_cluster
from eventmesh.xds.translate.listener import read_listener
from eventmesh.xds.translate.resources import (
    ClusterResource,
    ListenerResource,
    StaticResources,
    clusters_named,
    mirrors_named,
)
from eventmesh.xds.translate.sources import read_config_source

if TYPE_CHECKING:
    from eventmesh.model.tracing import Collector
    from eventmesh.xds.translate.identity import TokenIdentity
    from eventmesh.xds.translate.tls import ClientTlsResource, Secrets, ServerTlsResource

MAX_FILE_BYTES = 16_777_216
"""Longest bootstrap, 16 MiB: a thousand hosts written out are about 1 MiB."""

KEEPALIVE_INTERVAL_S = 310.0
"""gRPC servers end a connection that is pinged more often than every five minutes without data (GOAWAY,
too_many_pings), unless told otherwise."""
KEEPALIVE_TIMEOUT_S = 10.0

_METADATA_KEY = re.compile(r"[a-z0-9_.-]+")


@frozen
class Locality:
    """Where a node runs."""

    region: str = ""
    zone: str = ""
    sub_zone: str = ""


@frozen
class Node:
    """Who this process is to its control plane; `metadata["role"]` is sidecar, gateway or activator."""

    id: str = ""
    cluster: str = ""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    locality: Locality = Locality()

    @property
    def resource(self) -> dict[str, str]:
        """Return what it is called in traces, in OpenTelemetry's names: by its role, else by its cluster."""
        role = self.metadata.get("role")
        named = f"eventmesh-{role}" if isinstance(role, str) else self.cluster or "eventmesh"
        return {"service.name": named, **({"service.instance.id": self.id} if self.id else {})}


@frozen
class AdsConfig:
    """The aggregated stream to a control plane."""

    cluster: str
    """The static cluster of the control plane."""
    delta: bool
    """Incremental rather than state of the world."""
    listeners: bool
    """Subscribe to every listener (lds_config)."""
    clusters: bool
    """Subscribe to every cluster (cds_config)."""
    node_on_first_message_only: bool = False
    authority: str = "localhost"
    """`:authority` of the stream."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Initial metadata of the stream."""


@frozen
class Bootstrap:
    """A bootstrap, read and checked."""

    node: Node
    admin: str
    """Address of the admin listener; empty: none."""
    resources: StaticResources
    """The static resources, with their open references to ADS."""
    snapshot: Snapshot
    """What can be served from the first moment on, without any control plane."""
    ads: AdsConfig | None
    identity: TokenIdentity | None = None
    """Where this process gets its certificate; None: from the bootstrap or by SDS, or it has none."""
    warnings: tuple[str, ...] = ()
    """Fields that are set and have no effect here, each by its path."""


def load_bootstrap(path: PathLike[str] | str) -> Bootstrap:
    """Return the bootstrap in the YAML or JSON file `path`.

    Raises ConfigError when the file cannot be read, is no YAML or JSON (with line and column), or asks for what
    eventmesh cannot do (with the field's path).
    """
    file = fspath(path)
    try:
        with open(file, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(file, f"is longer than the limit of {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(file, f"is not UTF-8 at byte {error.start}") from None
    return parse_bootstrap(text, file)


def parse_bootstrap(text: str, source: str = "bootstrap") -> Bootstrap:
    """Return the bootstrap that `text` spells in YAML or JSON; `source` names it in errors. Raises ConfigError."""
    warnings: list[str] = []
    tree = read_document(message_type("envoy.config.bootstrap.v3.Bootstrap"), _parse(text, source), "", warnings)
    static = tree.child("static_resources")
    clusters = tuple(read_cluster(one, warnings) for one in static.children("clusters")) if static else ()
    collector = _collector(tree)
    listeners = tuple(read_listener(one, warnings, collector) for one in static.children("listeners")) if static else ()
    clusters += _google_clusters(tree)
    ads = _ads(tree, clusters)
    resources = StaticResources(listeners, _kept_alive(clusters, ads), _secrets(static), collector)
    identity = _identity(tree, resources, ads) if tree.has("bootstrap_extensions") else None
    node = _node(tree.child("node"))
    if ads is not None and not (node.id and node.cluster):
        raise ConfigError("node", "needs id and cluster when dynamic_resources are used")
    if static is not None:
        _check_references(static, resources, ads, identity)
    admin = tree.child("admin")
    return Bootstrap(
        node=node,
        admin=read_address(admin, "address", zero_port=True) if admin else "",
        resources=resources,
        snapshot=resources.snapshot(f"bootstrap-{crc32(text.encode()):08x}"),
        ads=ads,
        identity=identity,
        warnings=tuple(warnings),
    )


def _collector(tree: Message) -> Collector | None:
    tracing = tree.child("tracing")
    if tracing is None:
        return None
    from eventmesh.xds.translate.tracing import read_common_collector

    return read_common_collector(tracing)


def _parse(text: str, source: str) -> object:
    # JSON first: it is the faster reader, needs no further import, and refuses every other YAML at once.
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            problem = f"is no JSON at line {error.lineno}, column {error.colno}: {error.msg}"
            if source.endswith(".json"):
                raise ConfigError(source, problem) from None
        except RecursionError:
            raise ConfigError(source, "is nested too deep") from None
    from eventmesh.base.yaml_file import parse_yaml

    return parse_yaml(text, source)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(key for i, (key, _) in enumerate(pairs) if key in [other for other, _ in pairs[:i]])
        raise ConfigError(twice, "given twice in one object")
    return members


def _node(message: Message | None) -> Node:
    if message is None:
        return Node()
    locality = message.child("locality")
    place = Locality()
    if locality is not None:
        place = Locality(locality.text("region"), locality.text("zone"), locality.text("sub_zone"))
    return Node(message.text("id"), message.text("cluster"), message.struct("metadata"), place)


def _ads(tree: Message, clusters: tuple[ClusterResource, ...]) -> AdsConfig | None:
    dynamic = tree.child("dynamic_resources")
    if dynamic is None:
        return None
    for name in ("lds_config", "cds_config"):
        if dynamic.has(name):
            read_config_source(dynamic, name)
    config = dynamic.child("ads_config")
    if config is None:
        raise dynamic.error("ads_config", "missing; every dynamic resource comes over the aggregated stream")
    api_type = config.text("api_type")
    if api_type not in ("GRPC", "DELTA_GRPC"):
        raise config.error("api_type", f"{api_type or 'unset'} is not supported; use GRPC or DELTA_GRPC")
    if config.text("transport_api_version", "AUTO") == "V2":
        raise config.error("transport_api_version", "V2 is not supported; use V3")
    services = config.children("grpc_services")
    if len(services) != 1:
        raise config.error("grpc_services", f"has {len(services)} entries; exactly one is supported")
    cluster, authority = _control_plane(services[0], clusters)
    return AdsConfig(
        cluster=cluster,
        delta=api_type == "DELTA_GRPC",
        listeners=dynamic.has("lds_config"),
        clusters=dynamic.has("cds_config"),
        node_on_first_message_only=config.flag("set_node_on_first_message_only"),
        authority=authority,
        metadata=tuple(_metadata(one) for one in services[0].children("initial_metadata")),
    )


def _metadata(message: Message) -> tuple[str, str]:
    key, value = message.text("key"), message.text("value")
    if not _METADATA_KEY.fullmatch(key) or key.startswith("grpc-"):
        raise message.error("key", f"{key!r} is no name of gRPC metadata: lower case letters, digits, '_', '-' and '.'")
    if not (value.isascii() and value.isprintable()):
        raise message.error("value", "has characters other than printable ASCII, which gRPC does not take")
    return key, value


def _control_plane(service: Message, clusters: tuple[ClusterResource, ...]) -> tuple[str, str]:
    """Return the cluster of the control plane and the `:authority` it is called by."""
    google = service.child("google_grpc")
    if google is not None:
        return google.text("target_uri"), _authority(_dialled(google))
    envoy = service.child("envoy_grpc")
    if envoy is None:
        raise service.error("", "has no target; give envoy_grpc or google_grpc")
    name = envoy.text("cluster_name")
    resource = next((one for one in clusters if one.cluster.name == name), None)
    if resource is None or not resource.cluster.endpoints:
        raise envoy.error("cluster_name", f"{name!r} is no static cluster with an endpoint")
    if resource.cluster.protocol is not WireProtocol.HTTP2:
        raise envoy.error("cluster_name", f"{name!r} has no http2_protocol_options, and gRPC is HTTP/2")
    return name, envoy.text("authority") or _authority(resource.cluster.endpoints[0].address)


def _kept_alive(clusters: tuple[ClusterResource, ...], ads: AdsConfig | None) -> tuple[ClusterResource, ...]:
    """Return the clusters, that of the control plane with a keep-alive if it has none: its stream may be silent for
    hours, and would not notice a server that vanished without a word."""
    return tuple(
        replace(
            one,
            cluster=replace(
                one.cluster, keepalive_interval_s=KEEPALIVE_INTERVAL_S, keepalive_timeout_s=KEEPALIVE_TIMEOUT_S
            ),
        )
        if ads is not None and one.cluster.name == ads.cluster and not one.cluster.keepalive_interval_s
        else one
        for one in clusters
    )


def _authority(address: str) -> str:
    return "localhost" if address.startswith("unix:") else address


def _google_clusters(tree: Message) -> tuple[ClusterResource, ...]:
    """Return a cluster for a control plane that is given by its address alone; it is called as the address is."""
    dynamic = tree.child("dynamic_resources")
    config = dynamic.child("ads_config") if dynamic else None
    found = (
        [google for one in config.children("grpc_services") if (google := one.child("google_grpc"))] if config else []
    )
    return tuple(
        ClusterResource(Cluster(google.text("target_uri"), (Endpoint(_dialled(google)),), protocol=WireProtocol.HTTP2))
        for google in found
    )


def _dialled(google: Message) -> str:
    """Return the address in a gRPC target (grpc/grpc doc/naming.md): `host:port`, `dns:///host:port`, `unix:path`."""
    target = google.text("target_uri")
    address = target.removeprefix("dns:").removeprefix("///").removeprefix("ipv4:").removeprefix("ipv6:")
    if address.startswith("unix:///"):
        address = address.replace("unix://", "unix:", 1)
    return str(parse_address(address, google.where("target_uri")))


def _identity(tree: Message, resources: StaticResources, ads: AdsConfig | None) -> TokenIdentity:
    # Few bootstraps have one.
    from eventmesh.xds.translate.identity import read_identity

    return read_identity(tree, resources.clusters, resources.secrets, has_ads=ads is not None)


def _check_references(
    static: Message, resources: StaticResources, ads: AdsConfig | None, identity: TokenIdentity | None
) -> None:
    _unique_names(static, "secrets", [one.text("name") for one in static.children("secrets")])
    names = _unique_names(static, "clusters", [resource.cluster.name for resource in resources.clusters])
    _unique_names(static, "listeners", [resource.listener.name for resource in resources.listeners])
    for i, resource in enumerate(resources.clusters):
        if resource.eds_name and ads is None:
            raise static.error(f"clusters[{i}].eds_cluster_config", "needs dynamic_resources.ads_config")
        # The stream cannot bring what it needs itself.
        bringer = None if ads is not None and resource.cluster.name == ads.cluster else ads
        if identity is None:
            _check_secrets(static.where(f"clusters[{i}]"), resource.tls, resources.secrets, bringer)
    for i, listener in enumerate(resources.listeners):
        _check_listener(static.where(f"listeners[{i}]"), listener, names, ads)
        _check_secrets(static.where(f"listeners[{i}]"), listener.tls, resources.secrets, ads)


def _check_listener(path: str, resource: ListenerResource, names: set[str], ads: AdsConfig | None) -> None:
    tracing = resource.listener.tracing
    if tracing is not None and tracing.collector.cluster not in names and not (ads is not None and ads.clusters):
        raise ConfigError(path, f"its spans go to the unknown cluster {tracing.collector.cluster!r}")
    if resource.discovered and ads is None:
        raise ConfigError(
            path, f"takes the filter {resource.discovered[0].name!r} by config_discovery, without any ads_config"
        )
    if resource.inline is None:
        if ads is None:
            raise ConfigError(
                path, f"takes the routes {resource.listener.route_table!r} by rds, without any ads_config"
            )
        return
    if ads is not None and ads.clusters:
        return
    for name, route in (*clusters_named(resource.inline), *mirrors_named(resource.inline)):
        if name not in names:
            raise ConfigError(path, f"the route {route!r} leads to the unknown cluster {name!r}")


def _secrets(static: Message | None) -> Secrets:
    given = static.children("secrets") if static else ()
    if not given:
        return {}
    from eventmesh.xds.translate.tls import read_secret

    return {one.text("name"): read_secret(one) for one in given}


def _check_secrets(
    path: str, tls: ClientTlsResource | ServerTlsResource | None, secrets: Secrets, ads: AdsConfig | None
) -> None:
    missing = (tls.terms.secrets if tls else frozenset()) - secrets.keys()
    if missing and ads is None:
        problem = f"names the secret {min(missing)!r}, which static_resources.secrets lacks and no ads_config can bring"
        raise ConfigError(path, problem)


def _unique_names(static: Message, kind: str, names: list[str]) -> set[str]:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            raise static.error(f"{kind}[{i}].name", f"{name!r} is taken by an earlier one")
        seen.add(name)
    return seen
