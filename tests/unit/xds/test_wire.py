"""Bytes that the reference writes are read field by field, what is written equals its bytes, and no input escapes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import envoy_data_plane.envoy.config.cluster.v3 as cluster_v3
import envoy_data_plane.envoy.config.core.v3 as core_v3
import envoy_data_plane.envoy.config.endpoint.v3 as endpoint_v3
import envoy_data_plane.envoy.config.listener.v3 as listener_v3
import envoy_data_plane.envoy.config.route.v3 as route_v3
import envoy_data_plane.envoy.extensions.filters.http.router.v3 as router_v3
import envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 as hcm_v3
import envoy_data_plane.envoy.extensions.upstreams.http.v3 as upstreams_v3
import envoy_data_plane.envoy.service.discovery.v3 as discovery_v3
import envoy_data_plane.envoy.type.matcher.v3 as matcher_v3
import pytest
from envoy_data_plane.google.protobuf import Any as ProtoAny
from envoy_data_plane.google.protobuf import ListValue, Struct, Value
from envoy_data_plane.google.rpc import Status
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.base.errors import ConfigError
from eventmesh.xds.schema import wire
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_text_field, read_wire


def _address(port: int) -> core_v3.Address:
    return core_v3.Address(socket_address=core_v3.SocketAddress(address="10.0.0.1", port_value=port))


def _edit(name: str, value: str) -> core_v3.HeaderValueOption:
    return core_v3.HeaderValueOption(
        header=core_v3.HeaderValue(key=name, value=value),
        append_action=core_v3.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )


ROUTES = route_v3.RouteConfiguration(
    name="public",
    virtual_hosts=[
        route_v3.VirtualHost(
            name="shop",
            domains=["shop.test", "*.shop.test"],
            routes=[
                route_v3.Route(
                    name="split",
                    match=route_v3.RouteMatch(
                        prefix="/buy",
                        headers=[
                            route_v3.HeaderMatcher(
                                name="x-tag", string_match=matcher_v3.StringMatcher(exact="blue"), invert_match=True
                            )
                        ],
                    ),
                    route=route_v3.RouteAction(
                        weighted_clusters=route_v3.WeightedCluster(
                            clusters=[
                                route_v3.WeightedClusterClusterWeight(name="a", weight=90),
                                route_v3.WeightedClusterClusterWeight(name="b", weight=10),
                            ]
                        ),
                        timeout=timedelta(seconds=1, milliseconds=500),
                    ),
                    request_headers_to_add=[_edit("x-rev", "one")],
                ),
                route_v3.Route(
                    match=route_v3.RouteMatch(path=""),
                    redirect=route_v3.RedirectAction(https_redirect=True, host_redirect="other.test"),
                ),
            ],
        )
    ],
)
MANAGER = hcm_v3.HttpConnectionManager(
    stat_prefix="in",
    route_config=ROUTES,
    http_filters=[hcm_v3.HttpFilter(name="envoy.filters.http.router", typed_config=ProtoAny.pack(router_v3.Router()))],
    common_http_protocol_options=core_v3.HttpProtocolOptions(idle_timeout=timedelta(0)),
    max_request_headers_kb=96,
    use_remote_address=False,
)
LISTENER = listener_v3.Listener(
    name="in",
    address=_address(8080),
    filter_chains=[
        listener_v3.FilterChain(
            filters=[listener_v3.Filter(name="http", typed_config=ProtoAny.pack(MANAGER))],
        )
    ],
)
ASSIGNMENT = endpoint_v3.ClusterLoadAssignment(
    cluster_name="a",
    endpoints=[
        endpoint_v3.LocalityLbEndpoints(
            locality=core_v3.Locality(zone="z"),
            lb_endpoints=[
                endpoint_v3.LbEndpoint(
                    endpoint=endpoint_v3.Endpoint(address=_address(80)),
                    health_status=core_v3.HealthStatus.DRAINING,
                    load_balancing_weight=3,
                )
            ],
        )
    ],
)
CLUSTER = cluster_v3.Cluster(
    name="a",
    type=cluster_v3.ClusterDiscoveryType.STATIC,
    connect_timeout=timedelta(seconds=2),
    load_assignment=ASSIGNMENT,
    typed_extension_protocol_options={
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": ProtoAny.pack(
            upstreams_v3.HttpProtocolOptions(
                explicit_http_config=upstreams_v3.HttpProtocolOptionsExplicitHttpConfig(
                    http2_protocol_options=core_v3.Http2ProtocolOptions()
                )
            )
        )
    },
    metadata=core_v3.Metadata(
        filter_metadata={
            "eventmesh": Struct(
                fields={
                    "hold": Value(bool_value=True),
                    "words": Value(list_value=ListValue(values=[Value(string_value="a"), Value(number_value=2.5)])),
                }
            )
        }
    ),
)
REQUEST = discovery_v3.DeltaDiscoveryRequest(
    node=core_v3.Node(id="n", cluster="c", locality=core_v3.Locality(region="r")),
    type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster",
    resource_names_subscribe=["a", "b"],
    initial_resource_versions={"a": "1", "b": "2"},
    response_nonce="7",
    error_detail=Status(code=-3, message="no"),
)
SAMPLES: dict[str, Any] = {
    "envoy.config.route.v3.RouteConfiguration": ROUTES,
    "envoy.config.listener.v3.Listener": LISTENER,
    "envoy.config.cluster.v3.Cluster": CLUSTER,
    "envoy.config.endpoint.v3.ClusterLoadAssignment": ASSIGNMENT,
    "envoy.service.discovery.v3.DeltaDiscoveryRequest": REQUEST,
}


def _read(name: str, data: bytes) -> Message:
    return read_wire(message_type(name), data, "", [])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_was_read_is_written_as_the_same_message(name: str) -> None:
    data = bytes(SAMPLES[name])
    written = write_wire(name, _read(name, data).fields)
    assert type(SAMPLES[name]).parse(written).to_dict() == SAMPLES[name].to_dict()
    # The reference writes fields in the order of their declaration, we in that of their numbers.
    assert sorted(written) == sorted(data)


@pytest.mark.parametrize("name", ["ClusterLoadAssignment", "DeltaDiscoveryRequest"])
def test_where_both_orders_agree_the_bytes_are_those_of_the_reference(name: str) -> None:
    full = next(full for full in SAMPLES if full.endswith(name))
    assert write_wire(full, _read(full, bytes(SAMPLES[full])).fields) == bytes(SAMPLES[full])


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_bytes_and_json_of_one_message_give_equal_trees(name: str) -> None:
    document = SAMPLES[name].to_dict()
    assert read_document(message_type(name), document, "", []) == _read(name, bytes(SAMPLES[name]))


def test_pieces_of_a_message_merge_as_protobuf_says() -> None:
    name = "envoy.config.core.v3.Node"
    data = b"".join(
        write_wire(name, fields)
        for fields in ({"id": "a", "locality": {"region": "r"}}, {"id": "b", "locality": {"zone": "z"}})
    )
    node = _read(name, data)
    locality = node.child("locality")
    assert locality is not None
    assert (node.text("id"), locality.text("region"), locality.text("zone")) == ("b", "r", "z")


def test_of_a_oneof_the_last_member_wins() -> None:
    name = "envoy.config.route.v3.RouteMatch"
    match = _read(name, write_wire(name, {"prefix": "/a"}) + write_wire(name, {"path": "/b"}))
    assert (match.has("prefix"), match.text("path")) == (False, "/b")


def test_a_refused_field_is_named_by_its_path() -> None:
    routes = route_v3.RouteConfiguration(
        virtual_hosts=[route_v3.VirtualHost(routes=[route_v3.Route(route=route_v3.RouteAction(cluster_header="x"))])]
    )
    with pytest.raises(ConfigError) as caught:
        _read("envoy.config.route.v3.RouteConfiguration", bytes(routes))
    assert caught.value.path == "virtual_hosts[0].routes[0].route.cluster_header"


def test_an_ignored_field_is_told_as_a_warning() -> None:
    warnings: list[str] = []
    data = bytes(cluster_v3.Cluster(name="a", ignore_health_on_host_removal=True))
    read_wire(message_type("envoy.config.cluster.v3.Cluster"), data, "clusters[0]", warnings)
    assert [warning.split(":")[0] for warning in warnings] == ["clusters[0].ignore_health_on_host_removal"]


def test_a_field_that_no_table_knows_is_refused_by_number() -> None:
    with pytest.raises(ConfigError, match="field 999 of envoy.config.cluster.v3.Cluster"):
        _read("envoy.config.cluster.v3.Cluster", b"\xb8\x3e\x01")


def test_a_discovery_message_may_carry_fields_of_the_future() -> None:
    assert _read("envoy.service.discovery.v3.DiscoveryResponse", b"\xb8\x3e\x01").fields == {}


def test_only_the_value_that_says_what_happens_anyway_is_taken() -> None:
    name = "envoy.config.listener.v3.Listener"
    assert _read(name, bytes(listener_v3.Listener(bind_to_port=True))).flag("bind_to_port")
    with pytest.raises(ConfigError, match="bind_to_port: only true"):
        _read(name, bytes(listener_v3.Listener(bind_to_port=False)))


def test_a_message_inside_an_unknown_any_keeps_its_name() -> None:
    name = "envoy.config.listener.v3.Filter"
    data = bytes(listener_v3.Filter(typed_config=ProtoAny(type_url="type.googleapis.com/a.B", value=b"x")))
    config = _read(name, data).child("typed_config")
    assert config is not None
    assert (config.schema.name, config.schema.known) == ("a.B", False)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a\x05ab", "claims 5 bytes, 2 are left"),
        (b"\x0a", "ends inside a number"),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "longer than ten bytes"),
        (b"\x0b", "wire type 3"),
        (b"\x00\x01", "field number 0"),
        (b"\x0a\x02\xff\xfe", "not UTF-8 at byte 0"),
        (b"\x08\x01", "wire type 0 for a string"),
    ],
)
def test_malformed_bytes_say_what_is_wrong(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        _read("envoy.config.core.v3.Node", data)


def test_an_enum_number_that_means_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="99 is none of TCP, UDP"):
        _read("envoy.config.core.v3.SocketAddress", b"\x08\x63")


def test_nesting_stops_at_the_limit() -> None:
    value = b"\x20\x01"
    for _ in range(wire.MAX_DEPTH):
        inner = b"\x0a" + _length(value) + value
        value = b"\x32" + _length(inner) + inner
    entry = b"\x0a\x01k\x12" + _length(value) + value
    metadata = b"\x0a" + _length(entry) + entry
    with pytest.raises(ConfigError, match=f"more than {wire.MAX_DEPTH} deep"):
        _read("envoy.config.core.v3.Node", b"\x1a" + _length(metadata) + metadata)


def _length(data: bytes) -> bytes:
    size, out = len(data), bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def test_a_message_longer_than_the_limit_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_MESSAGE_BYTES", 10)
    with pytest.raises(ConfigError, match="11 bytes are more than the limit of 10"):
        _read("envoy.config.core.v3.Node", b"\xff" * 11)


def test_the_name_of_a_resource_is_read_before_its_type() -> None:
    assert read_text_field(bytes(CLUSTER), 1) == "a"
    assert read_text_field(b"\xff\xff", 1) == ""


@pytest.mark.parametrize("name", sorted(SAMPLES))
@given(data=st.binary(max_size=64))
def test_any_bytes_give_a_tree_or_a_config_error(name: str, data: bytes) -> None:
    _read_or_refuse(name, data)


@pytest.mark.parametrize("name", sorted(SAMPLES))
@given(at=st.integers(0, 400), byte=st.integers(0, 255), cut=st.integers(0, 400))
def test_any_damage_to_a_message_gives_a_tree_or_a_config_error(name: str, at: int, byte: int, cut: int) -> None:
    data = bytearray(bytes(SAMPLES[name]))
    data[at % len(data)] = byte
    _read_or_refuse(name, bytes(data[: len(data) - cut % len(data)]))


def _read_or_refuse(name: str, data: bytes) -> None:
    try:
        tree = _read(name, data)
    except ConfigError:
        return
    again = _read(name, write_wire(name, tree.fields)) if _writable(tree) else tree
    assert again == tree


def _writable(tree: Message) -> bool:
    """Tell whether no Any of an unknown type is inside: its bytes were not kept."""
    return "known=False" not in repr(tree) and all(
        _writable(item) for value in tree.fields.values() for item in _messages(value)
    )


def _messages(value: object) -> list[Message]:
    match value:
        case Message():
            return [value] if value.schema.known else [Message(value.schema, {"known=False": True})]
        case tuple():
            return [message for item in value for message in _messages(item)]
        case dict():
            return [message for item in value.values() for message in _messages(item)]
    return []
