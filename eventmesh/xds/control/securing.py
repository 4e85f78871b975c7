"""mTLS between workloads, in Envoy's messages: who may be at the other end of a cluster, and what listeners demand.

Certificates come over SDS under Istio's names: `default` is the reader's own, `ROOTCA` the roots to trust. A cluster
is secured by adding its transport socket to the bytes it has without one: a message may be written in pieces
(protobuf's encoding, "Last One Wins").
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from envoy_data_plane.envoy.config.core.v3 import (
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    DataSource,
    TransportSocket,
)
from envoy_data_plane.envoy.config.listener.v3 import FilterChain, FilterChainMatch, Listener, ListenerFilter
from envoy_data_plane.envoy.extensions.filters.listener.tls_inspector.v3 import TlsInspector
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateProviderPluginInstance,
    CertificateValidationContext,
    CommonTlsContext,
    CommonTlsContextCombinedCertificateValidationContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    Secret,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsCertificate,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from eventmesh.xds.control import resources
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import pack
from eventmesh.xds.control.protobuf import delimited
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.identity.authority import Issued
from eventmesh.xds.identity.spiffe import SCHEME, SpiffeId
from eventmesh.xds.resource_types import ResourceType

OWN_SECRET: Final = "default"  # noqa: S105 - a name
ROOTS_SECRET: Final = "ROOTCA"  # noqa: S105 - a name

PROVIDER: Final = "default"
"""Instance in `certificate_providers` of gRPC bootstraps, as Istio's and ours name it."""

MAX_SOCKETS: Final = 1024
"""Transport sockets that are kept encoded, one for each set of peers: most revisions of a namespace share an account,
and a start with a thousand of them encodes a thousand clusters for each kind of reader. Each has some 400 bytes."""

_TRANSPORT_SOCKET: Final = 24
"""Field of `envoy.config.cluster.v3.Cluster`."""

_SOCKET_NAME: Final = "envoy.transport_sockets.tls"


def own_secret(issued: Issued) -> Resource:
    """Return a certificate as the SDS resource `default`."""
    shown = made(
        TlsCertificate,
        certificate_chain=made(DataSource, inline_bytes=issued.chain.encode()),
        private_key=made(DataSource, inline_bytes=issued.key.encode()),
    )
    return resources.from_message(ResourceType.SECRET, OWN_SECRET, made(Secret, name=OWN_SECRET, tls_certificate=shown))


def roots_secret(bundle: str) -> Resource:
    """Return the roots as the SDS resource `ROOTCA`."""
    context = made(CertificateValidationContext, trusted_ca=made(DataSource, inline_bytes=bundle.encode()))
    return resources.from_message(
        ResourceType.SECRET, ROOTS_SECRET, made(Secret, name=ROOTS_SECRET, validation_context=context)
    )


def mutual(listener: Resource, trust_domain: str, *, strict: bool) -> Resource:
    """Return the listener, which has one filter chain for clear text, speaking mTLS: alone, or beside clear text."""
    message = Listener.parse(listener.body)
    (plain,) = message.filter_chains
    secure = made(
        FilterChain,
        filters=plain.filters,
        transport_socket=_server_socket(trust_domain),
        filter_chain_match=None if strict else made(FilterChainMatch, transport_protocol="tls"),
    )
    message.filter_chains = [secure]
    if not strict:
        plain.filter_chain_match = made(FilterChainMatch, transport_protocol="raw_buffer")
        message.filter_chains.append(plain)
        inspector = pack(made(TlsInspector))
        message.listener_filters = [
            made(ListenerFilter, name="envoy.filters.listener.tls_inspector", typed_config=inspector)
        ]
    return resources.from_message(listener.type, listener.name, message)


def _server_socket(trust_domain: str) -> TransportSocket:
    """Return how a workload's listener speaks mTLS: to anybody of the trust domain; who may do what is policy's."""
    anybody = made(StringMatcher, prefix=f"{SCHEME}{trust_domain}/")
    common = _common([anybody])
    common.alpn_protocols = ["h2", "http/1.1"]
    context = made(DownstreamTlsContext, common_tls_context=common, require_client_certificate=True)
    return made(TransportSocket, name=_SOCKET_NAME, typed_config=pack(context))


def _client_socket(peers: Iterable[SpiffeId]) -> TransportSocket:
    # Without ALPN: the far end tells HTTP/1.1 and HTTP/2 apart by the first bytes, and some clusters speak both.
    context = made(
        UpstreamTlsContext, common_tls_context=_common([made(StringMatcher, exact=str(peer)) for peer in peers])
    )
    return made(TransportSocket, name=_SOCKET_NAME, typed_config=pack(context))


def _common(names: list[StringMatcher]) -> CommonTlsContext:
    matchers = [made(SubjectAltNameMatcher, san_type=SubjectAltNameMatcherSanType.URI, matcher=name) for name in names]
    return made(
        CommonTlsContext,
        tls_certificate_sds_secret_configs=[_named(OWN_SECRET)],
        combined_validation_context=made(
            CommonTlsContextCombinedCertificateValidationContext,
            default_validation_context=made(CertificateValidationContext, match_typed_subject_alt_names=matchers),
            validation_context_sds_secret_config=_named(ROOTS_SECRET),
        ),
    )


def _provided_socket(peers: Iterable[SpiffeId]) -> TransportSocket:
    """Return how a proxyless gRPC client speaks mTLS: with what a provider in its own bootstrap has, for it knows no
    SDS (gRFC A29)."""
    provider = made(CertificateProviderPluginInstance, instance_name=PROVIDER)
    names = [made(StringMatcher, exact=str(peer)) for peer in peers]
    common = made(
        CommonTlsContext,
        tls_certificate_provider_instance=provider,
        validation_context=made(
            CertificateValidationContext, ca_certificate_provider_instance=provider, match_subject_alt_names=names
        ),
    )
    return made(
        TransportSocket, name=_SOCKET_NAME, typed_config=pack(made(UpstreamTlsContext, common_tls_context=common))
    )


def provided_server_socket() -> TransportSocket:
    """Return how a gRPC server without a proxy speaks mTLS, with what a provider in its own bootstrap has: to anybody
    whose certificate the mesh's roots have signed. It can match no names (gRFC A29); who may do what is policy's."""
    provider = made(CertificateProviderPluginInstance, instance_name=PROVIDER)
    common = made(
        CommonTlsContext,
        tls_certificate_provider_instance=provider,
        validation_context=made(CertificateValidationContext, ca_certificate_provider_instance=provider),
    )
    context = made(DownstreamTlsContext, common_tls_context=common, require_client_certificate=True)
    return made(TransportSocket, name=_SOCKET_NAME, typed_config=pack(context))


def _named(name: str) -> SdsSecretConfig:
    source = made(ConfigSource, ads=made(AggregatedConfigSource), resource_api_version=ApiVersion.V3)
    return made(SdsSecretConfig, name=name, sds_config=source)


def secured(cluster: Resource, peers: Iterable[SpiffeId], *, provided: bool = False) -> Resource:
    """Return the cluster, spoken to under mTLS with one of `peers`; `provided`: by who has certificates by himself."""
    return resources.from_bytes(cluster.type, cluster.name, cluster.body + _socket_field(tuple(peers), provided))


@lru_cache(maxsize=MAX_SOCKETS)
def _socket_field(peers: tuple[SpiffeId, ...], provided: bool) -> bytes:
    """Return the transport socket as a field of a cluster: the same for all that run under the same accounts."""
    socket = encode(_provided_socket(peers) if provided else _client_socket(peers))
    return delimited(_TRANSPORT_SOCKET, socket)
