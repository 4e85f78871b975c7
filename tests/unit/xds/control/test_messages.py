"""Requests are scanned as their authors wrote them; responses are what a protobuf library reads back."""

from __future__ import annotations

import contextlib

import pytest
from envoy_data_plane.envoy.config.core.v3 import Extension, Node
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from envoy_data_plane.google.protobuf import ListValue, Struct, Value
from envoy_data_plane.google.rpc import Status
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.xds.control import envoy
from eventmesh.xds.control.bundles import bundled
from eventmesh.xds.control.messages import (
    MAX_METADATA_BYTES,
    MAX_NODE_TEXT_BYTES,
    MAX_STRUCT_DEPTH,
    Role,
    delta_response,
    read_delta_request,
    read_sotw_request,
    sotw_response,
)
from eventmesh.xds.control.messages import Node as ReadNode
from eventmesh.xds.control.protobuf import WireError
from eventmesh.xds.resource_types import ResourceType

CDS = ResourceType.CLUSTER.value
NODE = Node(
    id="gw-1",
    cluster="gateway",
    metadata=Struct(
        fields={
            "role": Value(string_value="gateway"),
            "workers": Value(number_value=2.0),
            "fast": Value(bool_value=True),
            "tags": Value(list_value=ListValue(values=[Value(string_value="a")])),
            "more": Value(struct_value=Struct(fields={"deep": Value(string_value="er")})),
        }
    ),
    user_agent_name="envoy",
    extensions=[Extension(name="envoy.filters.http.router")] * 50,
)


def test_a_state_of_the_world_request_is_read_whole() -> None:
    request = DiscoveryRequest(
        version_info="v1",
        node=NODE,
        resource_names=["a", "b"],
        type_url=CDS,
        response_nonce="7",
        error_detail=Status(code=3, message="no such filter"),
    )
    read = read_sotw_request(bytes(request))
    assert (read.version, read.names, read.type_url, read.nonce) == ("v1", ("a", "b"), CDS, "7")
    assert read.error == "no such filter"
    assert read.node is not None
    assert (read.node.id, read.node.cluster, read.node.user_agent) == ("gw-1", "gateway", "envoy")
    assert read.node.metadata == {
        "role": "gateway",
        "workers": 2.0,
        "fast": True,
        "tags": ["a"],
        "more": {"deep": "er"},
    }


def test_a_delta_request_is_read_whole() -> None:
    request = DeltaDiscoveryRequest(
        node=NODE,
        type_url=CDS,
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
        response_nonce="7",
    )
    read = read_delta_request(bytes(request))
    assert (read.type_url, read.nonce, read.error) == (CDS, "7", None)
    assert (read.subscribe, read.unsubscribe, read.initial_versions) == (("a",), ("b",), {"c": "1"})


def test_responses_are_read_back_by_a_protobuf_library() -> None:
    resource = envoy.cluster("ns/a", envoy.Protocol.HTTP1)
    sotw = DiscoveryResponse.parse(b"".join(sotw_response(CDS, "v", "n", bundled([resource]), "control-0")))
    assert (sotw.type_url, sotw.version_info, sotw.nonce) == (CDS, "v", "n")
    assert [(r.type_url, r.value) for r in sotw.resources] == [(CDS, resource.body)]
    assert sotw.control_plane is not None and sotw.control_plane.identifier == "control-0"
    parts = delta_response(CDS, "v", "n", bundled([resource], ["gone"]), "control-0")
    delta = DeltaDiscoveryResponse.parse(b"".join(parts))
    assert delta.removed_resources == ["gone"]
    assert [(r.name, r.version) for r in delta.resources] == [("ns/a", resource.version)]
    assert delta.resources[0].resource is not None and delta.resources[0].resource.value == resource.body


@pytest.mark.parametrize(
    ("metadata", "agent", "role"),
    [
        ({"role": "gateway"}, "eventmesh", Role.GATEWAY),
        ({"role": "gateway"}, "envoy", Role.ENVOY),
        ({"role": "activator"}, "envoy", Role.ACTIVATOR),
        ({"role": "sidecar"}, "", Role.SIDECAR),
        ({}, "envoy", Role.ENVOY),
        ({}, "gRPC C-core", Role.GRPC),
        ({"role": "unheard-of"}, "", Role.GATEWAY),
    ],
)
def test_a_role_is_what_the_metadata_says_or_the_user_agent_suggests(
    metadata: dict[str, object], agent: str, role: Role
) -> None:
    assert ReadNode(user_agent=agent, metadata=metadata).role is role


def test_metadata_nested_beyond_the_limit_is_refused() -> None:
    value = Value(string_value="core")
    for _ in range(MAX_STRUCT_DEPTH + 2):
        value = Value(struct_value=Struct(fields={"x": value}))
    request = DiscoveryRequest(node=Node(metadata=Struct(fields={"x": value})))
    with pytest.raises(WireError, match="nested deeper"):
        read_sotw_request(bytes(request))


@pytest.mark.parametrize(
    ("node", "field"),
    [
        (Node(id="i" * (MAX_NODE_TEXT_BYTES + 1)), "id"),
        (Node(cluster="c" * (MAX_NODE_TEXT_BYTES + 1)), "cluster"),
        (Node(user_agent_name="a" * (MAX_NODE_TEXT_BYTES + 1)), "user_agent_name"),
        (Node(metadata=Struct(fields={"x": Value(string_value="v" * MAX_METADATA_BYTES)})), "metadata"),
    ],
)
def test_a_node_that_says_too_much_of_itself_is_refused(node: Node, field: str) -> None:
    with pytest.raises(WireError, match=f"node.{field} has [0-9]+ bytes"):
        read_delta_request(bytes(DeltaDiscoveryRequest(node=node)))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_wire_error(data: bytes) -> None:
    for read in (read_sotw_request, read_delta_request):
        with contextlib.suppress(WireError):
            read(data)
