"""Declared protocols: which of them are in force, and the listeners that make a sidecar speak them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache

from eventmesh.kube.objects import Key
from eventmesh.xds.control.interfaces.offers import declared_table
from eventmesh.xds.control.interfaces.values import ProtocolDeclaration
from eventmesh.xds.control.resources import Resource, from_bytes
from eventmesh.xds.control.scope import FRAMED_PROXY
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.document import read_document
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.types import message_type

_LISTENER = "envoy.config.listener.v3.Listener"

_FILTER_TYPE = "type.googleapis.com/eventmesh.extensions.filters.network.framed_proxy.v3.FramedProxy"

MAX_DECLARATIONS = 64
"""Declarations in force. Each is a listening socket in every pod, and the engine has numbers for four times as many
(`MAX_DECLARED_PROTOCOLS`): one that was declared otherwise before is spoken until its last caller has gone."""


def in_force(declarations: Iterable[ProtocolDeclaration]) -> dict[str, ProtocolDeclaration]:
    """Return the declarations that hold, by name: the oldest has a port, and there are so many at most."""
    found: dict[str, ProtocolDeclaration] = {}
    ports: set[int] = set()
    for one in sorted(declarations, key=_age):
        if one.client_port not in ports and len(found) < MAX_DECLARATIONS:
            ports.add(one.client_port)
            found[one.key.name] = one
    return found


def refused(one: ProtocolDeclaration, declarations: Mapping[Key, ProtocolDeclaration]) -> tuple[str, str] | None:
    """Return (reason, message) why `one` of these is not in force; None when it is."""
    holding = in_force(declarations.values())
    if one.key.name in holding:
        return None
    same = [other.key.name for other in holding.values() if other.client_port == one.client_port]
    if same:
        return "Conflicted", f"spec.clientPort: {one.client_port} is that of the older declaration {same[0]}"
    return "TooMany", f"there are {MAX_DECLARATIONS} older declarations, which is the limit"


def _age(one: ProtocolDeclaration) -> tuple[str, Key]:
    return one.created, one.key


class Declarations:
    """What sidecars are told of the declarations in force."""

    def __init__(self, declarations: Iterable[ProtocolDeclaration] = ()) -> None:
        found = in_force(declarations)
        self.tables = tuple(declared_table(name) for name in sorted(found))
        """Their route tables."""
        listeners = (_listener(one) for one in found.values())
        self._listeners = {listener.name: listener for listener in listeners}

    def listeners(self, extensions: frozenset[str]) -> Mapping[str, Resource]:
        """Return the listeners that a node with these extensions is sent, by name."""
        return self._listeners if FRAMED_PROXY in extensions else {}


@cache
def _listener(one: ProtocolDeclaration) -> Resource:
    name = f"outbound-{one.key.name}"
    proxy = {
        "@type": _FILTER_TYPE,
        "stat_prefix": one.key.name,
        "rds": {
            "config_source": {"ads": {}, "resource_api_version": "V3"},
            "route_config_name": declared_table(one.key.name),
        },
        "declaration": json.loads(one.declaration.text),
    }
    document = {
        "name": name,
        # The address that a function dials; its sidecar knows in which network.
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": one.client_port}},
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [{"name": FRAMED_PROXY, "typed_config": proxy}]}],
    }
    fields = read_document(message_type(_LISTENER), document, "", []).fields
    return from_bytes(ResourceType.LISTENER, name, write_wire(_LISTENER, fields))
