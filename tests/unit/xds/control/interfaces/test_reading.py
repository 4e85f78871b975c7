"""ServiceInterface and ProtocolDeclaration objects: what they say, and what is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventmesh.kube.objects import Key
from eventmesh.xds.control.interfaces.reading import (
    MAX_INTERFACES,
    parse_interfaces,
    read_protocol_declaration,
    read_service_interface,
)
from eventmesh.xds.control.interfaces.values import Interface, ServiceInterface
from tests.unit.xds.control.views import declaration, interface

ORDERS = {"name": "com.shop.Orders"}


def test_a_service_interface_says_which_port_offers_what() -> None:
    said = interface("orders", ORDERS, {**ORDERS, "group": "canary", "version": "2.0"}, sectionName="rpc", created="t")
    offered = (Interface("com.shop.Orders"), Interface("com.shop.Orders", "canary", "2.0"))
    value = ServiceInterface(Key("ns", "orders"), "t", "orders", "rpc", offered)
    assert read_service_interface(said) == (value, [])


@pytest.mark.parametrize(
    ("offered", "target", "path"),
    [
        ([], {}, "spec.interfaces"),
        ([ORDERS] * (MAX_INTERFACES + 1), {}, "spec.interfaces"),
        ([ORDERS, ORDERS], {}, "spec.interfaces[1]"),
        ([{"group": "a"}], {}, "spec.interfaces[0].name"),
        ([{"name": "com.shop.Orders:1.0"}], {}, "spec.interfaces[0].name"),
        ([{"name": "*"}], {}, "spec.interfaces[0].name"),
        ([{**ORDERS, "version": "1 0"}], {}, "spec.interfaces[0].version"),
        ([{**ORDERS, "group": "g" * 65}], {}, "spec.interfaces[0].group"),
        ([{**ORDERS, "weight": 5}], {}, "spec.interfaces[0].weight"),
        (["com.shop.Orders"], {}, "spec.interfaces[0]"),
        ([ORDERS], {"kind": "Deployment"}, "spec.targetRef"),
        ([ORDERS], {"group": "serving.knative.dev"}, "spec.targetRef"),
        ([ORDERS], {"name": ""}, "spec.targetRef.name"),
        ([ORDERS], {"port": "rpc"}, "spec.targetRef.port"),
    ],
)
def test_what_is_wrong_with_a_service_interface_is_named(offered: list[Any], target: dict[str, str], path: str) -> None:
    said = interface("orders", *offered)
    said["spec"]["targetRef"] |= target
    value, errors = read_service_interface(said)
    assert value is None
    assert path in {error.path for error in errors}


def test_an_annotation_names_interfaces_as_sofa_does() -> None:
    text = " com.acme.Orders:1.0, com.acme.Stock:2.0:blue,com.acme.Plain ,,*"
    assert parse_interfaces(text) == (
        Interface("com.acme.Orders", version="1.0"),
        Interface("com.acme.Plain"),
        Interface("com.acme.Stock", "blue", "2.0"),
    )


@pytest.mark.parametrize(
    ("offered", "names"),
    [
        (Interface("a.B", version="1.0"), ("a.B:1.0",)),
        (Interface("a.B", "blue", "2.0"), ("a.B:2.0:blue",)),
        (Interface("a.B", "blue"), ("a.B:1.0:blue",)),
        (Interface("a.B"), ("a.B:1.0", "a.B")),
    ],
)
def test_sofarpc_calls_an_interface_by_its_version_and_unique_id(offered: Interface, names: tuple[str, ...]) -> None:
    assert offered.unique_names() == names


def test_a_declaration_is_called_like_its_object() -> None:
    value, errors = read_protocol_declaration(declaration("lamp"))
    assert not errors and value is not None
    assert (value.client_port, value.declaration.name) == (7100, "lamp")
    assert json.loads(value.declaration.text)["name"] == "lamp"


@pytest.mark.parametrize(
    ("name", "port", "more", "path", "words"),
    [
        ("dubbo", 7100, {}, "metadata.name", "a protocol already"),
        ("lamp", 0, {}, "spec.clientPort", "1 to 65535"),
        ("lamp", 65_536, {}, "spec.clientPort", "1 to 65535"),
        ("lamp", 15_001, {}, "spec.clientPort", "of the sidecar itself"),
        ("lamp", 7100, {"name": "bulb"}, "spec.declaration.name", "not the name of the object"),
        ("lamp", 7100, {"frame": []}, "spec.declaration", "id"),
        ("lamp", 7100, {"colour": "red"}, "spec.declaration", "colour"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_named(
    name: str, port: int, more: dict[str, Any], path: str, words: str
) -> None:
    value, (error,) = read_protocol_declaration(declaration(name, port, **more))
    assert value is None
    assert error.path == path and words in error.message
