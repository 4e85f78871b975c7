"""The envelopes of xDS as a client sees them: requests are written, responses are read down to raw resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from eventmesh import __version__
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.xds.bootstrap import Node
from eventmesh.xds.resource_types import BY_URL, ResourceType
from eventmesh.xds.schema.encode import write_wire
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import message_type
from eventmesh.xds.schema.wire import read_text_field, read_wire

_SERVICE = "envoy.service.discovery.v3"

INVALID_ARGUMENT = 3
"""google.rpc.Code of a refusal, the one that Envoy uses too."""

MAX_ERROR_CHARS = 4096
"""Longest refusal: what fits into a Kubernetes condition beside others, and no request grows without bound."""


@frozen
class Request:
    """What the client says next about one type; the fields of the other variant stay empty."""

    type: ResourceType
    nonce: str = ""
    """Of the response this answers; empty: spontaneous."""
    error: str = ""
    """Why that response was refused; empty: it was not."""
    names: tuple[str, ...] = ()
    """State of the world: everything wanted."""
    version: str = ""
    """State of the world: the last accepted version."""
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    """First request of a stream: what the client still holds."""


@frozen
class Resource:
    """One resource, not yet unpacked; in a state-of-the-world response its version is that of the response."""

    name: str
    version: str
    type_url: str
    value: bytes


@frozen
class Response:
    """What the server said about one type."""

    type: ResourceType
    nonce: str
    version: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()
    """Delta: names that no longer exist, or never did."""


def node_fields(node: Node) -> dict[str, object]:
    """Return the `core.Node` that introduces this process."""
    place = {"region": node.locality.region, "zone": node.locality.zone, "sub_zone": node.locality.sub_zone}
    fields: dict[str, object] = {
        "id": node.id,
        "cluster": node.cluster,
        "user_agent_name": "eventmesh",
        "user_agent_version": __version__,
    }
    if node.metadata:
        fields["metadata"] = dict(node.metadata)
    if any(place.values()):
        fields["locality"] = place
    return fields


def write_request(request: Request, node: Mapping[str, object] | None, *, delta: bool) -> bytes:
    """Return the bytes of a DiscoveryRequest, or of a DeltaDiscoveryRequest when `delta`."""
    fields: dict[str, object] = {"type_url": request.type.value, "response_nonce": request.nonce}
    if node is not None:
        fields["node"] = node
    if request.error:
        fields["error_detail"] = {"code": INVALID_ARGUMENT, "message": request.error[:MAX_ERROR_CHARS]}
    if not delta:
        fields |= {"version_info": request.version, "resource_names": request.names}
        return write_wire(f"{_SERVICE}.DiscoveryRequest", fields)
    fields |= {
        "resource_names_subscribe": request.subscribe,
        "resource_names_unsubscribe": request.unsubscribe,
        "initial_resource_versions": request.initial_versions,
    }
    return write_wire(f"{_SERVICE}.DeltaDiscoveryRequest", fields)


def read_response(data: bytes, *, delta: bool) -> Response | None:
    """Return the response in `data`; None when it is about a type that no client here asks for.

    Raises ConfigError when it is no discovery response: the stream is beyond use.
    """
    name = f"{_SERVICE}.{'DeltaDiscoveryResponse' if delta else 'DiscoveryResponse'}"
    message = read_wire(message_type(name), data, "response", [])
    resource_type = BY_URL.get(message.text("type_url"))
    if resource_type is None:
        return None
    version = message.text("system_version_info" if delta else "version_info")
    unpack = _delta_resource if delta else _sotw_resource
    return Response(
        type=resource_type,
        nonce=message.text("nonce"),
        version=version,
        resources=tuple(unpack(item, version) for item in message.children("resources")),
        removed=message.texts("removed_resources") if delta else (),
    )


def _delta_resource(item: Message, _: str) -> Resource:
    packed = item.child("resource")
    if packed is None or not item.text("name"):
        raise ConfigError(item.path, "a resource without name or body")
    return Resource(item.text("name"), item.text("version"), packed.text("type_url"), packed.raw("value"))


def _sotw_resource(packed: Message, version: str) -> Resource:
    # Listener, Cluster, RouteConfiguration and ClusterLoadAssignment all have their name in field 1.
    value = packed.raw("value")
    return Resource(read_text_field(value, 1), version, packed.text("type_url"), value)
