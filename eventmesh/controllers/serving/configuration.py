"""Configuration: stamps out one Revision a generation, and tells which was made last and which is ready."""

from __future__ import annotations

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.controllers.children import covers
from eventmesh.controllers.serving.names import CONFIGURATION as CONFIGURATION_LABEL
from eventmesh.controllers.serving.names import CONFIGURATION_GENERATION
from eventmesh.controllers.serving.resources.revision import name_of_revision, revision
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_controlled_by, is_deleting, labels_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIGURATION, REVISION
from eventmesh.kube.status import FALSE, Conditions, ConditionSet, condition, conditions_of, is_ready, write_status

BY_CONFIGURATION = "configuration"
_CONDITIONS = ConditionSet(("Ready",))


class Configurations:
    """The controller of Configurations."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._recorder = recorder
        self._configurations = informers.of(CONFIGURATION)
        self._revisions = informers.of(REVISION)
        self._revisions.add_index(BY_CONFIGURATION, configuration_index)
        self.controller = Controller("configuration", self._configurations, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._revisions)

    async def reconcile(self, key: Key) -> None:
        """Make the revision of the present generation, and tell how it and its predecessors are."""
        configuration = self._configurations.get(key.name, key.namespace)
        if configuration is None or is_deleting(configuration):
            return
        conditions = Conditions(_CONDITIONS, conditions_of(configuration), self._clock.now())
        status: Object = dict(configuration.get("status") or {})
        name = name_of_revision(configuration)
        newest = await self._newest(configuration, name)
        if newest is None:
            message = f'There is an existing Revision "{name}" that we do not own.'
            conditions.mark_false("Ready", "RevisionNotOwned", message)
        else:
            status["latestCreatedRevisionName"] = name
            self._judge(configuration, newest, status, conditions)
        status["conditions"] = conditions.result()
        await write_status(self._api, CONFIGURATION, configuration, status)

    async def _newest(self, configuration: Object, name: str) -> Object | None:
        """Return the revision of the present generation, made now if need be; None when its name is taken."""
        namespace = configuration["metadata"]["namespace"]
        found = self._revisions.get(name, namespace)
        if found is None:
            try:
                wanted = revision(configuration, rfc3339(self._clock.now()))
                created = await self._api.create(REVISION, wanted, namespace)
                await self._recorder.record(configuration, EventKind.NORMAL, "Created", f'Created Revision "{name}"')
                return created
            except ApiError as error:
                if not error.already_exists:
                    raise
            found = await self._api.get(REVISION, name, namespace)
        same = covers(found["spec"], configuration["spec"]["template"]["spec"])
        return found if is_controlled_by(found, configuration) and same else None

    def _judge(self, configuration: Object, newest: Object, status: Object, conditions: Conditions) -> None:
        ready_name = self._latest_ready(configuration, newest, status.get("latestReadyRevisionName"))
        if ready_name is not None:
            status["latestReadyRevisionName"] = ready_name
        name = newest["metadata"]["name"]
        ready = condition(newest, "Ready")
        if ready_name == name:
            conditions.mark_true("Ready")
        elif ready is not None and ready["status"] == FALSE:
            message = f'Revision "{name}" failed with message: {ready.get("message", "")}.'
            conditions.mark_false("Ready", "RevisionFailed", message)
        else:
            conditions.mark_unknown("Ready")

    def _latest_ready(self, configuration: Object, newest: Object, known: str | None) -> str | None:
        """Return the newest ready revision; it never goes back behind the one known already, but where its author does.

        He does by the name of an earlier revision in the template: that is the present generation's again.
        """
        if is_ready(newest):
            present: str = newest["metadata"]["name"]
            return present
        metadata = configuration["metadata"]
        index = str(Key(metadata["namespace"], metadata["name"]))
        revisions = {obj["metadata"]["name"]: obj for obj in self._revisions.by_index(BY_CONFIGURATION, index)}
        revisions[newest["metadata"]["name"]] = newest
        floor = _generation(revisions[known]) if known in revisions else 0
        ready = [obj for obj in revisions.values() if is_ready(obj) and _generation(obj) >= floor]
        if not ready:
            return known
        best: str = max(ready, key=_generation)["metadata"]["name"]
        return best


def configuration_index(obj: Object) -> tuple[str, ...]:
    """Return the index entry of a revision: its configuration."""
    name = labels_of(obj).get(CONFIGURATION_LABEL)
    return (str(Key(obj["metadata"]["namespace"], name)),) if name else ()


def _generation(obj: Object) -> int:
    text = labels_of(obj).get(CONFIGURATION_GENERATION, "")
    return int(text) if text.isdigit() else 0
