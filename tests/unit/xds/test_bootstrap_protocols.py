"""Listeners of Bolt, Dubbo and declared protocols, and the clusters they lead to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from eventmesh.base.errors import ConfigError
from eventmesh.model.listener import WireProtocol
from eventmesh.xds.bootstrap import parse_bootstrap
from tests.unit.xds.documents import (
    CLUSTER,
    LISTENER,
    MANAGER,
    put,
    shop_document,
)


def test_a_bolt_listener_is_an_extension_of_its_own() -> None:
    bolt = {
        "@type": "type.googleapis.com/eventmesh.extensions.filters.network.bolt_proxy.v3.BoltProxy",
        "stat_prefix": "bolt",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "orders",
                    "domains": ["com.shop.Orders:1.0"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "shop"}}],
                }
            ]
        },
    }
    (listener,) = parse_bootstrap(json.dumps(put(shop_document(), MANAGER, bolt))).snapshot.listeners
    assert (listener.protocol, listener.route_table) == (WireProtocol.BOLT, "in")


FRAMED_PROXY = "type.googleapis.com/eventmesh.extensions.filters.network.framed_proxy.v3.FramedProxy"
DECLARATIONS = Path(__file__).parents[3] / "docs" / "protocols" / "declarations"


def _framed(**fields: object) -> dict[str, object]:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "shop"}}]
    table = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}
    return {"@type": FRAMED_PROXY, "stat_prefix": "thrift", "route_config": table, **fields}


def test_a_declared_protocol_is_an_extension_with_its_declaration_inline_or_in_a_file() -> None:
    file = DECLARATIONS / "thrift.yaml"
    inline = yaml.safe_load(file.read_text())
    (listener,) = parse_bootstrap(
        json.dumps(put(shop_document(), MANAGER, _framed(declaration=inline)))
    ).snapshot.listeners
    assert (listener.protocol, listener.route_table) == (WireProtocol.FRAMED, "in")
    assert [declaration.name for declaration in listener.declarations] == ["thrift"]
    document = put(shop_document(), MANAGER, _framed(declaration_file=str(file)))
    document = put(
        document,
        f"{CLUSTER}.metadata",
        {"filter_metadata": {"eventmesh": {"protocol": "framed", "declaration": "thrift"}}},
    )
    snapshot = parse_bootstrap(json.dumps(document)).snapshot
    assert snapshot.listeners == (listener,)
    assert (snapshot.clusters[0].protocol, snapshot.clusters[0].declaration) == (WireProtocol.FRAMED, "thrift")


def test_a_mistake_in_a_declaration_is_told_by_its_path() -> None:
    inline = yaml.safe_load((DECLARATIONS / "thrift.yaml").read_text())
    inline["frame"][0] = {"length": {"size": 3}}
    for fields, what in [
        ({"declaration": inline}, "declaration: frame[0].length.size: 3 is none of [1, 2, 4, 8]"),
        (
            {"declaration_file": "/nowhere.yaml"},
            "declaration_file: cannot read /nowhere.yaml: No such file or directory",
        ),
        ({}, "declaration: missing; give declaration or declaration_file"),
    ]:
        with pytest.raises(ConfigError) as caught:
            parse_bootstrap(json.dumps(put(shop_document(), MANAGER, _framed(**fields))))
        assert str(caught.value).endswith(what)


def test_a_dubbo_listener_is_an_extension_of_its_own() -> None:
    proxy = _framed() | {"@type": FRAMED_PROXY.replace("framed", "dubbo").replace("Framed", "Dubbo")}
    document = put(shop_document(), MANAGER, proxy)
    document = put(document, f"{CLUSTER}.metadata", {"filter_metadata": {"eventmesh": {"protocol": "dubbo"}}})
    snapshot = parse_bootstrap(json.dumps(document)).snapshot
    assert snapshot.listeners[0].protocol is snapshot.clusters[0].protocol is WireProtocol.DUBBO


@pytest.mark.parametrize("settings", [{"protocol": "framed"}, {"declaration": "thrift"}, {"declaration": 3}])
def test_a_cluster_of_a_declared_protocol_names_it(settings: dict[str, object]) -> None:
    document = put(shop_document(), f"{CLUSTER}.metadata", {"filter_metadata": {"eventmesh": settings}})
    with pytest.raises(ConfigError, match=r"eventmesh\.declaration: "):
        parse_bootstrap(json.dumps(document))


INSPECTOR = "type.googleapis.com/eventmesh.extensions.filters.listener.declared_inspector.v3.DeclaredInspector"


def _inspecting(**manager: object) -> dict[str, object]:
    config = {"@type": INSPECTOR, "declaration_file": str(DECLARATIONS / "motan2.yaml")}
    document = put(shop_document(), f"{LISTENER}.listener_filters", [{"name": "motan2", "typed_config": config}])
    for name, value in manager.items():
        document = put(document, f"{MANAGER}.{name}", value)
    return document


def test_a_listener_for_several_protocols_may_have_declared_ones_among_them() -> None:
    (listener,) = parse_bootstrap(json.dumps(_inspecting())).snapshot.listeners
    assert listener.protocol is WireProtocol.AUTO
    assert [declaration.name for declaration in listener.declarations] == ["motan2"]


def test_a_listener_for_one_protocol_has_nothing_to_tell() -> None:
    with pytest.raises(ConfigError, match="is for listeners of codec_type AUTO"):
        parse_bootstrap(json.dumps(_inspecting(codec_type="HTTP1")))
