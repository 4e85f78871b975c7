"""`Control`: watches objects, publishes configurations, serves them over ADS, and keeps the promises it makes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.kube.api import Api, Object, Resource
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.lease import Election
from eventmesh.kube.objects import Key, annotations_of, key_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import (
    AUTHORIZATION_POLICY,
    CONFIG_MAP,
    ENDPOINT_SLICE,
    KINGRESS,
    NAMESPACE,
    PEER_AUTHENTICATION,
    POD,
    PYTHON_FILTER,
    REQUEST_AUTHENTICATION,
    REVISION,
    SECRET,
    SERVICE,
    TRAFFIC_POLICY,
)
from eventmesh.xds.control.access.app import Access
from eventmesh.xds.control.admin import AdminServer
from eventmesh.xds.control.blame import Blame
from eventmesh.xds.control.changes import Effect, Handler
from eventmesh.xds.control.gateway_api.app import GatewayApi
from eventmesh.xds.control.ground import Ground
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.control.observer import Observer
from eventmesh.xds.control.promises import Promises
from eventmesh.xds.control.publisher import Publication, Publisher
from eventmesh.xds.control.replicas.app import Replicas
from eventmesh.xds.control.replicas.word import Refused
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.settings_maps import SettingsMaps
from eventmesh.xds.control.statuses import Statuses
from eventmesh.xds.identity.issuer import Identities

_log = log.get("xds.control")


class Control:
    """The control component of one mesh. It reads and writes nothing but Kubernetes objects and ADS streams."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        settings: Settings | None = None,
        identities: Identities | None = None,
        election: Election | None = None,
        writers: Sequence[Controller] = (),
    ) -> None:
        """Ask `informers` for what is watched; the caller starts them before `start`.

        With `identities` clients that show a certificate of this mesh are told of theirs, and to speak mTLS. With an
        `election` objects are written to while this replica leads only; None: it is the only one. `writers` are
        controllers that write beside those of statuses.
        """
        ground = self._ground = Ground(api, informers, clock, settings or Settings(), identities)
        self.acks, self.metrics = ground.acks, ground.metrics
        self._election = election
        self._more_writers = writers
        self._publisher = Publisher(
            ground.cache, ground.builder, ground.in_force.view, ground.in_force, clock, ground.metrics
        )
        self._server = AdsServer(ground.cache, ground.acks, clock, metrics=ground.metrics, identities=identities)
        self.observer = Observer(ground, self.open_promises, self._leads)
        self._admin = AdminServer(self.observer)
        self._access = Access(ground, self._publisher.touch, self._record)
        self._gateway_api = GatewayApi(ground, self._refused_elsewhere)
        others = (*self._access.parts, *self._gateway_api.parts)
        self._statuses = Statuses(ground, self._refused_elsewhere, others)
        self._blame = Blame(
            ground, self._publisher.touch, self._record, self._statuses, self._gateway_api, self._access
        )
        # Others may run beside this one: their data planes count too.
        self._replicas = Replicas(ground, election, self._told_by_others) if election is not None else None
        self._recorder = EventRecorder(api, "eventmesh-control", clock)
        self._tasks = TaskGroup("xds.control")
        self._watch_all()

    def _watch_all(self) -> None:
        ground, watcher, access = self._ground, self._ground.watcher, self._access
        self._watch(SERVICE, watcher.service)
        self._watch(ENDPOINT_SLICE, watcher.slice)
        self._watch(REVISION, watcher.revision)
        self._watch(AUTHORIZATION_POLICY, watcher.authorization, access.policies.promises)
        self._watch(REQUEST_AUTHENTICATION, access.authentication, access.tokens.promises)
        self._watch(PYTHON_FILTER, watcher.python_filter, access.filters.promises)
        self._watch(SECRET, watcher.secret)
        self._watch(NAMESPACE, watcher.namespace)
        for resource, handler, promises in (*self._statuses.watches(), *self._gateway_api.watches()):
            self._watch(resource, handler, promises)
        maps = SettingsMaps(watcher, ground.builder, self._record)
        self._watch(CONFIG_MAP, maps.changed)
        ground.informers.of(NAMESPACE).add_handler(self._tell_of_egress)
        if ground.mtls is not None:
            self._watch(POD, watcher.pod)
            self._watch(PEER_AUTHENTICATION, watcher.peer_authentication, may_be_absent=True)
            ground.mtls.follow(ground.cache)

    async def start(self, address: str, secured_address: str = "") -> int:
        """Publish what the synced informers hold, then serve ADS on `host:port`; return the port.

        At `secured_address` it is served to clients that show a certificate of this mesh, and to nobody else.

        Nothing is served before the first publication: an empty answer would take everything away from a data plane
        that has been serving all along. Raises UnavailableError when the port is taken.
        """
        self.acks.listen(self._progressed, self._blame.refused)
        self._publisher.listen(self._published)
        await self._access.begin()
        self._publisher.start()
        port = await self._server.start(address, secured_address)
        election = self._election
        if self._ground.identities is not None:
            self._tasks.spawn("identities", self._ground.identities.run())
        self.acks.opened()
        if self._replicas is not None:
            self._replicas.start()
        self._tasks.spawn("statuses", self._write() if election is None else election.campaign(self._write))
        _log.info("serving ADS", port=port)
        return port

    async def _write(self) -> None:
        """Write what has become of objects, until cancelled."""
        if self._replicas is not None:
            await self._replicas.known()
        for writer in self._writers():
            writer.start()
        if self._ground.identities is not None:
            # Roots may be due that were nobody's to replace.
            self._ground.identities.look_again()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for writer in self._writers():
                await writer.pause()

    def _writers(self) -> list[Controller]:
        return [*(part.controller for part in self._statuses.parts), self._access.kept.controller, *self._more_writers]

    @property
    def secured_port(self) -> int:
        """Return where ADS is served to clients that show a certificate; 0: nowhere."""
        return self._server.secured_port

    async def start_admin(self, host: str, port: int) -> int:
        """Serve the admin pages, and return the port; UnavailableError when it is taken."""
        return await self._admin.start(host, port)

    def mtls_mode(self, namespace: str) -> MtlsMode:
        """Return what the inbound side of a namespace's workloads takes."""
        return self._ground.mtls.mode(namespace) if self._ground.mtls is not None else MtlsMode.PERMISSIVE

    def inbound_filters(self, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return the filters, as documents, through which requests come to a workload with these labels."""
        return self._ground.builder.access.filters(namespace, labels)

    async def stop(self) -> None:
        """Close all streams. Data planes go on with what they have."""
        await self._admin.stop()
        # The lease is given back with it.
        await self._tasks.stop()
        for writer in self._writers():
            await writer.stop()
        if self._replicas is not None:
            await self._replicas.stop()
        await self._server.stop()
        await self._access.key_sets.stop()
        await self._publisher.stop()

    def open_promises(self) -> int:
        """Return how many objects wait for acknowledgements; where nothing is written nothing waits."""
        return self._statuses.still_open() if self._leads() else 0

    def _watch(
        self,
        resource: Resource,
        handler: Handler,
        promises: Promises | None = None,
        *,
        may_be_absent: bool = False,
    ) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            effect = handler(old, new)
            obj = new if new is not None else old
            if obj is not None:
                if promises is not None:
                    promises.changed(key_of(obj), effect)
                self._changed(resource, obj, effect)
            self._publisher.touch(effect)

        self._ground.informers.of(resource, may_be_absent=may_be_absent).add_handler(changed)

    def _changed(self, resource: Resource, obj: Object, effect: Effect) -> None:
        if self._replicas is not None:
            self._replicas.changed(resource, obj, effect)
        if resource is TRAFFIC_POLICY:
            self._ground.in_force.policy_changed(key_of(obj))
        if resource is KINGRESS:
            self._ground.in_force.ingress_changed(key_of(obj))
        self._gateway_api.changed(resource, key_of(obj))

    def _tell_of_egress(self, old: Object | None, new: Object | None) -> None:
        """Tell the author of a Namespace whose declared egress is not understood; its functions go by the gateway."""
        problem = self._ground.watcher.invalid_egress.get(key_of(new).name) if new is not None else None
        if new is not None and problem is not None and (old is None or annotations_of(old) != annotations_of(new)):
            _log.warning("egress not understood", namespace=key_of(new).name, problem=problem)
            self._record(new, "InvalidEgress", problem)

    def _published(self, publication: Publication, effect: Effect) -> None:
        if self._replicas is not None:
            self._replicas.published(publication.generation, effect)
        if effect is Effect.EVERYTHING:
            self._ground.in_force.published(publication.generation)
            self._gateway_api.published()
        self._access.published()
        self._statuses.published(publication, effect)

    def _told_by_others(self, refused: Iterable[Refused]) -> None:
        self._blame.refused_elsewhere(refused)
        self._progressed()

    def _refused_elsewhere(self, resource: Resource, key: Key) -> str | None:
        return self._replicas.refusal(resource, key) if self._replicas is not None else None

    def _progressed(self) -> None:
        if self._replicas is not None:
            self._replicas.progressed()
        self._access.progressed()
        if self._ground.in_force.acknowledged(self.acks.proves):
            self._publisher.touch(Effect.EVERYTHING)
        self._statuses.progressed()

    def _leads(self) -> bool:
        return self._election is None or self._election.leading

    def _record(self, obj: Object, reason: str, message: str) -> None:
        """Write an Event on an object, unless another replica does."""
        if self._leads():
            self._tasks.spawn("event", self._recorder.record(obj, EventKind.WARNING, reason, message))
