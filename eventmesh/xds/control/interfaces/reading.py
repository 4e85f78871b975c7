"""Reads ServiceInterface and ProtocolDeclaration objects, and says of each wrong field what is wrong with it. Pure."""

from __future__ import annotations

import re

from eventmesh.base.errors import ConfigError
from eventmesh.kube.admission import FieldError
from eventmesh.kube.api import Object
from eventmesh.kube.objects import key_of
from eventmesh.kube.rpc_methods import read_methods
from eventmesh.protocols.declaration import declared
from eventmesh.xds.control.field_reader import FieldReader
from eventmesh.xds.control.interfaces.values import Interface, ProtocolDeclaration, ServiceInterface

MAX_INTERFACES = 256
"""Interfaces of one ServiceInterface. A provider of more is several objects; each one is a route in every sidecar."""

RESERVED_PORTS = frozenset((8012, 8013, 8022, 9090, 12200, 12220, 15001, 20882))
"""What a sidecar itself listens on (`sidecar.inbound`, `sidecar.outbound`)."""

RESERVED_NAMES = frozenset(
    ("bolt", "dubbo", "tri", "http", "http1", "http2", "h2c", "grpc", "https", "tls", "tcp", "ws")
)
"""Protocols that have a meaning of their own as `appProtocol`."""

_NAME = re.compile(r"[A-Za-z0-9_$.-]{1,255}")
"""A Java type name, and what else protocols call services: it becomes a domain of a virtual host."""
_WORD = re.compile(r"[!-9;-~]{1,64}")
"""A group or version: one word, without the colon that separates them in SOFARPC's names."""


_SPEC = frozenset(("targetRef", "interfaces"))
_TARGET = frozenset(("group", "kind", "name", "sectionName"))
_INTERFACE = frozenset(("name", "group", "version", "methods"))


def read_service_interface(obj: Object) -> tuple[ServiceInterface | None, list[FieldError]]:
    """Return what `obj` says, and everything that is wrong with it; one with errors is None."""
    reader = FieldReader()
    spec = reader.members(obj.get("spec"), "spec", _SPEC)
    target = reader.members(spec.get("targetRef"), "spec.targetRef", _TARGET)
    if (target.get("group", ""), target.get("kind")) != ("", "Service"):
        reader.wrong("spec.targetRef", "is not for a Service of the core group; interfaces are those of a Service")
    service = reader.text(target, "name", "spec.targetRef", _NAME, needed=True)
    port = reader.text(target, "sectionName", "spec.targetRef", _NAME, needed=False)
    listed = spec.get("interfaces")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_INTERFACES:
        reader.wrong("spec.interfaces", f"expected 1 to {MAX_INTERFACES} interfaces")
        listed = []
    interfaces = [_interface(reader, item, f"spec.interfaces[{at}]") for at, item in enumerate(listed)]
    for at, interface in enumerate(interfaces):
        if interface in interfaces[:at]:
            reader.wrong(f"spec.interfaces[{at}]", f"{interface} is given twice")
    if reader.errors:
        return None, reader.errors
    created = obj["metadata"].get("creationTimestamp") or ""
    return ServiceInterface(key_of(obj), created, service, port, tuple(interfaces)), []


def _interface(reader: FieldReader, item: object, path: str) -> Interface:
    found = reader.members(item, path, _INTERFACE)
    return Interface(
        reader.text(found, "name", path, _NAME, needed=True),
        reader.text(found, "group", path, _WORD, needed=False),
        reader.text(found, "version", path, _WORD, needed=False),
        read_methods(found.get("methods"), f"{path}.methods", reader.wrong),
    )


def parse_interfaces(text: str) -> tuple[Interface, ...]:
    """Return the interfaces that a Service's annotation names: `interface[:version[:uniqueId]]`, by commas.

    A name that is none is passed over: nobody could call it.
    """
    found = set()
    for name in (word.strip() for word in text.split(",")):
        interface, _, rest = name.partition(":")
        version, _, group = rest.partition(":")
        if _NAME.fullmatch(interface):
            found.add(Interface(interface, group, version))
    return tuple(sorted(found))


_DECLARATION = frozenset(("clientPort", "declaration"))


def read_protocol_declaration(obj: Object) -> tuple[ProtocolDeclaration | None, list[FieldError]]:
    """Return what `obj` says, and everything that is wrong with it; one with errors is None."""
    reader = FieldReader()
    key = key_of(obj)
    spec = reader.members(obj.get("spec"), "spec", _DECLARATION)
    if key.name in RESERVED_NAMES:
        reader.wrong("metadata.name", f"{key.name!r} is a protocol already; choose another name")
    port = spec.get("clientPort")
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
        reader.wrong("spec.clientPort", f"{port!r} is no port: where sidecars take callers, 1 to 65535")
        port = 0
    elif port in RESERVED_PORTS:
        reader.wrong("spec.clientPort", f"{port} is a port of the sidecar itself; choose another")
    members = spec.get("declaration")
    if not isinstance(members, dict):
        reader.wrong("spec.declaration", "expected an object")
        return None, reader.errors
    if members.get("name", key.name) != key.name:
        reader.wrong("spec.declaration.name", f"{members['name']!r} is not the name of the object, {key.name!r}")
    try:
        made = declared({**members, "name": key.name}, "spec.declaration")
    except ConfigError as error:
        reader.wrong("spec.declaration", str(error).removeprefix("spec.declaration: "))
        return None, reader.errors
    if reader.errors:
        return None, reader.errors
    return ProtocolDeclaration(key, obj["metadata"].get("creationTimestamp") or "", port, made), []
