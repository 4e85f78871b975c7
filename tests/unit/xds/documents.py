"""A bootstrap to change one thing in at a time, and where things stand in it."""

from __future__ import annotations

import copy
from typing import Any

TYPES = "type.googleapis.com/envoy.extensions"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
}


def address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def shop_document() -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "via": "gateway",
        "route_config": {
            "name": "public",
            "virtual_hosts": [
                {
                    "name": "shop",
                    "domains": ["shop.test:8080", "SHOP.test"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": "shop", "timeout": "0s"},
                            "request_headers_to_add": [{"header": {"key": "X-Mesh", "value": "on"}}],
                        }
                    ],
                }
            ],
        },
        "http_filters": [ROUTER],
        "access_log": [
            {
                "name": "file",
                "typed_config": {"@type": f"{TYPES}.access_loggers.stream.v3.StdoutAccessLog"},
            }
        ],
    }
    return {
        "node": {"id": "gateway-1", "cluster": "edge", "metadata": {"role": "gateway"}},
        "admin": {"address": address(9901)},
        "static_resources": {
            "listeners": [
                {
                    "name": "in",
                    "address": address(0),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "shop",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {
                        "cluster_name": "shop",
                        "endpoints": [
                            {
                                "lb_endpoints": [
                                    {"endpoint": {"address": address(80)}},
                                    {"endpoint": {"address": address(81, "::1")}, "load_balancing_weight": 3},
                                    {"endpoint": {"address": {"pipe": {"path": "/run/a.sock"}}}, "health_status": 2},
                                ]
                            }
                        ],
                    },
                }
            ],
        },
    }


def put(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with the value at a dotted path replaced; a last part that is not there is added."""
    changed = copy.deepcopy(document)
    target: Any = changed
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    target[int(last) if isinstance(target, list) else last] = value
    return changed


LISTENER = "static_resources.listeners.0"
MANAGER = f"{LISTENER}.filter_chains.0.filters.0.typed_config"
TABLE = f"{MANAGER}.route_config"
HOST = f"{TABLE}.virtual_hosts.0"
ROUTE = f"{HOST}.routes.0"
CLUSTER = "static_resources.clusters.0"
ENDPOINTS = f"{CLUSTER}.load_assignment.endpoints.0.lb_endpoints"


ADS = {
    "lds_config": {"ads": {}},
    "cds_config": {"ads": {}},
    "ads_config": {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}],
    },
}


def indexed(path: str) -> str:
    """Write list positions as errors do: `a.0.b` -> `a[0].b`."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")).lstrip(".")


CONTROL = {
    "name": "control",
    "type": "STATIC",
    "http2_protocol_options": {},
    "load_assignment": {
        "cluster_name": "control",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(18000)}}]}],
    },
}


def subscribing(document: dict[str, Any]) -> dict[str, Any]:
    """Return a copy that has a control plane besides."""
    changed = copy.deepcopy(document)
    changed["static_resources"]["clusters"].append(CONTROL)
    return {**changed, "dynamic_resources": ADS}
