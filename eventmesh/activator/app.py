"""The life of an activator process: a data plane that holds requests, the reporter, the broker, and event sources."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eventmesh.activator import https_entrance, job_sink, kafka_sink, request_reply, subscribers
from eventmesh.activator.broker.app import DEFAULT_RETENTION, Broker
from eventmesh.activator.broker.ingress import HANDLER as BROKER_HANDLER
from eventmesh.activator.broker.ingress import MAX_EVENT_BYTES, route_at
from eventmesh.activator.broker.store.values import Retention
from eventmesh.activator.demand import demand
from eventmesh.activator.direct import address_of, route_to
from eventmesh.activator.event_types import EventTypes
from eventmesh.activator.gatekeeper import Gatekeeper
from eventmesh.activator.https_entrance import Door, HttpsEntrance, reachable, secured
from eventmesh.activator.report_ways import NAME, OVER_HTTP, TIMEOUT_S, scheme_of, way_to
from eventmesh.activator.reporter import Reporter
from eventmesh.activator.shares import Activators
from eventmesh.activator.sources.app import EventSources, sinks_of
from eventmesh.activator.sources.outbox import Outbox
from eventmesh.activator.subscriber_guard import SubscriberGuard
from eventmesh.activator.tokens import Tokens
from eventmesh.activator.wakes import waker
from eventmesh.base import log
from eventmesh.base.clock import Clock, SystemClock
from eventmesh.base.errors import ConfigError, MeshError
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
from eventmesh.dataplane import admin
from eventmesh.dataplane.overlay import overlay
from eventmesh.dataplane.plane import DataPlane, Networks
from eventmesh.dataplane.process import Termination
from eventmesh.kube.api import Api
from eventmesh.kube.client import HttpApi
from eventmesh.kube.config import load_config
from eventmesh.kube.eventing_features import FeatureStore, features_informer
from eventmesh.kube.informer import Informers
from eventmesh.kube.resources import JOB_SINK, KAFKA_SINK, REQUEST_REPLY
from eventmesh.kube.token_reviews import TokenReviews
from eventmesh.kube.trust_bundles import TrustBundles, bundles_informer
from eventmesh.model.snapshot import Snapshot
from eventmesh.transport.exchange import ExchangeHandler
from eventmesh.xds.bootstrap import Bootstrap
from eventmesh.xds.client.ads import AdsClient
from eventmesh.xds.client.channel import calls_through, route_to_control
from eventmesh.xds.client.identified import identified
from eventmesh.xds.client.inbound import InboundTerms, beyond_inbound, first_terms, on_terms

if TYPE_CHECKING:
    from eventmesh.xds.client.workload_identity import WorkloadIdentity

CERTIFICATES_S: Final = 5.0
"""Longest wait for the certificates at the start: without them events are taken in by http, and by https later."""

_log = log.get("activator")


@frozen
class ActivatorSettings:
    """What the command line says."""

    autoscaler_url: str
    """Where load is reported."""
    broker_address: str
    """`host:port` that takes events in."""
    data_dir: Path
    """Where events are kept."""
    kubeconfig: Path | None
    """How to reach the API that Brokers and Triggers are read from."""
    drain_time_s: float
    retention: Retention = DEFAULT_RETENTION
    """How long events stay that nobody waits for."""
    store: str = ""
    """Address of a store that other activators share; empty: one of this process alone, in `data_dir`."""
    max_event_bytes: int = MAX_EVENT_BYTES
    """How long events may be that brokers and channels take in."""
    protected: tuple[str, ...] = ()
    """`host:port` of the mesh's other control ports: no event is delivered there."""
    broker_tls_address: str = "0.0.0.0:8443"
    """`host:port` that takes events in by https, while that is asked for."""
    pod_address: str = ""
    """Of this pod, by which it is found among the activators of a cluster; empty: there is no other."""


async def serve(bootstrap: Bootstrap, settings: ActivatorSettings) -> int:
    """Run an activator until it is told to end; return the exit code. Raises MeshError when it cannot start."""
    if bootstrap.ads is None:
        raise ConfigError(
            "dynamic_resources.ads_config", "an activator needs a control plane that tells it of revisions"
        )
    for warning in bootstrap.warnings:
        _log.warning("bootstrap", warning=warning)
    termination = Termination()
    termination.install()
    clock = SystemClock()
    begun = await identified(bootstrap, clock, termination.wanted)
    if begun is None:
        return 0
    bootstrap, identity = begun
    config = await load_config(settings.kubeconfig)
    settings = replace(settings, protected=(*settings.protected, address_of(config.server)))
    api = HttpApi(config)
    activator = Activator(bootstrap, settings, api, clock, termination, identity)
    try:
        await activator.start()
        await termination.wanted()
        await termination.unless_at_once(activator.drain())
    finally:
        await activator.stop()
        await api.close()
    return 0


class Activator:
    """The parts of the process. Must be made in a running event loop."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        settings: ActivatorSettings,
        api: Api,
        clock: Clock,
        termination: Termination,
        identity: WorkloadIdentity | None = None,
    ) -> None:
        self._settings = settings
        self._handlers: dict[str, ExchangeHandler] = {}
        self._own = _own(bootstrap, settings)
        known = [resource.cluster for resource in bootstrap.resources.clusters]
        self._control_plane = [endpoint.address for cluster in known for endpoint in cluster.endpoints]
        mine = frozenset(cluster.name for cluster in (*known, *self._own.clusters))
        # All others lead where objects of the API say, by a Trigger, a Service or its endpoints.
        guard = SubscriberGuard(lambda cluster: cluster not in mine, self._control_ports)
        self._entrance = self._ways = Snapshot(version="")
        """What is in force beside `_own`: the https listener, and ways to addresses that the mesh does not lead to."""
        self._follows_endpoints = False
        """Whether some of these ways lead to Services, whose endpoints move."""
        self._configuring = asyncio.Lock()
        self._activators = Activators(api, clock, settings.pod_address, self._divide)
        self._told: Snapshot | None = None
        """What control said last, with the pods of all activators."""
        self._applying = asyncio.Lock()
        terms = first_terms(bootstrap)
        self._plane = DataPlane(
            clock,
            self._handlers,
            own=on_terms(self._own, _takes_from_mesh, terms),
            networks=Networks(guard=guard.check),
            on_question=lambda *question: self._reporter.on_question(*question),
            resource=bootstrap.node.resource,
        )
        self._inbound = InboundTerms(self._plane, self._own, _takes_from_mesh, terms)
        pages = admin.Admin(self._plane, clock, bootstrap.node.id, termination.ask)
        pages.add("tap", admin.TAP_HELP, admin.Looking(self._plane, clock))
        if identity is not None:
            identity.offer(pages)
        self._handlers[admin.HANDLER] = pages
        caller = self._plane.caller
        pod_name = os.environ.get("POD_NAME", bootstrap.node.id)
        take_load = self._plane.engine.take_load
        self._reporter = Reporter(way_to(settings.autoscaler_url, caller), pod_name, take_load, clock, self._demand)
        informers = Informers(api, clock)
        self._features = FeatureStore(features_informer(api, clock))
        self._https = HttpsEntrance(api, clock, self._features, settings.broker_tls_address)
        self._bundles = TrustBundles(bundles_informer(api, clock))
        gatekeeper = Gatekeeper(informers, self._features, TokenReviews(api, clock))
        self._broker = Broker(
            settings.data_dir,
            api,
            informers,
            subscribers.MeshSubscribers(caller, settings.max_event_bytes),
            clock,
            waker(lambda: self._plane.snapshot, self._reporter.poke),
            retention=settings.retention,
            more=(sinks_of(informers),),
            admittance=gatekeeper,
            credentials=Tokens(api, self._features, clock),
            store=settings.store,
            max_event_bytes=settings.max_event_bytes,
        )
        pages.measure(self._broker.statistics)
        pages.add("events", "events and what became of them (`eventmesh events`)", self._broker.inspection)
        self._kafka_sinks = kafka_sink.KafkaSinks(api, informers.of(KAFKA_SINK, may_be_absent=True), gatekeeper, clock)
        replies = request_reply.RequestReplies(informers.of(REQUEST_REPLY), self._broker.ingress, gatekeeper)
        self._take_events(BROKER_HANDLER, self._broker.ingress)
        self._take_events(job_sink.HANDLER, job_sink.JobSinks(api, informers.of(JOB_SINK), gatekeeper))
        self._take_events(kafka_sink.HANDLER, self._kafka_sinks)
        self._take_events(request_reply.HANDLER, replies)
        self._broker.ingress.subscribe(replies)
        self._event_types = EventTypes(api, informers, self._features)
        self._broker.ingress.subscribe(self._event_types)
        self._sources = EventSources(api, informers, Outbox(self._broker.store, self._broker.ingress, clock), clock)
        assert bootstrap.ads is not None  # noqa: S101  # `serve` has checked
        self._ads = AdsClient(
            bootstrap.ads,
            bootstrap.node,
            self._apply,
            calls_through(caller, bootstrap.ads),
            static=beyond_inbound(bootstrap.resources),
            tables=subscribers.TABLES,
            clock=clock,
            identity=identity,
        )
        self._tasks = TaskGroup("activator")
        self._node = bootstrap.node.id

    async def start(self) -> None:
        """Serve; events are delivered as soon as control has said where to."""
        # Whether senders have to say who they are is known before anybody is listened to.
        self._tasks.spawn("features", self._features.informer.run())
        for informer in self._https.informers:
            self._tasks.spawn("certificates", informer.run())
        self._tasks.spawn("trust bundles", self._bundles.informer.run())
        await self._features.informer.synced()
        # The broker first: an event that is answered 404 because Brokers are not known yet is an event refused.
        await self._broker.start()
        await self._plane.start()
        self._event_types.start()
        self._sources.start()
        self._kafka_sinks.start()
        if self._settings.pod_address:
            self._tasks.spawn("activators", self._activators.informer.run())
        self._tasks.spawn("ads", self._ads.run())
        self._reporter.start()
        await self._begin_entrance()
        await self._reconfigure()
        for source in (self._broker.triggers, self._https, self._bundles):
            source.subscribe(self._changed)
        self._tasks.spawn("deliver", self._deliver())
        _log.info("serving", node=self._node, **self.addresses())

    async def _begin_entrance(self) -> None:
        """Listen for https if that is asked for from the beginning; raises UnavailableError where it cannot be."""
        if not self._https.is_wanted:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CERTIFICATES_S):
                await self._https.synced()
        await self._extend(self._https.beside(self._own, BROKER_HANDLER), self._ways)

    def _demand(self) -> Mapping[str, float]:
        return demand(self._broker.unserved(), self._plane.snapshot)

    def _control_ports(self) -> Iterator[str]:
        yield from self._settings.protected
        yield address_of(self._settings.autoscaler_url)
        listening = self._plane.addresses()
        yield from (listening[name] for name in (admin.LISTENER,) if name in listening)
        yield from self._control_plane

    def addresses(self) -> dict[str, str]:
        """Return where each listener really listens."""
        return self._plane.addresses()

    async def _deliver(self) -> None:
        # Routes first: what is sent without any is a failed attempt.
        await self._ads.initialized.wait()
        self._plane.go_live()
        # A certificate that only a bundle vouches for would be refused before it is known.
        await self._bundles.informer.synced()
        self._broker.deliver()

    def _take_events(self, name: str, handler: ExchangeHandler) -> None:
        """Register a handler of events: as it is for https, behind a door for http."""
        self._handlers[name] = Door(handler, self._features)
        self._handlers[secured(name)] = handler

    async def _apply(self, snapshot: Snapshot) -> None:
        async with self._applying:
            await self._inbound.apply(self._activators.place.narrowed(snapshot))
            self._told = snapshot
        if self._follows_endpoints:
            self._changed()

    def _divide(self) -> None:
        self._tasks.spawn("divide", self._narrow())

    async def _narrow(self) -> None:
        """Give requests to the pods that are this activator's now."""
        async with self._applying:
            place = self._activators.place
            if self._told is not None:
                await self._inbound.apply(place.narrowed(self._told))
        _log.info("activators", place=place.index, of=place.count)

    def _changed(self) -> None:
        self._tasks.spawn("reconfigure", self._reconfigure())

    async def _reconfigure(self) -> None:
        """Listen for https while that is asked for, and have a way to every address that the mesh does not lead to."""
        async with self._configuring:
            # The listener first: JobSinks and RequestReplies are sent to by way of it.
            entrance = self._https.beside(self._own, BROKER_HANDLER)
            await self._put(entrance, self._ways, "events are not taken in by https")
            addresses = list(self._broker.addresses())
            self._follows_endpoints = any(subscribers.leads_into_mesh(uri) for uri, _ in addresses)
            ways = subscribers.ways(addresses, self._surroundings())
            await self._put(self._entrance, ways, "subscribers outside the mesh cannot be reached")

    async def _put(self, entrance: Snapshot, ways: Snapshot, failure: str) -> None:
        try:
            await self._extend(entrance, ways)
        except MeshError as error:
            # Later, others are served: they go on.
            _log.error(failure, reason=error)

    async def _extend(self, entrance: Snapshot, ways: Snapshot) -> None:
        if (entrance, ways) != (self._entrance, self._ways):
            await self._inbound.extend(overlay(overlay(self._own, entrance), ways))
            self._entrance, self._ways = entrance, ways

    def _surroundings(self) -> subscribers.Surroundings:
        own = self.addresses().get(https_entrance.LISTENER, "")
        clusters = {cluster.name: cluster for cluster in self._plane.snapshot.clusters}
        return subscribers.Surroundings(self._bundles.current, reachable(own), clusters)

    async def drain(self) -> None:
        """Take nothing new in, finish what is in flight."""
        await self._sources.stop()
        await self._broker.pause()
        await self._plane.drain(self._settings.drain_time_s)

    async def stop(self) -> None:
        """End everything; what was acknowledged is on disk."""
        await self._tasks.stop()
        await self._sources.stop()
        await self._event_types.stop()
        await self._kafka_sinks.stop()
        await self._reporter.stop()
        await self._broker.stop()
        await self._plane.stop()


def _takes_from_mesh(listener: str) -> bool:
    # The one for requests of functions at zero comes from control, with its TLS.
    return listener in (BROKER_HANDLER, https_entrance.LISTENER)


def _own(bootstrap: Bootstrap, settings: ActivatorSettings) -> Snapshot:
    limit = settings.max_event_bytes
    own = route_at(settings.broker_address, limit, job_sink.HOST, kafka_sink.host(limit), request_reply.host(limit))
    if scheme_of(settings.autoscaler_url) == OVER_HTTP:
        own = overlay(route_to(address_of(settings.autoscaler_url), NAME, timeout_s=TIMEOUT_S), own)
    if bootstrap.ads is not None:
        own = overlay(own, route_to_control(bootstrap.ads))
    return overlay(own, admin.pages(bootstrap.admin)) if bootstrap.admin else own
