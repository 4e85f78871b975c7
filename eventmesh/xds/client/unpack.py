"""Raw resources of one response into what `Known` takes; each resource has its own verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TypeVar

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.xds.client.known import Known, Update
from eventmesh.xds.client.messages import Resource
from eventmesh.xds.client.subscription import Changes
from eventmesh.xds.resource_types import ResourceType
from eventmesh.xds.schema.tree import Message
from eventmesh.xds.schema.types import type_of_url
from eventmesh.xds.schema.wire import read_wire
from eventmesh.xds.translate.cluster import read_assignment, read_cluster
from eventmesh.xds.translate.listener import read_listener
from eventmesh.xds.translate.route_tables import RouteTables

T = TypeVar("T")


@frozen
class Unpacked:
    """A response, translated: what to take in, why some of it is refused, and what to tell an operator."""

    update: Update
    refused: dict[str, str]
    warnings: list[str] = field(default_factory=list)


def unpack(resource_type: ResourceType, changes: Changes, known: Known, tables: RouteTables) -> Unpacked:
    """Translate every resource of `changes`; one that cannot be carried out is refused and harms no other."""
    refused: dict[str, str] = {}
    warnings: list[str] = []

    def each_raw(read: Callable[[Resource], T]) -> dict[str, T]:
        taken = {}
        for resource in changes.resources:
            try:
                _check_type(resource_type, resource)
                taken[resource.name] = read(resource)
            except ConfigError as error:
                refused[resource.name] = str(error)
        return taken

    def each(read: Callable[[Message], T]) -> dict[str, T]:
        return each_raw(lambda resource: read(_message(resource_type, resource, warnings)))

    match resource_type:
        case ResourceType.LISTENER:
            _refuse_static(changes, known.is_static_listener, refused)
            found = {
                name: item
                for name, item in each(lambda message: read_listener(message, warnings, known.collector)).items()
                if not known.is_static_listener(name)
            }
            update = Update(listeners=found, removed_listeners=changes.removed)
        case ResourceType.CLUSTER:
            _refuse_static(changes, known.is_static_cluster, refused)
            clusters = each(lambda message: read_cluster(message, warnings))
            kept = {name: item for name, item in clusters.items() if not known.is_static_cluster(name)}
            update = Update(clusters=kept, removed_clusters=changes.removed)
        case ResourceType.ROUTE:
            # As in Envoy the removal of a table says nothing: what a listener names stays until it is replaced.
            update = Update(tables=each_raw(lambda one: tables.read(one.name, one.value, warnings)))
            tables.forget_all_but(known.wanted_tables())
        case ResourceType.ENDPOINT:
            assignments = each(lambda message: read_assignment(message, dns=True))
            update = Update(assignments=assignments, absent_assignments=changes.removed)
        case ResourceType.SECRET:
            from eventmesh.xds.translate.tls import read_secret

            # As in Envoy a removal says nothing: who names the secret keeps what it has.
            update = Update(secrets=each(read_secret))
        case ResourceType.EXTENSION:
            from eventmesh.xds.translate.discovered_filters import ABSENT, read_extension

            kinds = known.kinds_accepted
            found_filters = each(lambda message: read_extension(message, kinds(message.text("name"))))
            update = Update(extensions=found_filters | dict.fromkeys(changes.removed, ABSENT))
    return Unpacked(update, refused, warnings)


def _refuse_static(changes: Changes, is_static: Callable[[str], bool], refused: dict[str, str]) -> None:
    for resource in changes.resources:
        if is_static(resource.name):
            refused[resource.name] = "the bootstrap holds one of this name, which a server cannot replace"


def _check_type(resource_type: ResourceType, resource: Resource) -> None:
    if resource.type_url != resource_type.value:
        raise ConfigError("", f"is a {resource.type_url!r} in a response of {resource_type.value!r}")


def _message(resource_type: ResourceType, resource: Resource, warnings: list[str]) -> Message:
    found: list[str] = []
    message = read_wire(type_of_url(resource.type_url), resource.value, "", found)
    warnings.extend(f"{resource.name}: {warning}" for warning in found)
    named = message.text("cluster_name" if resource_type is ResourceType.ENDPOINT else "name")
    if named != resource.name:
        raise ConfigError("name", f"is {named!r}, but the resource is called {resource.name!r}")
    return message
