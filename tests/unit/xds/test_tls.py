"""Transport sockets become terms of TLS; what is wrong with them is told by path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventmesh.base.errors import ConfigError
from eventmesh.model.tls import ClientTls, MatchKind, NameKind, NameMatch, ServerTls, TlsCertificate, TlsVersion
from eventmesh.xds.bootstrap import Bootstrap, parse_bootstrap
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.types import message_type

TYPES = "type.googleapis.com/envoy.extensions"
FILES = Path(__file__).parents[2] / "vectors" / "tls"
INLINE = {"certificate_chain": {"inline_string": "chain"}, "private_key": {"inline_string": "key"}}
MANAGER = {
    "name": "http",
    "typed_config": {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "t"},
        "http_filters": [{"name": "r", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}],
    },
}


def socket(direction: str, **context: Any) -> dict[str, Any]:
    kind = f"{TYPES}.transport_sockets.tls.v3.{direction}TlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, **context}}


def listening(*chains: dict[str, Any], secrets: tuple[dict[str, Any], ...] = ()) -> Bootstrap:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 443}}
    listener = {
        "name": "in",
        "address": address,
        "filter_chains": [{"filters": [MANAGER], **chain} for chain in chains],
    }
    return bootstrap({"listeners": [listener], "secrets": list(secrets)})


def dialling(protocol: str = "", **context: Any) -> Bootstrap:
    cluster: dict[str, Any] = {"name": "up", "transport_socket": socket("Upstream", **context)}
    if protocol:
        cluster["http2_protocol_options"] = {}
    return bootstrap({"clusters": [cluster]})


def bootstrap(static: dict[str, Any]) -> Bootstrap:
    import json

    return parse_bootstrap(json.dumps({"static_resources": static}))


def server_tls(found: Bootstrap) -> ServerTls | None:
    (listener,) = found.snapshot.listeners
    return listener.tls


def client_tls(found: Bootstrap) -> ClientTls | None:
    (cluster,) = found.snapshot.clusters
    return cluster.tls


def test_a_listener_speaks_tls() -> None:
    spiffe = {"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}
    common = {
        "tls_certificates": [
            {"certificate_chain": {"filename": str(FILES / "server.pem")}, "private_key": {"inline_string": "key"}}
        ],
        "validation_context": {"trusted_ca": {"inline_string": "ca"}, "match_typed_subject_alt_names": [spiffe]},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
    }
    found = listening(
        {"transport_socket": socket("Downstream", common_tls_context=common, require_client_certificate=True)}
    )
    assert server_tls(found) == ServerTls(
        (TlsCertificate((FILES / "server.pem").read_text(), "key"),),
        alpn=("h2", "http/1.1"),
        client_ca="ca",
        require_client_certificate=True,
        client_names=(NameMatch(NameKind.URI, MatchKind.PREFIX, "spiffe://cluster.local/"),),
        min_version=TlsVersion.TLS13,
    )
    assert found.warnings == ()


def test_two_chains_are_a_permissive_port() -> None:
    tls = socket("Downstream", common_tls_context={"tls_certificates": [INLINE]})
    secure = {"filter_chain_match": {"transport_protocol": "tls"}, "transport_socket": tls}
    found = listening(secure, {"filter_chain_match": {"transport_protocol": "raw_buffer"}})
    assert server_tls(found) == ServerTls((TlsCertificate("chain", "key"),), permissive=True)


def test_a_cluster_speaks_tls() -> None:
    exact = {"san_type": "DNS", "matcher": {"exact": "example.com"}}
    validation = {"trusted_ca": {"inline_string": "ca"}, "match_typed_subject_alt_names": [exact]}
    found = dialling(common_tls_context={"validation_context": validation}, sni="example.com")
    assert client_tls(found) == ClientTls(
        "example.com", "ca", (NameMatch(NameKind.DNS, MatchKind.EXACT, "example.com"),)
    )


def test_http2_is_offered_to_servers_of_http2() -> None:
    tls = client_tls(dialling("http2", common_tls_context={}))
    assert tls is not None and tls.alpn == ("h2",)


def test_who_believes_anybody_is_warned() -> None:
    (warning,) = dialling(common_tls_context={}).warnings
    assert "validation_context: no trusted_ca, so any certificate is believed" in warning


def test_secrets_of_the_bootstrap_are_found_by_name() -> None:
    own = {"name": "own", "tls_certificate": INLINE}
    trusted = {"name": "trusted", "validation_context": {"trusted_ca": {"inline_string": "ca"}}}
    common = {
        "tls_certificate_sds_secret_configs": [{"name": "own"}],
        "validation_context_sds_secret_config": {"name": "trusted"},
    }
    found = listening({"transport_socket": socket("Downstream", common_tls_context=common)}, secrets=(own, trusted))
    assert server_tls(found) == ServerTls((TlsCertificate("chain", "key"),), client_ca="ca")


@pytest.mark.parametrize(
    ("common", "message"),
    [
        ({}, "tls_certificates: missing"),
        (
            {"tls_certificates": [{"certificate_chain": {"inline_string": "x"}}]},
            r"tls_certificates\[0\].private_key: missing",
        ),
        (
            {"tls_certificates": [{**INLINE, "private_key": {"filename": "/nowhere"}}]},
            "private_key.filename: /nowhere cannot be read: No such file",
        ),
        (
            {"tls_certificates": [{**INLINE, "private_key": {"environment_variable": "EVENTMESH_NO_KEY"}}]},
            "environment_variable: EVENTMESH_NO_KEY is not set",
        ),
        ({"tls_certificate_sds_secret_configs": [{"name": "own"}]}, "names the secret 'own'"),
        ({"tls_certificates": [INLINE], "tls_params": {"tls_minimum_protocol_version": "TLSv1_0"}}, "TLSv1_0 is not"),
        (
            {
                "tls_certificates": [INLINE],
                "validation_context": {
                    "match_typed_subject_alt_names": [{"san_type": "EMAIL", "matcher": {"exact": "a"}}]
                },
            },
            "san_type: 'EMAIL' is not supported; use DNS or URI",
        ),
        (
            {"tls_certificates": [INLINE], "validation_context": {"crl": {"inline_string": "x"}}},
            "crl: eventmesh does not",
        ),
    ],
)
def test_what_is_wrong_is_told_by_path(common: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        listening({"transport_socket": socket("Downstream", common_tls_context=common)})


def test_chains_that_differ_are_refused() -> None:
    tls = socket("Downstream", common_tls_context={"tls_certificates": [INLINE]})
    secure = {"filter_chain_match": {"transport_protocol": "tls"}, "transport_socket": tls}
    with pytest.raises(ConfigError, match="has 2 chains"):
        listening(secure, {})
    with pytest.raises(ConfigError, match="filters: differ"):
        listening(secure, {"filter_chain_match": {"transport_protocol": "raw_buffer"}, "filters": []})


def test_a_secret_holds_something() -> None:
    from eventmesh.xds.translate.tls import read_secret

    secret = read_document(message_type("envoy.extensions.transport_sockets.tls.v3.Secret"), {"name": "x"}, "", [])
    with pytest.raises(ConfigError, match="holds nothing"):
        read_secret(secret)
