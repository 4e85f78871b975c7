"""ApiServerSources: where they send to, what they watch, and the conditions. The activator watches and sends."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.controllers.eventing.sinks import resolve_sink, watch_sinks
from eventmesh.kube.account_tokens import SUBJECT_PREFIX, account_groups
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.api_server_source import (
    NO_OBJECT,
    SOURCE,
    WATCHED_ANNOTATION,
    ApiServerWatch,
    Watched,
    parse_api_server_source,
    selected_namespaces,
)
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import API_SERVER_SOURCE, CLUSTER_SCOPED, NAMESPACE, SUBJECT_ACCESS_REVIEW
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("SinkProvided", "Deployed", "SufficientPermissions", "OIDCIdentityCreated"))

NEEDED_VERBS = ("get", "list", "watch")

LOOK_AGAIN_S = 10.0
"""Wait before a kind that is not served, or an account that may not watch, is looked at again: nothing tells of it."""


class ApiServerSources:
    """The controller of ApiServerSources."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        destinations: Destinations,
        clock: Clock,
        recorder: EventRecorder,
        identities: Identities,
    ) -> None:
        self._api = api
        self._identities = identities
        self._clock = clock
        self._destinations = destinations
        self._sources = informers.of(API_SERVER_SOURCE)
        self._namespaces = informers.of(NAMESPACE)
        self.controller = Controller("apiserversource", self._sources, self.reconcile, clock, recorder=recorder)
        self.controller.watch(self._namespaces, self._choosing)
        watch_sinks(self.controller, self._sources, destinations)
        identities.follow(self.controller, self._sources)

    def _choosing(self, namespace: Object) -> list[Key]:
        return [key_of(source) for source in self._sources if source["spec"].get("namespaceSelector") is not None]

    async def reconcile(self, key: Key) -> None:
        """Write the sink's address, the namespaces and the conditions."""
        source = self._sources.get(key.name, key.namespace)
        if source is None or is_deleting(source):
            return
        conditions = Conditions(CONDITIONS, conditions_of(source), self._clock.now())
        status = resolve_sink(self._destinations, source, conditions)
        status |= await self._identities.ensure(API_SERVER_SOURCE, source, conditions)
        if told := (source.get("status") or {}).get("annotations"):
            status["annotations"] = told
        try:
            watch = parse_api_server_source(source)
            status["namespaces"] = selected_namespaces(source["spec"], key.namespace, list(self._namespaces))
        except ConfigError as error:
            conditions.mark_false("Deployed", "SourceInvalid", str(error))
            conditions.mark_unknown("SufficientPermissions")
        else:
            await self._permissions(source, watch, status["namespaces"], conditions)
            await self._deployed(source, watch, conditions)
            status["ceAttributes"] = [{"type": type_, "source": SOURCE} for type_ in watch.mode.types()]
        status["conditions"] = conditions.result()
        await write_status(self._api, API_SERVER_SOURCE, source, status)
        if any(conditions.is_false(kind) for kind in ("Deployed", "SufficientPermissions")):
            self.controller.enqueue_after(key, LOOK_AGAIN_S)

    async def _deployed(self, source: Object, watch: ApiServerWatch, conditions: Conditions) -> None:
        for watched in watch.watched:
            if problem := await self._not_served(watched):
                conditions.mark_false("Deployed", "ResourceNotFound", problem)
                return
        told = ((source.get("status") or {}).get("annotations") or {}).get(WATCHED_ANNOTATION)
        if told == str(watch.generation):
            conditions.mark_true("Deployed")
        else:
            conditions.mark_unknown("Deployed", "NotYetWatching", "the activator does not watch everything yet")

    async def _not_served(self, watched: Watched) -> str:
        try:
            await self._api.list(watched.resource, field_selector=NO_OBJECT)
        except ApiError as error:
            if error.code != 404:
                raise
            kind = f"{watched.resource.kind} ({watched.resource.api_version})"
            return f"could not retrieve information about resource {kind}: {error.message}"
        return ""

    async def _permissions(
        self, source: Object, watch: ApiServerWatch, namespaces: list[str], conditions: Conditions
    ) -> None:
        account = source["spec"].get("serviceAccountName") or "default"
        user = f"{SUBJECT_PREFIX}{watch.namespace}:{account}"
        missing = []
        for watched in watch.watched:
            # A right in one namespace is none on what is in no namespace, and is told of to every source.
            everywhere = watched.resource.group_resource in CLUSTER_SCOPED
            for namespace in ("",) if everywhere else namespaces:
                asked = [
                    (verb, await self._may(watch.namespace, user, verb, watched, namespace)) for verb in NEEDED_VERBS
                ]
                verbs = [verb for verb, may in asked if not may]
                if verbs:
                    what = f'resource "{watched.resource.plural}" in API group "{watched.resource.group}"'
                    where = f'in Namespace "{namespace}"' if namespace else "at the cluster scope"
                    missing.append(f"{', '.join(verbs)} {what} {where}")
        if missing:
            message = f"User {user} cannot {', '.join(missing)}"
            conditions.mark_false("SufficientPermissions", "InsufficientPermissions", message)
        else:
            conditions.mark_true("SufficientPermissions")

    async def _may(self, home: str, user: str, verb: str, watched: Watched, namespace: str) -> bool:
        attributes = {"namespace": namespace, "verb": verb, "group": watched.resource.group}
        review = {
            "apiVersion": SUBJECT_ACCESS_REVIEW.api_version,
            "kind": SUBJECT_ACCESS_REVIEW.kind,
            "metadata": {},
            "spec": {
                "user": user,
                "groups": list(account_groups(home)),
                "resourceAttributes": {**attributes, "resource": watched.resource.plural},
            },
        }
        answered = await self._api.create(SUBJECT_ACCESS_REVIEW, review)
        return bool((answered.get("status") or {}).get("allowed"))
