"""How data planes hear of a collector, and that it is withdrawn again."""

from __future__ import annotations

from typing import Any

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.trace.v3 import OpenTelemetryConfig
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager

from eventmesh.kube.observability import TracingSettings
from eventmesh.model.tracing import Collector, OtlpProtocol, Tracing
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.changes import Changed
from eventmesh.xds.control.messages import Role
from eventmesh.xds.control.resources import Resource
from eventmesh.xds.control.scope import Audience
from eventmesh.xds.control.tracing import TRACING_CLUSTER
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_cluster
from tests.unit.xds.control.dialogue import CDS, LDS
from tests.unit.xds.control.views import built, ingress, rule, world

GRPC = TracingSettings(OtlpProtocol.GRPC, "otel.test", 4317, "/v1/traces", 0.25)
HTTP = TracingSettings(OtlpProtocol.HTTP, "127.0.0.1", 4318, "/in", 1.0)
AUDIENCES = [
    Audience(Role.GATEWAY),
    Audience(Role.ACTIVATOR),
    Audience(Role.SIDECAR, "ns"),
    Audience(Role.ENVOY),
]


def tracing(settings: TracingSettings | None) -> ResourceBuilder:
    builder = built(world(ingress=[ingress("a", rule("a.test"))]))
    builder.trace(settings)
    builder.update(lambda _: pytest.fail("nothing of a namespace has changed"), Changed())
    return builder


def manager(listener: Resource) -> HttpConnectionManager:
    config = Listener.parse(listener.body).filter_chains[0].filters[0].typed_config
    assert config is not None
    return HttpConnectionManager.parse(config.value)


@pytest.mark.parametrize(("settings", "protocol"), [(GRPC, "grpc"), (HTTP, "http/protobuf")])
@pytest.mark.parametrize("audience", AUDIENCES[:3], ids=lambda audience: audience.role.value)
def test_our_own_data_planes_hear_of_it_by_a_cluster(
    audience: Audience, settings: TracingSettings, protocol: str
) -> None:
    found = tracing(settings).sets(audience)[CDS][TRACING_CLUSTER]
    read = read_cluster(read_wire(message_type("envoy.config.cluster.v3.Cluster"), found.body, "", []), [])
    assert [endpoint.address for endpoint in read.cluster.endpoints] == [settings.authority]
    collector = Collector(TRACING_CLUSTER, settings.authority, OtlpProtocol(protocol), settings.path)
    assert read.tracing == Tracing(collector, random_millionths=round(settings.sampling * 1_000_000))


@pytest.mark.parametrize("settings", [GRPC, HTTP])
def test_an_envoy_hears_of_it_by_its_connection_managers(settings: TracingSettings) -> None:
    sets = tracing(settings).sets(Audience(Role.ENVOY))
    assert Cluster.parse(sets[CDS][TRACING_CLUSTER].body).name == TRACING_CLUSTER
    told: Any = manager(sets[LDS]["public"]).tracing
    assert told.random_sampling.value == settings.sampling * 100
    config = OpenTelemetryConfig.parse(told.provider.typed_config.value)
    if settings.protocol is OtlpProtocol.GRPC:
        assert config.grpc_service is not None and config.grpc_service.envoy_grpc is not None
        assert config.grpc_service.envoy_grpc.cluster_name == TRACING_CLUSTER
    else:
        assert config.http_service is not None and config.http_service.http_uri is not None
        assert config.http_service.http_uri.uri == "http://127.0.0.1:4318/in"


def test_a_gateway_of_ours_needs_no_words_in_its_listeners() -> None:
    sets = tracing(GRPC).sets(Audience(Role.GATEWAY))
    assert manager(sets[LDS]["public"]).tracing is None


@pytest.mark.parametrize("audience", AUDIENCES, ids=lambda audience: audience.role.value)
def test_everybody_is_told_when_it_changes_and_nobody_when_it_does_not(audience: Audience) -> None:
    builder = tracing(GRPC)
    assert builder.affects(audience)
    builder.trace(GRPC)
    builder.update(lambda _: pytest.fail("nothing of a namespace has changed"), Changed())
    assert builder.affects(audience) is (audience.role is not Role.SIDECAR)
    builder.trace(None)
    builder.update(lambda _: pytest.fail("nothing of a namespace has changed"), Changed())
    assert builder.affects(audience)
    sets = builder.sets(audience)
    assert TRACING_CLUSTER not in sets[CDS]
    if audience.role is Role.ENVOY:
        assert manager(sets[LDS]["public"]).tracing is None
