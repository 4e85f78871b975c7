"""Whatever a file or a server holds: a configuration or a ConfigError, never another exception."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventmesh.base.errors import ConfigError
from eventmesh.xds.bootstrap import parse_bootstrap
from eventmesh.xds.client.known import Known
from eventmesh.xds.client.messages import Resource, read_response
from eventmesh.xds.client.subscription import Changes
from eventmesh.xds.client.unpack import unpack
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.translate.resources import StaticResources
from eventmesh.xds.translate.route_tables import RouteTables
from tests.unit.xds.documents import MANAGER, ROUTER, put, shop_document, subscribing
from tests.unit.xds.test_discovered_filters import discovery, listener_with
from tests.unit.xds.test_http_filters import LIMIT

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_KEYS = st.sampled_from(["name", "@type", "address", "clusters", "route", "match", "typed_config", "prefix", "x"])
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3), max_leaves=6
)
_NAMED = {"name": "limit", "config_discovery": discovery(default_config=LIMIT)}
_FULL = put(subscribing(shop_document()), f"{MANAGER}.http_filters", [_NAMED, ROUTER])


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of every value inside."""
    match value:
        case dict():
            inner = [place for key, item in value.items() for place in _places(item, (*path, key))]
        case list():
            inner = [place for at, item in enumerate(value) for place in _places(item, (*path, at))]
        case _:
            inner = []
    return [path, *inner] if path else inner


_PLACES = _places(_FULL)


@given(place=st.sampled_from(_PLACES), value=_JSON)
def test_any_value_anywhere_in_a_bootstrap_is_taken_or_refused(place: tuple[str | int, ...], value: object) -> None:
    document: Any = copy.deepcopy(_FULL)
    target = document
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = value
    with suppress(ConfigError):
        parse_bootstrap(json.dumps(document))


@given(text=st.text(max_size=60))
def test_any_text_is_a_bootstrap_or_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_bootstrap(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "a: " + "[" * 5_000])
def test_endless_nesting_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_bootstrap(text)


def _cluster_bytes() -> bytes:
    (cluster,) = shop_document()["static_resources"]["clusters"]
    name = "envoy.config.cluster.v3.Cluster"
    return write_wire(name, read_document(message_type(name), cluster, "", []).fields)


def _listener_bytes() -> bytes:
    (listener,) = shop_document()["static_resources"]["listeners"]
    name = "envoy.config.listener.v3.Listener"
    return write_wire(name, read_document(message_type(name), listener, "", []).fields)


def _table_bytes() -> bytes:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "shop"}, "request_headers_to_remove": ["x"]}
    hosts = [{"name": f"h{n}", "domains": [f"h{n}.test"], "routes": [route] * (1 + 20 * n)} for n in range(2)]
    return write_wire("envoy.config.route.v3.RouteConfiguration", {"name": "shop", "virtual_hosts": hosts})


def _extension_bytes() -> bytes:
    name = "envoy.config.core.v3.TypedExtensionConfig"
    return write_wire(name, read_document(message_type(name), {"name": "shop", "typed_config": LIMIT}, "", []).fields)


_NAMING = listener_with({"name": "shop", "config_discovery": discovery()})
"""A listener that takes the filter `shop` by name."""

_BODIES = {
    ResourceType.CLUSTER: _cluster_bytes(),
    ResourceType.LISTENER: _listener_bytes(),
    ResourceType.ROUTE: _table_bytes(),
    ResourceType.EXTENSION: _extension_bytes(),
}


@pytest.mark.parametrize("kind", list(_BODIES))
@given(edits=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=3), cut=st.integers(0, 50))
def test_a_damaged_resource_is_taken_or_refused_by_name(
    kind: ResourceType, edits: list[tuple[int, int]], cut: int
) -> None:
    body = bytearray(_BODIES[kind])
    for at, byte in edits:
        body[at % len(body)] = byte
    resource = Resource("shop", "1", kind.value, bytes(body[: len(body) - cut]))
    tables = RouteTables()
    if kind is ResourceType.ROUTE:
        tables.read("shop", _BODIES[kind], [])
    found = unpack(kind, Changes((resource,), ()), Known(StaticResources((_NAMING,)), ("shop",), 0.0), tables)
    update = found.update
    kinds = (update.clusters, update.listeners, update.tables, update.extensions)
    taken = [name for named in kinds for name in named or ()]
    assert {*taken, *found.refused} == {"shop"}


@given(data=st.binary(max_size=60), delta=st.booleans())
def test_any_bytes_are_a_response_or_refused(data: bytes, delta: bool) -> None:
    with suppress(ConfigError):
        read_response(data, delta=delta)
