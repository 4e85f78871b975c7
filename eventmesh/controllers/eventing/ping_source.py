"""PingSources: where they send to, and the conditions. The activator sends (`activator.sources.ping`)."""

from __future__ import annotations

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.controllers.eventing.destinations import Destinations
from eventmesh.controllers.eventing.identities import Identities
from eventmesh.controllers.eventing.sinks import resolve_sink, watch_sinks
from eventmesh.kube.api import Api
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting
from eventmesh.kube.ping_source import EVENT_TYPE, event_source, parse_ping
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import PING_SOURCE
from eventmesh.kube.status import Conditions, ConditionSet, conditions_of, write_status

CONDITIONS = ConditionSet(("SinkProvided", "Deployed", "OIDCIdentityCreated"))


class PingSources:
    """The controller of PingSources."""

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
        self._sources = informers.of(PING_SOURCE)
        self.controller = Controller("pingsource", self._sources, self.reconcile, clock, recorder=recorder)
        watch_sinks(self.controller, self._sources, destinations)
        identities.follow(self.controller, self._sources)

    async def reconcile(self, key: Key) -> None:
        """Write the sink's address and the conditions."""
        source = self._sources.get(key.name, key.namespace)
        if source is None or is_deleting(source):
            return
        conditions = Conditions(CONDITIONS, conditions_of(source), self._clock.now())
        status = resolve_sink(self._destinations, source, conditions)
        status |= await self._identities.ensure(PING_SOURCE, source, conditions)
        try:
            parse_ping(source)
        except ConfigError as error:
            # Admission refuses it; this tells of one that was stored before, or by a time zone that went.
            conditions.mark_false("Deployed", "ScheduleInvalid", str(error))
        else:
            conditions.mark_true("Deployed")
        status["ceAttributes"] = [{"type": EVENT_TYPE, "source": event_source(key.namespace, key.name)}]
        status["conditions"] = conditions.result()
        await write_status(self._api, PING_SOURCE, source, status)
