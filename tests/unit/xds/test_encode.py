"""The writer takes what the table knows and nothing else."""

from __future__ import annotations

import pytest
from envoy_data_plane.google.protobuf import Struct

from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_wire

NODE = "envoy.config.core.v3.Node"


def test_defaults_are_not_written() -> None:
    assert write_wire(NODE, {"id": "", "metadata": {}}) == b"\x1a\x00"


def test_maps_are_written_in_the_order_of_their_keys() -> None:
    name = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
    first = write_wire(name, {"initial_resource_versions": {"b": "2", "a": "1"}})
    assert first == write_wire(name, {"initial_resource_versions": {"a": "1", "b": "2"}})


@pytest.mark.parametrize("seconds", [0.0, 0.25, 1.0, 15.000000001, -1.5])
def test_durations_come_back_as_they_were(seconds: float) -> None:
    name = "envoy.config.route.v3.RouteAction"
    data = write_wire(name, {"timeout": seconds})
    assert read_wire(message_type(name), data, "", []).fields == {"timeout": seconds}


def test_a_struct_is_written_as_the_reference_reads_it() -> None:
    members = {"text": "a", "number": 1.5, "flag": False, "none": None, "list": [1, "b"], "inner": {"x": True}}
    data = write_wire(NODE, {"metadata": members})
    assert Struct.parse(data[2:]).to_dict() == members


def test_a_refused_field_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="not supported"):
        write_wire("envoy.config.core.v3.Pipe", {"mode": 1})


@pytest.mark.parametrize("fields", [{"id": 5}, {"locality": "x"}, {"metadata": {"a": object()}}])
def test_a_value_of_the_wrong_type_cannot_be_written(fields: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        write_wire(NODE, fields)
