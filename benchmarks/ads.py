"""A control plane for the startup suite: the bench scene over real ADS, to Envoy and eventmesh alike.

`python -m benchmarks.ads PORT FILE` serves the resources in FILE, JSON as `dynamic` returns them, until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from eventmesh.base.clock import SystemClock
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource, from_bytes
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import type_of_url

Document = dict[str, Any]
"""A message of Envoy's in JSON's shape."""

_BY_ADS: Document = {"ads": {}, "resource_api_version": "V3"}
_HTTP2_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def dynamic(bootstrap: Document, port: int) -> tuple[Document, dict[str, list[Document]]]:
    """Split a static bootstrap: return one that subscribes at `port`, and what it is sent, by type's short name."""
    listeners = bootstrap["static_resources"]["listeners"]
    clusters = bootstrap["static_resources"]["clusters"]
    tables, assignments = [], []
    for listener in listeners:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        tables.append(manager.pop("route_config"))
        manager["rds"] = {"config_source": _BY_ADS, "route_config_name": tables[-1]["name"]}
    for cluster in clusters:
        assignments.append(cluster.pop("load_assignment"))
        cluster.update(type="EDS", eds_cluster_config={"eds_config": _BY_ADS})
    subscribing = {
        "node": bootstrap["node"],
        "admin": bootstrap["admin"],
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}],
            },
            "lds_config": _BY_ADS,
            "cds_config": _BY_ADS,
        },
        "static_resources": {"clusters": [_control(port)]},
    }
    sent = {
        ResourceType.CLUSTER: clusters,
        ResourceType.ENDPOINT: assignments,
        ResourceType.LISTENER: listeners,
        ResourceType.ROUTE: tables,
    }
    return subscribing, {type_.name: documents for type_, documents in sent.items()}


def _control(port: int) -> Document:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    http2 = {"@type": f"type.googleapis.com/{_HTTP2_OPTIONS}", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": "control",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {_HTTP2_OPTIONS: http2},
        "load_assignment": {
            "cluster_name": "control",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _resource(type_: ResourceType, document: Document) -> Resource:
    message_type = type_of_url(type_.value)
    name = document.get("name") or document["cluster_name"]
    return from_bytes(type_, name, write_wire(message_type.name, read_document(message_type, document, "", []).fields))


async def _serve(port: int, file: Path) -> None:
    documents = json.loads(file.read_text())
    resources = [_resource(ResourceType[name], one) for name, listed in documents.items() for one in listed]
    cache = SnapshotCache()
    cache.publish(dict.fromkeys(map(Audience, Role), resources))
    clock = SystemClock()
    await AdsServer(cache, AckTracker(clock, lambda role: frozenset()), clock).start(f"127.0.0.1:{port}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
