"""The Envoy bootstraps of the mesh's own data planes: who they are, where their pages are, where control is. Pure."""

from __future__ import annotations

from eventmesh.kube.api import Object

CONTROL_CLUSTER = "control"


EXTENSIONS = ("eventmesh.framed_proxy",)
"""Listeners of ours that a sidecar understands: control sends them to nodes alone whose metadata names them."""


def bootstrap(role: str, node_id: str, admin: str, ads: str, **metadata: object) -> Object:
    """Return the bootstrap of a data plane of that role; `admin` and `ads` are `host:port`."""
    extensions = {"extensions": list(EXTENSIONS)} if role == "sidecar" else {}
    by_ads = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": {"id": node_id, "cluster": "eventmesh", "metadata": {"role": role, **extensions, **metadata}},
        "admin": {"address": _address(admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": CONTROL_CLUSTER}}],
            },
            "lds_config": by_ads,
            "cds_config": by_ads,
        },
        "static_resources": {"clusters": [http2_cluster(CONTROL_CLUSTER, ads)]},
    }


def http2_cluster(name: str, address: str) -> Object:
    """Return a cluster of one endpoint that speaks HTTP/2, as gRPC wants it; `address` is `host:port`."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            options: {
                "@type": f"type.googleapis.com/{options}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(address)}}]}],
        },
    }


def _address(address: str) -> Object:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
