"""`Control`: watches objects, publishes configurations, serves them over ADS, and keeps the promises it makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

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
    PROTOCOL_DECLARATION,
    REQUEST_AUTHENTICATION,
    REVISION,
    SECRET,
    SERVERLESS_SERVICE,
    SERVICE,
    SERVICE_INTERFACE,
    TRAFFIC_POLICY,
)
from eventmesh.xds.control.acceptance import AcceptanceStatus
from eventmesh.xds.control.access.app import Access
from eventmesh.xds.control.acks import AckTracker
from eventmesh.xds.control.admin import AdminServer
from eventmesh.xds.control.backends import MissingBackends
from eventmesh.xds.control.blame import Blame
from eventmesh.xds.control.builder import ResourceBuilder
from eventmesh.xds.control.changes import CLUSTER_SCOPED, Effect
from eventmesh.xds.control.gateway_api.app import GatewayApi
from eventmesh.xds.control.in_force import InForce
from eventmesh.xds.control.ingress_status import IngressStatus
from eventmesh.xds.control.interfaces.problems import declaration_problem, interface_problem
from eventmesh.xds.control.listeners import LISTENED_TABLES
from eventmesh.xds.control.metrics import Metrics
from eventmesh.xds.control.mtls import MeshMtls
from eventmesh.xds.control.objects import MtlsMode
from eventmesh.xds.control.observer import Observer
from eventmesh.xds.control.policy.problems import problem_of as policy_problem
from eventmesh.xds.control.promises import Promises, Promising
from eventmesh.xds.control.publisher import Publication, Publisher
from eventmesh.xds.control.refusals import ClusterRefusals
from eventmesh.xds.control.replicas.app import Replicas
from eventmesh.xds.control.replicas.word import Refused
from eventmesh.xds.control.server import AdsServer
from eventmesh.xds.control.serverless_status import ServerlessStatus
from eventmesh.xds.control.services import Settings
from eventmesh.xds.control.settings_maps import SettingsMaps
from eventmesh.xds.control.snapshot_cache import SnapshotCache
from eventmesh.xds.control.watcher import Watcher
from eventmesh.xds.identity.issuer import Identities

_log = log.get("xds.control")

_Handler = Callable[[Object | None, Object | None], Effect]


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
        settings = settings or Settings()
        self._watcher = Watcher()
        self._in_force = InForce(self._watcher)
        self._informers = informers
        self._identities = identities
        self._election = election
        self._more_writers = writers
        self._mtls = MeshMtls(identities) if identities is not None else None
        self._builder = ResourceBuilder(settings, self._in_force.world, self._mtls)
        self._cache = SnapshotCache(self._builder.sets)
        self._refusals = ClusterRefusals(self._builder.referrers)
        self._missing = MissingBackends(self._watcher.of)
        self.acks = AckTracker(clock, lambda role: LISTENED_TABLES.get(role, frozenset()))
        metrics = self.metrics = Metrics()
        self._publisher = Publisher(self._cache, self._builder, self._in_force.view, self._in_force, clock, metrics)
        self._server = AdsServer(self._cache, self.acks, clock, metrics=metrics, identities=identities)
        self.observer = Observer(
            informers,
            self._watcher,
            self._builder,
            self._cache,
            self.acks,
            metrics,
            settings,
            clock,
            self.open_promises,
            identities,
            self._leads,
        )
        self._admin = AdminServer(self.observer)
        # An API to which nobody has given our own kinds has none of them; routes do not wait for these.
        ingresses, serverless = informers.of(KINGRESS), informers.of(SERVERLESS_SERVICE)
        self._ingress_status = IngressStatus(
            api,
            ingresses,
            clock,
            self.acks,
            self._in_force.ingresses,
            settings,
            invalid=lambda: self._builder.certificates.problems | self._watcher.invalid,
            conflicts=lambda: self._builder.conflicts,
            refusals=self._refusals,
            elsewhere=lambda key: self._refused_elsewhere(KINGRESS, key),
            missing=self._missing.message,
        )
        self._serverless_status = ServerlessStatus(api, serverless, informers.of(SERVICE), clock, self.acks)
        self._policy_status = AcceptanceStatus(
            api,
            TRAFFIC_POLICY,
            informers.of(TRAFFIC_POLICY, may_be_absent=True),
            clock,
            self.acks,
            self._policy_problem,
            refusal=self._refusal_of,
            is_held=self._in_force.policies.holds,
        )
        self._interface_status, self._declaration_status = (
            AcceptanceStatus(api, kind, informers.of(kind, may_be_absent=True), clock, self.acks, problem)
            for kind, problem in (
                (SERVICE_INTERFACE, self._interface_problem),
                (PROTOCOL_DECLARATION, self._declaration_problem),
            )
        )
        self._access = Access(
            api,
            informers,
            clock,
            self._watcher,
            self._builder.access,
            self.acks,
            self._cache,
            self._publisher.touch,
            self._record,
            settings.jwks_refresh_s,
        )
        self._gateway_api = GatewayApi(
            api,
            informers,
            clock,
            settings,
            self._watcher.gateway_api,
            self._in_force,
            self._builder,
            self.acks,
            self._refused_elsewhere,
        )
        own = (self._ingress_status, self._serverless_status, self._policy_status)
        named = (self._interface_status, self._declaration_status, *self._access.parts)
        self._parts: tuple[Promising, ...] = (*own, *named, *self._gateway_api.parts)
        told = (self._ingress_status, self._policy_status, self._gateway_api, self._access)
        self._blame = Blame(
            informers, self._builder, self._in_force, self._refusals, self._publisher.touch, self._record, *told
        )
        self._replicas = None
        if election is not None:
            # Others may run beside this one: their data planes count too.
            of = (api, informers, clock, self.acks, self._in_force, self._refusals, election)
            self._replicas = Replicas(*of, self._told_by_others)
        self._troubled: Mapping[Key, object] = {}
        self._offers_lost: Mapping[Key, object] = {}
        self._recorder = EventRecorder(api, "eventmesh-control", clock)
        self._tasks = TaskGroup("xds.control")
        self._watch(informers, KINGRESS, self._watcher.ingress, self._ingress_status.promises)
        self._watch(informers, SERVERLESS_SERVICE, self._watcher.serverless, self._serverless_status.promises)
        self._watch(informers, SERVICE, self._watcher.service)
        self._watch(informers, ENDPOINT_SLICE, self._watcher.slice)
        self._watch(informers, REVISION, self._watcher.revision)
        self._watch(informers, TRAFFIC_POLICY, self._watcher.policy, self._policy_status.promises)
        self._watch(informers, SERVICE_INTERFACE, self._watcher.interface, self._interface_status.promises)
        self._watch(informers, PROTOCOL_DECLARATION, self._watcher.declaration, self._declaration_status.promises)
        self._watch(informers, AUTHORIZATION_POLICY, self._watcher.authorization, self._access.policies.promises)
        self._watch(informers, REQUEST_AUTHENTICATION, self._access.authentication, self._access.tokens.promises)
        self._watch(informers, SECRET, self._watcher.secret)
        self._watch(informers, NAMESPACE, self._watcher.namespace)
        for resource, handler, promises in self._gateway_api.watches():
            self._watch(informers, resource, handler, promises)
        maps = SettingsMaps(self._watcher, self._builder, self._record)
        self._watch(informers, CONFIG_MAP, maps.changed)
        informers.of(NAMESPACE).add_handler(self._tell_of_egress)
        if self._mtls is not None:
            self._watch(informers, POD, self._watcher.pod)
            self._watch(informers, PEER_AUTHENTICATION, self._watcher.peer_authentication, may_be_absent=True)
            self._mtls.follow(self._cache)

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
        if self._identities is not None:
            self._tasks.spawn("identities", self._identities.run())
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
        if self._identities is not None:
            # Roots may be due that were nobody's to replace.
            self._identities.look_again()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            for writer in self._writers():
                await writer.pause()

    def _writers(self) -> list[Controller]:
        return [*(part.controller for part in self._parts), self._access.kept.controller, *self._more_writers]

    @property
    def secured_port(self) -> int:
        """Return where ADS is served to clients that show a certificate; 0: nowhere."""
        return self._server.secured_port

    async def start_admin(self, host: str, port: int) -> int:
        """Serve the admin pages, and return the port; UnavailableError when it is taken."""
        return await self._admin.start(host, port)

    def mtls_mode(self, namespace: str) -> MtlsMode:
        """Return what the inbound side of a namespace's workloads takes."""
        return self._mtls.mode(namespace) if self._mtls is not None else MtlsMode.PERMISSIVE

    def inbound_filters(self, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Return the filters, as documents, through which requests come to a workload with these labels."""
        return self._builder.access.filters(namespace, labels)

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
        return sum(len(part.promises.still_open()) for part in self._parts) if self._leads() else 0

    def _watch(
        self,
        informers: Informers,
        resource: Resource,
        handler: _Handler,
        promises: Promises | None = None,
        *,
        may_be_absent: bool = False,
    ) -> None:
        def changed(old: Object | None, new: Object | None) -> None:
            effect = handler(old, new)
            obj = new if new is not None else old
            if obj is not None and promises is not None:
                promises.changed(key_of(obj), effect)
            if obj is not None and self._replicas is not None:
                self._replicas.changed(resource, obj, effect)
            if obj is not None and resource is TRAFFIC_POLICY:
                self._in_force.policy_changed(key_of(obj))
            if obj is not None and resource is KINGRESS:
                self._in_force.ingress_changed(key_of(obj))
            if obj is not None:
                self._gateway_api.changed(resource, key_of(obj))
            self._publisher.touch(effect)

        informers.of(resource, may_be_absent=may_be_absent).add_handler(changed)

    def _tell_of_egress(self, old: Object | None, new: Object | None) -> None:
        """Tell the author of a Namespace whose declared egress is not understood; its functions go by the gateway."""
        problem = self._watcher.invalid_egress.get(key_of(new).name) if new is not None else None
        if new is not None and problem is not None and (old is None or annotations_of(old) != annotations_of(new)):
            _log.warning("egress not understood", namespace=key_of(new).name, problem=problem)
            self._record(new, "InvalidEgress", problem)

    def _published(self, publication: Publication, effect: Effect) -> None:
        if self._replicas is not None:
            self._replicas.published(publication.generation, effect)
        if effect is Effect.EVERYTHING:
            self._in_force.published(publication.generation)
            self._renew_troubled()
            for key in self._missing.renew(self._in_force.rebuilt):
                self._ingress_status.promises.changed(key, Effect.EVERYTHING)
            self._gateway_api.published()
            for namespace in self._in_force.rebuilt:
                # Another Service or an older policy may be there now.
                view = self._watcher.of(namespace)
                for key in view.policies:
                    self._policy_status.promises.changed(key, Effect.ENDPOINTS)
                for key in view.interfaces:
                    self._interface_status.promises.changed(key, Effect.ENDPOINTS)
                for key in view.declarations:
                    self._declaration_status.promises.changed(key, Effect.ENDPOINTS)
        self._access.published()
        for key in self._refusals.published(self._builder.versions):
            self._ingress_status.promises.changed(key, Effect.ENDPOINTS)
        for part in self._parts:
            for key in part.promises.published(publication, effect):
                part.controller.enqueue(key)

    def _renew_troubled(self) -> None:
        """Have the status of each KIngress and ServiceInterface written anew that has won or lost a host, a certificate
        or a name by the change of another object."""
        before = self._troubled
        conflicts, certificates = self._builder.conflicts, self._builder.certificates.problems
        after = {key: (conflicts.get(key), certificates.get(key)) for key in {*conflicts, *certificates}}
        for key in {*before, *after}:
            if before.get(key) != after.get(key):
                self._ingress_status.promises.changed(key, Effect.EVERYTHING)
        self._troubled = after
        lost, self._offers_lost = self._offers_lost, dict(self._builder.offers.lost)
        for key in {*lost, *self._offers_lost}:
            if lost.get(key) != self._offers_lost.get(key):
                self._interface_status.promises.changed(key, Effect.EVERYTHING)

    def _told_by_others(self, refused: Iterable[Refused]) -> None:
        self._blame.refused_elsewhere(refused)
        self._progressed()

    def _refused_elsewhere(self, resource: Resource, key: Key) -> str | None:
        return self._replicas.refusal(resource, key) if self._replicas is not None else None

    def _progressed(self) -> None:
        if self._replicas is not None:
            self._replicas.progressed()
        if self._in_force.acknowledged(self.acks.proves):
            self._publisher.touch(Effect.EVERYTHING)
        for part in self._parts:
            for key in part.promises.still_open():
                part.controller.enqueue(key)

    def _policy_problem(self, key: Key) -> tuple[str, str] | None:
        return policy_problem(key, self._watcher.of(key.namespace), self._watcher.invalid_policies.get(key))

    def _interface_problem(self, key: Key) -> tuple[str, str] | None:
        wrong, lost = self._watcher.invalid_interfaces.get(key), self._builder.offers.lost.get(key, {})
        return interface_problem(key, self._watcher.of(key.namespace), wrong, lost)

    def _declaration_problem(self, key: Key) -> tuple[str, str] | None:
        view = self._watcher.of(CLUSTER_SCOPED)
        return declaration_problem(key, view, self._watcher.invalid_declarations.get(key))

    def _refusal_of(self, key: Key) -> str | None:
        """Return why a data plane would not take a policy, or a cluster that it holds for; None when all take it."""
        carriers = self._in_force.carriers(self._watcher.of(key.namespace).policies[key])
        own = (self._in_force.policies.message(key), *map(self._refusals.message, carriers))
        refusals = (*own, self._refused_elsewhere(TRAFFIC_POLICY, key))
        return next(filter(None, refusals), None)

    def _leads(self) -> bool:
        return self._election is None or self._election.leading

    def _record(self, obj: Object, reason: str, message: str) -> None:
        """Write an Event on an object, unless another replica does."""
        if self._leads():
            self._tasks.spawn("event", self._recorder.record(obj, EventKind.WARNING, reason, message))
