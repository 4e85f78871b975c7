"""Our encoder writes the very bytes of the library's own serialiser."""

from __future__ import annotations

import betterproto2
import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import Metadata
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration, VirtualHost
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import HttpFault
from envoy_data_plane.envoy.type.v3 import DoubleRange, FractionalPercent, Int64Range, Percent
from envoy_data_plane.google.protobuf import FieldDescriptorProto, ListValue, SourceCodeInfoLocation, Struct, Value

from eventmesh.xds.control import envoy
from eventmesh.xds.control.encoding import encode, made
from eventmesh.xds.control.envoy import Hold, HttpListener, Protocol

LISTENER = HttpListener("public", "127.0.0.1", 8080, "public", "gateway")

FLAGS = Struct(fields={"k": Value(list_value=ListValue(values=[Value(bool_value=False)]))})

MESSAGES: list[betterproto2.Message] = [
    Cluster.parse(envoy.cluster("ns/a", Protocol.HTTP1).body),
    Cluster.parse(envoy.cluster("ns/a", Protocol.HTTP2, Hold(3)).body),
    Cluster.parse(envoy.cluster("ns/a", Protocol.BOLT).body),
    Cluster.parse(envoy.dns_cluster("ns/a", "example.com", 443, Protocol.HTTP2).body),
    ClusterLoadAssignment.parse(envoy.endpoints("ns/a", [("10.0.0.1", 8012), ("10.0.0.2", 8013)]).body),
    ClusterLoadAssignment.parse(envoy.endpoints("ns/a", []).body),
    Listener.parse(envoy.http_listener(LISTENER, for_envoy=True).body),
    Listener.parse(envoy.http_listener(LISTENER).body),
    Listener.parse(envoy.api_listener("a.ns.svc.cluster.local", "local").body),
    RouteConfiguration(name="r", virtual_hosts=[VirtualHost(name="ü", domains=["*"])], validate_clusters=False),
    # Kinds of fields that our own resources do not use.
    Int64Range(start=-5, end=2**62),
    DoubleRange(start=-1.5, end=1e300),
    FractionalPercent(numerator=5),
    Percent(value=0.1),
    SourceCodeInfoLocation(path=[4, 0, 300], span=[1, 2, 3], leading_comments="packed numbers"),
    FieldDescriptorProto(name="x", number=-1),
    Metadata(
        filter_metadata={"a": Struct(fields={"k": Value(list_value=ListValue(values=[Value(bool_value=False)]))})}
    ),
    HttpFault(headers=[], max_active_faults=0),
    VirtualHost(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_bytes_are_those_of_the_library(message: betterproto2.Message) -> None:
    assert encode(message) == bytes(message)


def test_maps_are_written_in_key_order_so_that_replicas_agree() -> None:
    entries = {name: Struct() for name in ("b", "a", "c")}
    shuffled = {name: Struct() for name in ("c", "b", "a")}
    assert encode(Metadata(filter_metadata=entries)) == encode(Metadata(filter_metadata=shuffled))


def test_a_packed_any_is_read_back_as_the_message_inside_it() -> None:
    inner = VirtualHost(name="v", domains=["a", "b"])
    packed = envoy.pack(inner)
    assert packed.type_url == "type.googleapis.com/envoy.config.route.v3.VirtualHost"
    assert packed.unpack() == inner


def test_a_message_made_without_validation_has_the_same_bytes() -> None:
    fields = made(VirtualHost, name="v", domains=["a"], include_request_attempt_count=True)
    assert encode(fields) == bytes(VirtualHost(name="v", domains=["a"], include_request_attempt_count=True))
