"""The envelopes of the xDS transport protocol: requests are scanned, responses are joined from ready-made parts.

Numbers are those of envoy/service/discovery/v3/discovery.proto and envoy/config/core/v3/base.proto. A first
request of Envoy is some 60 KiB, nearly all of it extension names in the Node; they are skipped, not parsed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import field
from enum import Enum

from eventmesh.base.frozen import frozen
from eventmesh.xds.control.bundles import Bundle
from eventmesh.xds.control.protobuf import WireError, delimited, fields, text

MAX_STRUCT_DEPTH = 16
"""Deepest nesting of node metadata that is read; ours is one level deep, Istio's three."""


MAX_METADATA_BYTES = 65_536
"""Of a node, as long as its stream is open. Istio's sidecars send some 8 KiB; Envoy's extension names are not kept."""

MAX_NODE_TEXT_BYTES = 1_024
"""Of the id, the cluster and the user agent of a node: ids of pods are below 200."""


class Role(Enum):
    """What a client is, from `node.metadata.role`; it decides which configuration it sees."""

    GATEWAY = "gateway"
    ENVOY = "envoy"
    """An Envoy that serves as gateway, known by its user agent."""
    ACTIVATOR = "activator"
    SIDECAR = "sidecar"
    GRPC = "grpc"
    """A proxyless gRPC client, known by its user agent."""


@frozen
class Node:
    """Who the client says it is."""

    id: str = ""
    cluster: str = ""
    user_agent: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def role(self) -> Role:
        """Return the role its metadata names; without one, gRPC libraries are `grpc` and all others gateways."""
        is_grpc = self.user_agent.lower().startswith("grpc")
        named = self.metadata.get("role", Role.GRPC.value if is_grpc else Role.GATEWAY.value)
        role = next((role for role in Role if role.value == named), Role.GATEWAY)
        return Role.ENVOY if role is Role.GATEWAY and self.is_envoy else role

    @property
    def is_envoy(self) -> bool:
        """True of Envoy itself, whatever its role."""
        return self.user_agent.lower() == "envoy"


@frozen
class Request:
    """A DiscoveryRequest or DeltaDiscoveryRequest; the fields of the other kind stay empty."""

    type_url: str = ""
    node: Node | None = None
    nonce: str = ""
    error: str | None = None
    """The refusal in the client's words; None when this is no NACK."""
    names: tuple[str, ...] = ()
    """State of the world: every name wanted."""
    version: str = ""
    """State of the world: the last accepted version."""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)


def read_sotw_request(data: bytes) -> Request:
    """Return the DiscoveryRequest in `data`; raises WireError when it is none."""
    version = type_url = nonce = ""
    node: Node | None = None
    error: str | None = None
    names: list[str] = []
    for number, value in fields(memoryview(data)):
        match number:
            case 1:
                version = _text(value)
            case 2:
                node = _node(value)
            case 3:
                names.append(_text(value))
            case 4:
                type_url = _text(value)
            case 5:
                nonce = _text(value)
            case 6:
                error = _status(value)
    return Request(type_url, node, nonce, error, names=tuple(names), version=version)


def read_delta_request(data: bytes) -> Request:
    """Return the DeltaDiscoveryRequest in `data`; raises WireError when it is none."""
    type_url = nonce = ""
    node: Node | None = None
    error: str | None = None
    subscribe: list[str] = []
    unsubscribe: list[str] = []
    initial: dict[str, str] = {}
    for number, value in fields(memoryview(data)):
        match number:
            case 1:
                node = _node(value)
            case 2:
                type_url = _text(value)
            case 3:
                subscribe.append(_text(value))
            case 4:
                unsubscribe.append(_text(value))
            case 5:
                entry = {n: v for n, v in fields(_bytes(value))}
                initial[_text(entry.get(1, memoryview(b"")))] = _text(entry.get(2, memoryview(b"")))
            case 6:
                nonce = _text(value)
            case 7:
                error = _status(value)
    return Request(
        type_url,
        node,
        nonce,
        error,
        subscribe=tuple(subscribe),
        unsubscribe=tuple(unsubscribe),
        initial_versions=initial,
    )


def sotw_response(type_url: str, version: str, nonce: str, bundle: Bundle, identifier: str) -> tuple[bytes, ...]:
    """Return a DiscoveryResponse in parts; `identifier` names this replica of control."""
    tail = text(4, type_url) + text(5, nonce) + delimited(6, text(1, identifier))
    return text(1, version), bundle.sotw_fields, tail


def delta_response(type_url: str, version: str, nonce: str, bundle: Bundle, identifier: str) -> tuple[bytes, ...]:
    """Return a DeltaDiscoveryResponse in parts; `identifier` names this replica of control."""
    tail = text(4, type_url) + text(5, nonce) + delimited(7, text(1, identifier))
    return text(1, version), bundle.delta_fields, tail


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise WireError("a number stands where a string or message is due")
    return value


def _text(value: int | memoryview) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"a string is not UTF-8: {error}") from error


def _status(value: int | memoryview) -> str:
    message = ""
    for number, inner in fields(_bytes(value)):
        if number == 2:
            message = _text(inner)
    return message or "refused without a reason"


def _node(value: int | memoryview) -> Node:
    node_id = cluster = agent = ""
    metadata: Mapping[str, object] = {}
    for number, inner in fields(_bytes(value)):
        match number:
            case 1:
                node_id = _text(_bounded(inner, "id", MAX_NODE_TEXT_BYTES))
            case 2:
                cluster = _text(_bounded(inner, "cluster", MAX_NODE_TEXT_BYTES))
            case 3:
                metadata = _struct(_bounded(inner, "metadata", MAX_METADATA_BYTES), 0)
            case 6:
                agent = _text(_bounded(inner, "user_agent_name", MAX_NODE_TEXT_BYTES))
    return Node(node_id, cluster, agent, metadata)


def _bounded(value: int | memoryview, field_name: str, limit: int) -> memoryview:
    data = _bytes(value)
    if len(data) > limit:
        raise WireError(f"node.{field_name} has {len(data)} bytes; at most {limit} are taken")
    return data


def _struct(data: memoryview, depth: int) -> dict[str, object]:
    if depth > MAX_STRUCT_DEPTH:
        raise WireError(f"node metadata is nested deeper than {MAX_STRUCT_DEPTH} levels")
    entries: dict[str, object] = {}
    for number, entry in fields(data):
        if number == 1:
            parts = dict(fields(_bytes(entry)))
            entries[_text(parts.get(1, memoryview(b"")))] = _value(_bytes(parts.get(2, memoryview(b""))), depth)
    return entries


def _value(data: memoryview, depth: int) -> object:
    for number, value in fields(data):
        match number:
            case 2 if len(raw := _bytes(value)) == 8:
                number_value: float = struct.unpack("<d", raw)[0]
                return number_value
            case 3:
                return _text(value)
            case 4:
                return bool(value)
            case 5:
                return _struct(_bytes(value), depth + 1)
            case 6:
                return [_value(_bytes(item), depth + 1) for n, item in fields(_bytes(value)) if n == 1]
    return None
