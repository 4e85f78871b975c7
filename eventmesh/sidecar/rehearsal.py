"""A start of a sidecar without its sockets, for the process that forks sidecars (`preload`).

What a start computes for the first time is kept afterwards: constructors of values that were written when they were
first called, compiled patterns, messages of Envoy, modules that are imported where they are used. A fork has all of it.
"""

from __future__ import annotations

import argparse
import json
from typing import Final

import eventmesh.dataplane.screening  # noqa: F401 - the plane's, when access is asked for on a listener
import eventmesh.model.authz  # noqa: F401 - the same
from eventmesh.autoscale.stat import Stat
from eventmesh.base.clock import SystemClock, rfc3339
from eventmesh.dataplane.admin import Page
from eventmesh.dataplane.overlay import overlay
from eventmesh.model.snapshot import CoreEncoder
from eventmesh.sidecar.environment import ignored, read_pod
from eventmesh.sidecar.function import FunctionNetwork, function_snapshot
from eventmesh.sidecar.inbound import takes_from_mesh
from eventmesh.sidecar.own import added_by_process
from eventmesh.transport.driver import Upstream
from eventmesh.transport.exchange import Reply
from eventmesh.transport.listeners import Change
from eventmesh.transport.netns import HostNetwork
from eventmesh.xds.bootstrap import parse_bootstrap
from eventmesh.xds.client.held import Held
from eventmesh.xds.client.inbound import first_terms, on_terms
from eventmesh.xds.translate.resources import clusters_asked

_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
_INSPECTOR: Final = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
_TLS: Final = "envoy.extensions.transport_sockets.tls.v3"
_BY_ADS: Final = {"ads": {}, "resource_api_version": "V3"}

ENVIRONMENT: Final = {
    "USER_PORT": "8080",
    "SERVING_POD": "rehearsal",
    "SERVING_POD_IP": "127.0.0.1",
    "SERVING_READINESS_PROBE": json.dumps({"tcpSocket": {"port": 8080, "host": "127.0.0.1"}, "successThreshold": 1}),
}
"""Of a pod whose function speaks HTTP, as most do."""


def rehearse() -> None:
    """Do all that a sidecar computes before it serves; nothing of it is left but what others find done."""
    _read_words()
    pod = read_pod(ENVIRONMENT)
    assert pod is not None  # noqa: S101 - it has a port
    ignored(ENVIRONMENT)
    bootstrap = parse_bootstrap(json.dumps(_bootstrap()))
    terms = first_terms(bootstrap)
    clusters_asked(terms.filters if terms is not None else None)
    own = on_terms(overlay(function_snapshot(pod), added_by_process(bootstrap)), takes_from_mesh, terms)
    CoreEncoder().encode(own)
    # What is made beside the sockets.
    FunctionNetwork("").networks()
    Upstream(HostNetwork())
    Change({}, {})
    Held[None]()
    Stat("")
    Page("", lambda: Reply(200))
    # Addresses are given to sockets as text, which is encoded as the names of hosts are.
    "localhost".encode("idna")
    rfc3339(SystemClock().now())


def _read_words() -> None:
    """Read a command line of a command with a flag: argparse looks at words by patterns of its own."""
    parser = argparse.ArgumentParser(prog="eventmesh")
    command = parser.add_subparsers(metavar="COMMAND", required=True).add_parser("sidecar")
    command.add_argument("--bootstrap", metavar="FILE", required=True)
    parser.parse_args(["sidecar", "--bootstrap", "FILE"])


def _bootstrap() -> dict[str, object]:
    """Return the bootstrap of a pod with an identity, which speaks mTLS with control and takes mTLS from others."""
    manager = {
        "@type": f"type.googleapis.com/{_MANAGER}",
        "stat_prefix": "inbound",
        "route_config": {"name": "inbound"},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"}},
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    socket = _socket("DownstreamTlsContext", {"prefix": "spiffe://cluster.local/"})
    return {
        "node": {"id": "rehearsal", "cluster": "eventmesh", "metadata": {"role": "sidecar"}},
        "admin": {"address": _address("127.0.0.1")},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}],
            },
            "lds_config": _BY_ADS,
            "cds_config": _BY_ADS,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "control",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        _OPTIONS: {
                            "@type": f"type.googleapis.com/{_OPTIONS}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "control",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address("127.0.0.1")}}]}],
                    },
                    "transport_socket": _socket("UpstreamTlsContext", {"exact": "spiffe://cluster.local/control"}),
                }
            ],
            "listeners": [
                {
                    "name": "inbound",
                    "address": _address("127.0.0.1"),
                    "listener_filters": [
                        {
                            "name": "envoy.filters.listener.tls_inspector",
                            "typed_config": {"@type": f"type.googleapis.com/{_INSPECTOR}"},
                        }
                    ],
                    "filter_chains": [
                        {**chain, "filter_chain_match": {"transport_protocol": "tls"}, "transport_socket": socket},
                        {**chain, "filter_chain_match": {"transport_protocol": "raw_buffer"}},
                    ],
                }
            ],
            "secrets": [
                {
                    "name": "default",
                    "tls_certificate": {
                        "certificate_chain": {"inline_string": "none"},
                        "private_key": {"inline_string": "none"},
                    },
                },
                {"name": "ROOTCA", "validation_context": {"trusted_ca": {"inline_string": "none"}}},
            ],
        },
    }


def _address(host: str) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": 1}}


def _socket(context: str, name: dict[str, str]) -> dict[str, object]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"type.googleapis.com/{_TLS}.{context}",
            **({"require_client_certificate": True} if context.startswith("Down") else {}),
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": _BY_ADS}],
                "combined_validation_context": {
                    "default_validation_context": {
                        "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": name}]
                    },
                    "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": _BY_ADS},
                },
            },
        },
    }
