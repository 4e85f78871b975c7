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

from eventmesh.base.frozen import frozen
from eventmesh.xds.control.encoding import encode
from eventmesh.xds.control.protobuf import BYTES, tag, text, varint
from eventmesh.xds.resource_types import ResourceType

_VERSION_BYTES = 8
"""64 bits of BLAKE2b: a collision between two versions of one resource is out of reach, and the text stays short."""


@dataclass(frozen=True)
class Resource:
    """One named resource, encoded. Two resources are equal when type, name and version are."""

    type: ResourceType
    name: str
    version: str
    pieces: tuple[bytes, ...] = field(repr=False, compare=False)
    """What its encoded form is joined from; a large one is joined when somebody is to be sent it."""

    @property
    def body(self) -> bytes:
        """Return its encoded form."""
        return b"".join(self.pieces)

    @cached_property
    def sotw_field(self) -> bytes:
        """The entry of `DiscoveryResponse.resources` (field 2, an Any)."""
        return b"".join(_delimited(2, self._any()))

    @cached_property
    def delta_field(self) -> bytes:
        """The entry of `DeltaDiscoveryResponse.resources` (field 2, a `Resource` with name, version and Any)."""
        what = () if self.is_absent else _delimited(2, self._any())
        # Who asks for a virtual host does so by an alias, and waits for an answer to that, even if there is none.
        alias = text(4, self.name) if self.type is ResourceType.VIRTUAL_HOST else b""
        return b"".join(_delimited(2, (text(1, self.version), *what, text(3, self.name), alias)))

    @property
    def is_absent(self) -> bool:
        """True of what says that there is no such virtual host."""
        return not self.version

    def _any(self) -> tuple[bytes, ...]:
        return (text(1, self.type.value), *(_delimited(2, self.pieces) if any(self.pieces) else ()))


def _delimited(number: int, pieces: Iterable[bytes]) -> tuple[bytes, ...]:
    pieces = tuple(pieces)
    return (tag(number, BYTES) + varint(sum(map(len, pieces))), *pieces)


@frozen
class Part:
    """Some encoded fields of a message, and a hash of them: messages concatenate, and so do hashes of parts."""

    fields: bytes
    digest: bytes


def part(fields: bytes) -> Part:
    """Return encoded fields with their hash."""
    return Part(fields, hashlib.blake2b(fields, digest_size=_VERSION_BYTES).digest())


def from_bytes(type_: ResourceType, name: str, body: bytes) -> Resource:
    """Return the resource `name` with a version that is the hash of `body`."""
    return Resource(type_, name, part(body).digest.hex(), (body,))


def together(parts: Iterable[Part]) -> Part:
    """Return `parts` as one, whose hash is that of theirs: bytes that have not changed are not hashed again."""
    parts = tuple(parts)
    return Part(b"".join(one.fields for one in parts), part(b"".join(one.digest for one in parts)).digest)


def absent_host(name: str) -> Resource:
    """Return the answer to whoever asks for a virtual host that there is not: a resource without a version, and
    without a virtual host (envoyproxy/envoy docs/root/api-docs/xds_protocol.rst, "On demand")."""
    return Resource(ResourceType.VIRTUAL_HOST, name, "", ())


def from_parts(type_: ResourceType, name: str, parts: Iterable[Part]) -> Resource:
    """Return the resource `name` with a version that is the hash of its parts' hashes; it is joined when it is sent."""
    parts = tuple(parts)
    version = part(b"".join(one.digest for one in parts)).digest.hex()
    return Resource(type_, name, version, tuple(one.fields for one in parts))


def from_message(type_: ResourceType, name: str, message: betterproto2.Message) -> Resource:
    """Encode `message` as the resource `name`."""
    return from_bytes(type_, name, encode(message))


@frozen
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
