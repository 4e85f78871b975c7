"""The table says what the Envoy v3 API says: every field, its number, its type, its oneof."""

from __future__ import annotations

from typing import Any

import pytest

from eventmesh.xds.schema.table import ALIASES, ENUMS, MESSAGES
from eventmesh.xds.schema.types import Field, Kind, Policy, Shape, enum_type, message_type
from tests.unit.xds.envoy_types import OWN_PACKAGES, class_of, import_all

import_all()

_OF_ENVOY = sorted(name for name in MESSAGES if name.split(".")[0] not in OWN_PACKAGES)


def _full(short: str) -> str:
    alias, _, name = short.partition(".")
    return f"{ALIASES[alias]}.{name}"


@pytest.mark.parametrize("short", _OF_ENVOY)
def test_every_field_of_envoy_is_listed_with_its_number(short: str) -> None:
    reference = class_of(_full(short))._betterproto.meta_by_field_name
    # The generator writes fields whose name is a Python word with a trailing underscore.
    expected = {meta.number: name.rstrip("_") for name, meta in reference.items()}
    assert {number: field.name for number, field in message_type(_full(short)).by_number.items()} == expected


@pytest.mark.parametrize("short", _OF_ENVOY)
def test_every_supported_field_has_envoys_type(short: str) -> None:
    cls = class_of(_full(short))
    reference = {meta.number: meta for meta in cls._betterproto.meta_by_field_name.values()}
    for field in message_type(_full(short)).by_number.values():
        if field.policy is Policy.SUPPORTED:
            _compare(field, reference[field.number])


def _compare(field: Field, meta: Any) -> None:
    assert (meta.map_meta is not None) == (field.shape is Shape.MAP), field.name
    assert bool(meta.repeated) == (field.shape is Shape.REPEATED), field.name
    wrapped = meta.unwrap is not None and field.kind is not Kind.DURATION
    assert wrapped == (field.shape is Shape.OPTIONAL), field.name
    if field.shape is Shape.SINGLE:
        on_the_wire = {Kind.ANY: "message", Kind.STRUCT: "message", Kind.DURATION: "message"}
        assert on_the_wire.get(field.kind, field.kind.value) == meta.proto_type, field.name
        assert bool(meta.group) == bool(field.group), field.name


@pytest.mark.parametrize("short", _OF_ENVOY)
def test_every_message_and_enum_a_field_names_is_in_the_table(short: str) -> None:
    for field in message_type(_full(short)).by_number.values():
        if field.policy is Policy.SUPPORTED and field.kind is Kind.MESSAGE:
            assert field.message.known
        elif field.policy is Policy.SUPPORTED and field.kind is Kind.ENUM:
            assert field.enum.by_name


_ENUM_OWNERS = {
    "ApiType": "envoy.config.core.v3:ApiConfigSourceApiType",
    "ApiVersion": "envoy.config.core.v3:ApiVersion",
    "ClusterNotFoundResponseCode": "envoy.config.route.v3:RouteActionClusterNotFoundResponseCode",
    "FractionDenominator": "envoy.type.v3:FractionalPercentDenominatorType",
    "RuleAction": "envoy.config.rbac.v3:RbacAction",
    "StatusCode": "envoy.type.v3:StatusCode",
    "CodecClientType": "envoy.type.v3:CodecClientType",
    "LbRingHashFunction": "envoy.extensions.load_balancing_policies.ring_hash.v3:RingHashHashFunction",
    "RequestMethod": "envoy.config.core.v3:RequestMethod",
    "RingHashFunction": "envoy.config.cluster.v3:ClusterRingHashLbConfigHashFunction",
    "SubsetFallback": "envoy.config.cluster.v3:ClusterLbSubsetConfigLbSubsetFallbackPolicy",
    "SubsetMetadataFallback": "envoy.config.cluster.v3:ClusterLbSubsetConfigLbSubsetMetadataFallbackPolicy",
    "SubsetSelectorFallback": (
        "envoy.config.cluster.v3:ClusterLbSubsetConfigLbSubsetSelectorLbSubsetSelectorFallbackPolicy"
    ),
    "ClusterProtocolSelection": "envoy.config.cluster.v3:ClusterClusterProtocolSelection",
    "CodecType": "envoy.extensions.filters.network.http_connection_manager.v3:HttpConnectionManagerCodecType",
    "DiscoveryType": "envoy.config.cluster.v3:ClusterDiscoveryType",
    "ForwardClientCertDetails": (
        "envoy.extensions.filters.network.http_connection_manager.v3:HttpConnectionManagerForwardClientCertDetails"
    ),
    "HeaderAppendAction": "envoy.config.core.v3:HeaderValueOptionHeaderAppendAction",
    "HeadersWithUnderscoresAction": "envoy.config.core.v3:HttpProtocolOptionsHeadersWithUnderscoresAction",
    "HealthStatus": "envoy.config.core.v3:HealthStatus",
    "LbPolicy": "envoy.config.cluster.v3:ClusterLbPolicy",
    "OcspStaplePolicy": "envoy.extensions.transport_sockets.tls.v3:DownstreamTlsContextOcspStaplePolicy",
    "PathWithEscapedSlashesAction": (
        "envoy.extensions.filters.network.http_connection_manager.v3:HttpConnectionManagerPathWithEscapedSlashesAction"
    ),
    "RedirectResponseCode": "envoy.config.route.v3:RedirectActionRedirectResponseCode",
    "RoutingPriority": "envoy.config.core.v3:RoutingPriority",
    "TrafficDirection": "envoy.config.core.v3:TrafficDirection",
    "SanType": "envoy.extensions.transport_sockets.tls.v3:SubjectAltNameMatcherSanType",
    "ServerHeaderTransformation": (
        "envoy.extensions.filters.network.http_connection_manager.v3:HttpConnectionManagerServerHeaderTransformation"
    ),
    "SocketProtocol": "envoy.config.core.v3:SocketAddressProtocol",
    "TlsProtocol": "envoy.extensions.transport_sockets.tls.v3:TlsParametersTlsProtocol",
    "TlsRequirementType": "envoy.config.route.v3:VirtualHostTlsRequirementType",
    "TrustChainVerification": (
        "envoy.extensions.transport_sockets.tls.v3:CertificateValidationContextTrustChainVerification"
    ),
}


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_every_enum_has_envoys_labels_and_numbers(name: str) -> None:
    module, _, cls = _ENUM_OWNERS[name].partition(":")
    reference = getattr(__import__(f"envoy_data_plane.{module}", fromlist=[cls]), cls)
    assert dict(enum_type(name).by_name) == {member.name: member.value for member in reference}
