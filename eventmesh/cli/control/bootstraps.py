"""Bootstraps of control's clients: Envoy's form, or gRPC's."""

from __future__ import annotations

import ipaddress
from typing import Any

from eventmesh.cli.control.addresses import address


def client_bootstrap(role: str, node_id: str, ads: str, admin: str, namespace: str = "") -> dict[str, Any]:
    """Return what a client of that role starts with: Envoy's form, or gRPC's. Raises UsageError for a bad address."""
    host, _ = address("--ads", ads)
    address("--admin", admin)
    if role == "grpc":
        server = {"server_uri": ads, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}
        return {"xds_servers": [server], "node": {"id": node_id}}
    from eventmesh.cluster.bootstrap import bootstrap

    metadata = {"namespace": namespace} if namespace else {}
    made = bootstrap("gateway" if role == "envoy" else role, node_id, admin, ads, **metadata)
    # Envoy's node is 60 KiB of extension names, and it would be sent with every request.
    made["dynamic_resources"]["ads_config"]["set_node_on_first_message_only"] = True
    if not _is_ip(host):
        made["static_resources"]["clusters"][0]["type"] = "STRICT_DNS"
    return made


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
