"""What all sources have in common: the sink they send to, followed as it comes, moves and goes."""

from __future__ import annotations

from eventmesh.controllers.eventing.destinations import Destinations, Unresolved, references
from eventmesh.kube.api import Object
from eventmesh.kube.informer import Informer
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.status import Conditions


def resolve_sink(destinations: Destinations, source: Object, conditions: Conditions) -> Object:
    """Mark `SinkProvided`; return the part of the status that holds the address."""
    url = destinations.resolve(source["spec"]["sink"])
    if isinstance(url, Unresolved):
        conditions.mark_false("SinkProvided", url.reason, url.message)
        return {}
    conditions.mark_true("SinkProvided")
    return {"sinkUri": url} | destinations.shown("sink", source["spec"]["sink"])


def watch_sinks(controller: Controller, sources: Informer, destinations: Destinations) -> None:
    """Have each source reconciled whenever the object that its sink refers to changes."""
    destinations.follow(controller, sources, lambda source: [references((source.get("spec") or {}).get("sink"))])
