"""Encoded resources with content-hash versions, and the sets of them that one kind of client sees.

Bytes are made once per resource and shared by every stream; the version is a hash of the bytes, so that two
replicas of control agree and a reconnecting client is sent nothing it already has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import betterproto2

from eventmesh.xds.control.encoding import encode
from eventmesh.xds.control.protobuf import delimited, text
from eventmesh.xds.resource_types import ResourceType

_VERSION_BYTES = 8
"""64 bits of BLAKE2b: a collision between two versions of one resource is out of reach, and the text stays short."""


@dataclass(frozen=True)
class Resource:
    """One named resource, encoded. Two resources are equal when type, name and version are."""

    type: ResourceType
    name: str
    version: str
    body: bytes = field(repr=False, compare=False)

    @cached_property
    def sotw_field(self) -> bytes:
        """The entry of `DiscoveryResponse.resources` (field 2, an Any)."""
        return delimited(2, _any(self.type.value, self.body))

    @cached_property
    def delta_field(self) -> bytes:
        """The entry of `DeltaDiscoveryResponse.resources` (field 2, a `Resource` with name, version and Any)."""
        inner = text(1, self.version) + delimited(2, _any(self.type.value, self.body)) + text(3, self.name)
        return delimited(2, inner)


def _any(type_url: str, value: bytes) -> bytes:
    return text(1, type_url) + (delimited(2, value) if value else b"")


def from_bytes(type_: ResourceType, name: str, body: bytes) -> Resource:
    """Return the resource `name` with a version that is the hash of `body`."""
    return Resource(type_, name, hashlib.blake2b(body, digest_size=_VERSION_BYTES).hexdigest(), body)


def from_message(type_: ResourceType, name: str, message: betterproto2.Message) -> Resource:
    """Encode `message` as the resource `name`."""
    return from_bytes(type_, name, encode(message))


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything one kind of client may be told, at one moment. Never changed: a new one takes its place."""

    generation: int = 0
    """Rises with every change of anything; what was ACKed at a generation contains all that led to it."""
    resources: Mapping[ResourceType, Mapping[str, Resource]] = field(default_factory=dict)

    def of(self, type_: ResourceType) -> Mapping[str, Resource]:
        """Return the resources of one type by name."""
        return self.resources.get(type_, {})


def index(resources: Iterable[Resource]) -> dict[ResourceType, dict[str, Resource]]:
    """Return `resources` by type and name; raises ValueError when a name appears twice in a type."""
    by_type: dict[ResourceType, dict[str, Resource]] = {type_: {} for type_ in ResourceType}
    for resource in resources:
        if resource.name in by_type[resource.type]:
            raise ValueError(f"{resource.type.short} resource {resource.name!r} appears twice")
        by_type[resource.type][resource.name] = resource
    return by_type


def set_version(resources: Iterable[Resource]) -> str:
    """Return the version of a set: a hash over names and versions in name order."""
    digest = hashlib.blake2b(digest_size=_VERSION_BYTES)
    for resource in sorted(resources, key=lambda r: r.name):
        digest.update(f"{resource.name}\0{resource.version}\0".encode())
    return digest.hexdigest()
