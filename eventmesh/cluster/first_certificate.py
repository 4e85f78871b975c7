"""The identity that a data plane begins with, in its bootstrap: certificate, roots, and how to speak TLS with them.

Nothing is served or asked before it is there, and it travels in a file that nobody else may read, never on a command
line. Renewals come over SDS under the same names, on the stream that this certificate opens. On a cluster the bootstrap
says instead where to exchange a token for it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from eventmesh.base.frozen import frozen
from eventmesh.cluster.bootstrap import http2_cluster
from eventmesh.kube.api import Object
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.control.securing import OWN_SECRET, ROOTS_SECRET
from eventmesh.xds.identity.authority import Issued
from eventmesh.xds.identity.spiffe import SCHEME, SpiffeId
from eventmesh.xds.translate.identity import TYPE

_AUTHORITY: Final = "certificates"
"""Cluster of the port that exchanges tokens."""

_TLS: Final = "envoy.extensions.transport_sockets.tls.v3"
_MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
_INSPECTOR: Final = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"


def with_identity(
    bootstrap: Object,
    issued: Issued,
    bundle: str,
    control: SpiffeId,
    inbound: MtlsMode | None = None,
    filters: Sequence[Object] = (),
) -> Object:
    """Return `bootstrap` for a data plane that shows `issued` and trusts `bundle`: to control, and on its listeners.

    `inbound` is what the listeners take that it has by itself; None: it has none, as a gateway. `filters` stand before
    their routes.
    """
    secrets = [
        {
            "name": OWN_SECRET,
            "tls_certificate": {
                "certificate_chain": {"inline_string": issued.chain},
                "private_key": {"inline_string": issued.key},
            },
        },
        _roots({"inline_string": bundle}),
    ]
    return _secured(bootstrap, control, secrets, inbound, filters)


@frozen
class TokenExchange:
    """Where a workload on a cluster gets its certificate."""

    address: str
    """`host:port` of control's port for it."""
    token_file: str
    roots: Object
    """A `core.DataSource`: whom to trust at first."""


def with_token(
    bootstrap: Object, exchange: TokenExchange, control: SpiffeId, inbound: MtlsMode | None = None
) -> Object:
    """Return `bootstrap` for a data plane that gets its certificate in exchange for its service account's token."""
    made = _secured(bootstrap, control, [_roots(exchange.roots)], inbound, ())
    socket = _socket("UpstreamTlsContext", [_uri("exact", str(control))])
    # Here is nothing to show yet.
    del socket["typed_config"]["common_tls_context"]["tls_certificate_sds_secret_configs"]
    authority = {**http2_cluster(_AUTHORITY, exchange.address), "transport_socket": socket}
    identity = {
        "@type": f"type.googleapis.com/{TYPE}",
        "cluster": _AUTHORITY,
        "token_file": exchange.token_file,
        "trust_domain": control.trust_domain,
    }
    static = made["static_resources"]
    return {
        **made,
        "static_resources": {**static, "clusters": [*static["clusters"], authority]},
        "bootstrap_extensions": [{"name": "eventmesh.identity", "typed_config": identity}],
    }


def _secured(
    bootstrap: Object, control: SpiffeId, secrets: list[Object], inbound: MtlsMode | None, filters: Sequence[Object]
) -> Object:
    static = bootstrap["static_resources"]
    anybody = [_uri("prefix", f"{SCHEME}{control.trust_domain}/")]
    clusters = [
        {**cluster, "transport_socket": _socket("UpstreamTlsContext", [_uri("exact", str(control))])}
        for cluster in static["clusters"]
    ]
    socket = _socket("DownstreamTlsContext", anybody, {"alpn_protocols": ["h2", "http/1.1"]})
    socket["typed_config"]["require_client_certificate"] = True
    listeners = [] if inbound is None else [_inbound(socket, filters, strict=inbound is MtlsMode.STRICT)]
    return {
        **bootstrap,
        "static_resources": {**static, "clusters": clusters, "listeners": listeners, "secrets": secrets},
    }


def _roots(source: Object) -> Object:
    return {"name": ROOTS_SECRET, "validation_context": {"trusted_ca": source}}


def _inbound(socket: Object, filters: Sequence[Object], *, strict: bool) -> Object:
    """Return the listener `inbound` as control spells it (`xds.control.mtls`); its address is a placeholder."""
    manager = {
        "@type": f"type.googleapis.com/{_MANAGER}",
        "stat_prefix": "inbound",
        "route_config": {"name": "inbound"},
        "http_filters": [
            *filters,
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"}},
        ],
    }
    chain: Object = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    listener: Object = {
        "name": "inbound",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},  # noqa: S104 - never bound
        "filter_chains": [{**chain, "transport_socket": socket}],
    }
    if strict:
        return listener
    secure, plain = ({"filter_chain_match": {"transport_protocol": word}} for word in ("tls", "raw_buffer"))
    inspector = {"@type": f"type.googleapis.com/{_INSPECTOR}"}
    return {
        **listener,
        "listener_filters": [{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}],
        "filter_chains": [{**chain, **secure, "transport_socket": socket}, {**chain, **plain}],
    }


def _uri(how: str, text: str) -> Object:
    return {"san_type": "URI", "matcher": {how: text}}


def _socket(context: str, names: list[Object], common: Object | None = None) -> Object:
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"type.googleapis.com/{_TLS}.{context}",
            "common_tls_context": {
                **(common or {}),
                "tls_certificate_sds_secret_configs": [{"name": OWN_SECRET, "sds_config": source}],
                "combined_validation_context": {
                    "default_validation_context": {"match_typed_subject_alt_names": names},
                    "validation_context_sds_secret_config": {"name": ROOTS_SECRET, "sds_config": source},
                },
            },
        },
    }
