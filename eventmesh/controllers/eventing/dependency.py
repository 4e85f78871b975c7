"""The object that a Trigger waits for, by `knative.dev/dependency`: most often the source that its events come from.

As Knative's it holds up the condition Ready, and no event (knative/eventing: pkg/reconciler/broker/trigger/trigger.go).
"""

from __future__ import annotations

import json

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.controllers.eventing.names import DEPENDENCY_ANNOTATION
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.informer import Informer, Informers
from eventmesh.kube.objects import Key, annotations_of, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import (
    API_SERVER_SOURCE,
    BROKER,
    CHANNEL,
    CONTAINER_SOURCE,
    IN_MEMORY_CHANNEL,
    JOB_SINK,
    KAFKA_SINK,
    KAFKA_SOURCE,
    KSERVICE,
    OF_KAFKA,
    PARALLEL,
    PING_SOURCE,
    SEQUENCE,
    SINK_BINDING,
)
from eventmesh.kube.status import FALSE, TRUE, Conditions, condition

KINDS = (
    *(PING_SOURCE, API_SERVER_SOURCE, CONTAINER_SOURCE, SINK_BINDING, KAFKA_SOURCE),
    *(KSERVICE, BROKER, CHANNEL, IN_MEMORY_CHANNEL, SEQUENCE, PARALLEL, JOB_SINK, KAFKA_SINK),
)
"""What a Trigger may depend on: what has a condition Ready and is watched here."""

_PATH = f"metadata.annotations[{DEPENDENCY_ANNOTATION}]"
_KIND = "DependencyReady"
_NAMED_BY = ("apiVersion", "kind", "name")


@frozen
class Dependency:
    """Which object it is."""

    resource: Resource
    key: Key


def dependency_of(trigger: Object) -> Dependency | None:
    """Return what the annotation of a Trigger names; raises ConfigError when that cannot be waited for."""
    text = annotations_of(trigger).get(DEPENDENCY_ANNOTATION)
    if text is None:
        return None
    try:
        reference = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(_PATH, f"is not a JSON object: {error}") from error
    if not isinstance(reference, dict):
        raise ConfigError(_PATH, f"is not a JSON object with {', '.join(_NAMED_BY)}")
    absent = [field for field in _NAMED_BY if not (reference.get(field) and isinstance(reference[field], str))]
    if absent:
        raise ConfigError(_PATH, f"lacks {', '.join(absent)}")
    namespace = trigger["metadata"].get("namespace", "")
    # An ObjectReference that was written out whole has an empty one.
    if (reference.get("namespace") or namespace) != namespace:
        raise ConfigError(_PATH, f"names the namespace {reference['namespace']!r}, and not that of the Trigger")
    wanted = (reference["apiVersion"], reference["kind"])
    resource = next((kind for kind in KINDS if (kind.api_version, kind.kind) == wanted), None)
    if resource is None:
        known = ", ".join(kind.kind for kind in KINDS)
        raise ConfigError(_PATH, f"{wanted[1]} of {wanted[0]} cannot be waited for; known are {known}")
    return Dependency(resource, Key(namespace, reference["name"]))


class Dependencies:
    """Marks `DependencyReady` from the caches of all kinds that may be depended on."""

    def __init__(self, informers: Informers) -> None:
        self._informers: dict[Resource, Informer] = {
            kind: informers.of(kind, may_be_absent=kind in OF_KAFKA) for kind in KINDS
        }

    def follow(self, controller: Controller, triggers: Informer) -> None:
        """Have a Trigger reconciled whenever what it waits for changes."""

        def waiting(changed: Object) -> list[Key]:
            key = key_of(changed)
            return [key_of(trigger) for trigger in triggers.list(key.namespace) if _waits_for(trigger, key)]

        for informer in self._informers.values():
            controller.watch(informer, waiting)

    def mark(self, trigger: Object, conditions: Conditions) -> None:
        """Mark the condition as the state of the object is; True where nothing is waited for."""
        try:
            dependency = dependency_of(trigger)
        except ConfigError as error:
            # Admission refuses it; this tells of one that was stored before the rule was there.
            conditions.mark_false(_KIND, "DependencyInvalid", str(error))
            return
        if dependency is None:
            conditions.mark_true(_KIND)
            return
        key, kind = dependency.key, dependency.resource.kind
        found = self._informers[dependency.resource].get(key.name, key.namespace)
        if found is None:
            conditions.mark_false(_KIND, "DependencyDoesNotExist", f"{kind} {key} does not exist")
            return
        ready = condition(found, "Ready")
        is_current = (found.get("status") or {}).get("observedGeneration") == found["metadata"].get("generation")
        if ready is None or not is_current:
            conditions.mark_unknown(_KIND, "DependencyNotReconciled", f"{kind} {key} does not say yet how it is")
        elif ready["status"] == TRUE:
            conditions.mark_true(_KIND)
        elif ready["status"] == FALSE:
            conditions.mark_false(_KIND, ready.get("reason") or "DependencyFailed", ready.get("message", ""))
        else:
            conditions.mark_unknown(_KIND, ready.get("reason", ""), ready.get("message", ""))


def _waits_for(trigger: Object, key: Key) -> bool:
    try:
        dependency = dependency_of(trigger)
    except ConfigError:
        return False
    return dependency is not None and dependency.key == key
