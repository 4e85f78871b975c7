"""What is offered by interface, and the protocols that are declared, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventmesh.base.frozen import frozen
from eventmesh.kube.objects import Key
from eventmesh.model.listener import Declaration
from eventmesh.model.rpc import BOLT_VERSION, Signature


@dataclass(frozen=True, slots=True, order=True)
class Interface:
    """An interface that callers name. A group or version that is not said is any."""

    name: str
    group: str = ""
    """Dubbo's group; SOFARPC's uniqueId."""
    version: str = ""
    methods: Mapping[str, Signature] = field(default_factory=dict, compare=False)
    """Those that are called by a declared signature. Routes know nothing of methods."""

    def __str__(self) -> str:
        """Return it as a person reads it."""
        said = (("group", self.group), ("version", self.version))
        return " ".join([self.name, *(f"{word} {value}" for word, value in said if value)])

    def unique_names(self) -> tuple[str, ...]:
        """Return the names by which SOFARPC calls it: `interface:version[:uniqueId]`."""
        if not self.version:
            plain = f"{self.name}:{BOLT_VERSION}"
            return (f"{plain}:{self.group}",) if self.group else (plain, self.name)
        return (":".join(filter(None, (self.name, self.version, self.group))),)


@frozen
class ServiceInterface:
    """The interfaces that a Service of the same namespace offers."""

    key: Key
    created: str
    service: str
    port: str
    """Name of the Service's port; empty: of each protocol its first one."""
    interfaces: tuple[Interface, ...]


@frozen
class ProtocolDeclaration:
    """A protocol of its owner's own, and where a pod's sidecar takes its callers."""

    key: Key
    created: str
    client_port: int
    declaration: Declaration
