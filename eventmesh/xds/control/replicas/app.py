"""The part of control that speaks with other replicas: it counts their data planes into every promise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Object, Resource
from eventmesh.kube.lease import Election
from eventmesh.kube.objects import Key
from eventmesh.kube.resources import KINGRESS, TRAFFIC_POLICY
from eventmesh.xds.control.changes import Effect
from eventmesh.xds.control.gateway_api.app import ROUTES
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.replicas.others import OtherReplicas, generation_of
from eventmesh.xds.control.replicas.own import News, OwnWord
from eventmesh.xds.control.replicas.versions import ObjectVersions, number_of, version_of
from eventmesh.xds.control.replicas.word import MAX_NAMED, MAX_REFUSED, Refused, Word


class Replicas:
    """This replica's word, and those of the others."""

    def __init__(
        self,
        ground: Ground,
        election: Election,
        on_change: Callable[[Iterable[Refused]], None],
    ) -> None:
        """Call `on_change` whenever a promise may have come true elsewhere, with what is refused there or no longer."""
        api, clock = ground.api, ground.clock
        self._informers = ground.informers
        self._acks = ground.acks
        self._in_force = ground.in_force
        self._refusals = ground.refusals
        self._followed: dict[str, Resource] = {}
        self._versions = ObjectVersions(lambda: self._followed, self._read)
        self._told = News(Word(0))
        self._tasks = TaskGroup("xds.replicas")
        self._own = OwnWord(
            api, clock, election.identity, election.lasts_s, self._compose, lambda: not election.leading
        )
        self._others = OtherReplicas(api, clock, self._own.name, election.lasts_s, lambda: election.leading, on_change)
        ground.acks.count_in(lambda generation: self._others.waiting(self._versions.needs(generation)))

    def start(self) -> None:
        """Begin to speak and to listen."""
        self._tasks.spawn("others", self._others.run())
        self._tasks.spawn("own", self._own.run())

    async def known(self) -> None:
        """Return when it is known which others there are; before that nothing can be promised."""
        await self._others.synced()

    async def stop(self) -> None:
        """Fall silent, and say so."""
        await self._tasks.stop()

    def changed(self, resource: Resource, obj: Object, effect: Effect) -> None:
        """Take note of a change of an object."""
        kind = resource.group_resource
        self._followed[kind] = resource
        # Of one that was deleted there is its last form; the deletion is a version of the kind that comes after it.
        self._versions.changed(kind, max(version_of(obj), self._read(kind)), effect)

    def published(self, generation: int, effect: Effect) -> None:
        """Take note of a publication."""
        self._versions.published(generation, effect)
        self._own.look_again()

    def progressed(self) -> None:
        """Take note that a data plane has come, answered or gone."""
        self._own.look_again()

    def refusal(self, resource: Resource, key: Key) -> str | None:
        """Return why a data plane of another replica does not take an object as it is now; None when none says so."""
        obj = self._informers.of(resource).get(key.name, key.namespace)
        return self._others.refusal(resource, obj) if obj is not None else None

    def _read(self, kind: str) -> int:
        return number_of(self._informers.of(self._followed[kind]).resource_version)

    def _compose(self) -> News:
        clients = self._acks.required()
        if not clients:
            self._told = News(Word(0))
            return self._told
        refused = tuple(self._refused())
        generation, versions = self._versions.acknowledged(self._acks.proves)
        if self._in_force.is_in_doubt or len(refused) > MAX_REFUSED:
            # What was acknowledged may lack objects that nobody would be told of.
            generation, versions = self._told.generation, self._told.word.versions
        waiting = tuple(self._acks.waiting(self._versions.newest)[:MAX_NAMED])
        self._told = News(Word(clients, versions, waiting, refused[:MAX_REFUSED]), generation)
        return self._told

    def _refused(self) -> Iterator[Refused]:
        in_force = self._in_force
        yield from self._as_refused(KINGRESS, {**self._refusals.messages(), **in_force.ingresses.messages()})
        yield from self._as_refused(TRAFFIC_POLICY, in_force.policies.messages())
        for kind, quarantine in in_force.routes.items():
            yield from self._as_refused(ROUTES[kind], quarantine.messages())

    def _as_refused(self, resource: Resource, messages: Mapping[Key, str]) -> Iterator[Refused]:
        for key, message in sorted(messages.items()):
            obj = self._informers.of(resource).get(key.name, key.namespace)
            if obj is not None:
                yield Refused(resource.group_resource, key, generation_of(obj), message)
