"""EventTypes: a catalogue of what can be had here. All there is to know of an entry is whether its reference exists."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.kube.api import Api, ApiError, Object, Resource
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.references import parse_resource
from eventmesh.kube.resources import EVENT_TYPE
from eventmesh.kube.schema_checks import schema_check_of
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("ReferenceExists",))

LOOK_AGAIN_S = 10.0
"""Wait before a reference to a kind that is not watched here is looked up again."""


class EventTypes:
    """The controller of EventTypes."""

    def __init__(
        self, api: Api, informers: Informers, destinations: Destinations, clock: Clock, recorder: EventRecorder
    ) -> None:
        self._api = api
        self._clock = clock
        self._types = informers.of(EVENT_TYPE)
        self._watched = destinations.informers
        self.controller = Controller("eventtype", self._types, self.reconcile, clock, recorder=recorder)
        for informer in self._watched.values():
            self.controller.watch(informer, self._who_refers_to)

    def _who_refers_to(self, obj: Object) -> list[Key]:
        key = key_of(obj)
        return [key_of(entry) for entry in self._types if _reference_of(entry) == key]

    async def reconcile(self, key: Key) -> None:
        """Write the condition."""
        entry = self._types.get(key.name, key.namespace)
        if entry is None or is_deleting(entry):
            return
        conditions = Conditions(CONDITIONS, conditions_of(entry), self._clock.now())
        reference = entry["spec"].get("reference")
        if not reference:
            conditions.mark_true("ReferenceExists", "ReferenceNotSet", "spec.reference is not set")
        else:
            await self._look_up(key, reference, conditions)
        _tell_check(entry, conditions)
        await write_status(self._api, EVENT_TYPE, entry, {"conditions": conditions.result()})

    async def _look_up(self, key: Key, reference: Object, conditions: Conditions) -> None:
        name, namespace = reference.get("name") or "", reference.get("namespace") or key.namespace
        try:
            resource = parse_resource(reference, "spec.reference")
            exists = await self._exists(resource, name, namespace)
        except ConfigError as error:
            conditions.mark_false("ReferenceExists", "ReferenceInvalid", str(error))
            return
        if exists:
            conditions.mark_true("ReferenceExists")
        else:
            problem = "Resource in spec.reference does not exist"
            conditions.mark_false("ReferenceExists", "ResourceDoesNotExist", problem)
        if resource not in self._watched:
            self.controller.enqueue_after(key, LOOK_AGAIN_S)

    async def _exists(self, resource: Resource, name: str, namespace: str) -> bool:
        if resource in self._watched:
            return self._watched[resource].get(name, namespace) is not None
        try:
            await self._api.get(resource, name, namespace)
        except ApiError as error:
            if error.code != 404:
                raise
            return False
        return True


def _tell_check(entry: Object, conditions: Conditions) -> None:
    """Say whether events are held against the schema; nothing where nobody asks for it."""
    try:
        check = schema_check_of(entry)
    except ConfigError as error:
        conditions.mark_false("SchemaChecked", "SchemaInvalid", str(error))
        return
    if check is None:
        conditions.remove("SchemaChecked")
    else:
        conditions.mark_true("SchemaChecked", check.verdict.value.capitalize())


def _reference_of(entry: Object) -> Key | None:
    reference = entry["spec"].get("reference")
    if not reference:
        return None
    return Key(reference.get("namespace") or entry["metadata"].get("namespace", ""), reference.get("name", ""))
