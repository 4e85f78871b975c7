"""Requests are what the reference reads, responses are read as the reference writes them."""

from __future__ import annotations

import envoy_data_plane.envoy.service.discovery.v3 as discovery_v3
import pytest
from envoy_data_plane.google.protobuf import Any as ProtoAny

from eventmesh.base.errors import ConfigError
from eventmesh.xds.bootstrap import Locality, Node
from eventmesh.xds.client import messages
from eventmesh.xds.client.messages import (
    MAX_ERROR_CHARS,
    Request,
    Response,
    node_fields,
    read_response,
    write_request,
)
from eventmesh.xds.resource_types import ResourceType

NODE = node_fields(Node("id", "cluster", {"role": "gateway"}, Locality(zone="z")))
CLUSTER = ResourceType.CLUSTER.value


def test_a_delta_request_is_read_by_the_reference() -> None:
    request = Request(
        ResourceType.CLUSTER, "n", "why", subscribe=("a",), unsubscribe=("b",), initial_versions={"a": "1"}
    )
    read = discovery_v3.DeltaDiscoveryRequest.parse(write_request(request, NODE, delta=True))
    assert (read.type_url, read.response_nonce) == (CLUSTER, "n")
    assert (read.resource_names_subscribe, read.resource_names_unsubscribe) == (["a"], ["b"])
    assert read.initial_resource_versions == {"a": "1"}
    assert read.error_detail is not None
    assert (read.error_detail.code, read.error_detail.message) == (3, "why")
    assert read.node is not None
    assert read.node.to_dict()["metadata"] == {"role": "gateway"}


def test_a_state_of_the_world_request_is_read_by_the_reference() -> None:
    request = Request(ResourceType.CLUSTER, nonce="n", names=("a", "b"), version="7")
    read = discovery_v3.DiscoveryRequest.parse(write_request(request, None, delta=False))
    assert (read.resource_names, read.version_info, read.response_nonce) == (["a", "b"], "7", "n")
    assert (read.node, read.error_detail) == (None, None)


def test_a_long_refusal_is_cut() -> None:
    data = write_request(Request(ResourceType.CLUSTER, error="x" * 10_000), None, delta=True)
    read = discovery_v3.DeltaDiscoveryRequest.parse(data)
    assert read.error_detail is not None
    assert len(read.error_detail.message) == MAX_ERROR_CHARS


def test_a_delta_response_is_read() -> None:
    packed = ProtoAny(type_url=CLUSTER, value=b"\x0a\x01a")
    data = bytes(
        discovery_v3.DeltaDiscoveryResponse(
            type_url=CLUSTER,
            nonce="n",
            system_version_info="7",
            resources=[discovery_v3.Resource(name="a", version="1", resource=packed)],
            removed_resources=["b"],
        )
    )
    resource = messages.Resource("a", "1", CLUSTER, b"\x0a\x01a")
    assert read_response(data, delta=True) == Response(ResourceType.CLUSTER, "n", "7", (resource,), ("b",))


def test_a_state_of_the_world_response_is_read() -> None:
    packed = ProtoAny(type_url=CLUSTER, value=b"\x0a\x01a")
    data = bytes(discovery_v3.DiscoveryResponse(type_url=CLUSTER, nonce="n", version_info="7", resources=[packed]))
    resource = messages.Resource("a", "7", CLUSTER, b"\x0a\x01a")
    assert read_response(data, delta=False) == Response(ResourceType.CLUSTER, "n", "7", (resource,))


def test_a_type_nobody_asked_for_is_passed_over() -> None:
    data = bytes(discovery_v3.DiscoveryResponse(type_url="type.googleapis.com/a.B"))
    assert read_response(data, delta=False) is None


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x00" + b"\x22" + bytes([len(CLUSTER)]) + CLUSTER.encode()])
def test_what_is_no_response_is_told(data: bytes) -> None:
    with pytest.raises(ConfigError, match="response"):
        read_response(data, delta=True)
