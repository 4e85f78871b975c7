"""Route: traffic resolved to revisions, published as a KIngress, named by Services and URLs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from eventmesh.base.clock import Clock
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.domains import cluster_host, is_cluster_local, url
from eventmesh.controllers.serving.labeler import Labeler
from eventmesh.controllers.serving.names import CLUSTER_LOCAL, ROLLOUT, VISIBILITY
from eventmesh.controllers.serving.names import CONFIGURATION as CONFIGURATION_LABEL
from eventmesh.controllers.serving.names import ROUTE as ROUTE_LABEL
from eventmesh.controllers.serving.resources.kingress import kingress
from eventmesh.controllers.serving.resources.placeholder import TAG, placeholder
from eventmesh.controllers.serving.rollout import RevisionShare, Rollout, acknowledged, read, rollout_duration_s, step
from eventmesh.controllers.serving.settings import ServingSettings
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.controllers.serving.traffic import DEFAULT_TAG, Target, Traffic, resolve
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, is_controlled_by, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import CONFIGURATION, KINGRESS, REVISION, ROUTE, SERVICE
from eventmesh.kube.status import Conditions, ConditionSet, condition, conditions_of, is_ready, write_status

ALL_TRAFFIC_ASSIGNED = "AllTrafficAssigned"
INGRESS_READY = "IngressReady"
CERTIFICATE_PROVISIONED = "CertificateProvisioned"
_CONDITIONS = ConditionSet((ALL_TRAFFIC_ASSIGNED, INGRESS_READY, CERTIFICATE_PROVISIONED))
BY_TARGET = "target"


class Routes:
    """The controller of Routes."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder, settings: SettingsStore
    ) -> None:
        self._api = api
        self._clock = clock
        self._children = Children(api, recorder)
        self._settings = settings
        self._routes = informers.of(ROUTE)
        self._configurations = informers.of(CONFIGURATION)
        self._revisions = informers.of(REVISION)
        self._ingresses = informers.of(KINGRESS)
        self._services = informers.of(SERVICE)
        self._services.add_index(ROUTE_LABEL, _route_of_service)
        self._routes.add_index(BY_TARGET, targets_index)
        self._labeler = Labeler(api, clock, self._revisions, self._configurations)
        self.controller = Controller("route", self._routes, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._ingresses)
        self.controller.watch_controlled(self._services)
        self.controller.watch(self._configurations, self._routes_to)
        self.controller.watch(self._revisions, self._routes_to)
        settings.on_change(self._settings_changed)

    async def reconcile(self, key: Key) -> None:
        """Publish the route's traffic, and tell who gets it and whether the data plane knows."""
        route = self._routes.get(key.name, key.namespace)
        if route is None:
            await self._labeler.label(key, (), (), release=True)
            return
        if is_deleting(route):
            return
        settings = self._settings.current
        conditions = Conditions(_CONDITIONS, conditions_of(route), self._clock.now())
        conditions.mark_true(CERTIFICATE_PROVISIONED, "TLSNotEnabled", "external-domain-tls is not enabled")
        status: Object = dict(route.get("status") or {})
        hidden = self._hidden(route, settings)
        status["url"] = url(route, DEFAULT_TAG, settings, hidden=DEFAULT_TAG in hidden)
        status["address"] = {"url": f"http://{cluster_host(route)}"}
        traffic = resolve(
            route,
            lambda name: self._configurations.get(name, key.namespace),
            lambda name: self._revisions.get(name, key.namespace),
        )
        traffic = dataclasses.replace(traffic, hidden=hidden)
        rollout = Rollout()
        if traffic.problem is None:
            conditions.mark_true(ALL_TRAFFIC_ASSIGNED)
            rollout = self._roll(route, traffic, settings)
            status["traffic"] = [
                _told(route, target, share, settings, hidden=target.tag in hidden)
                for target, share in traffic.told(rollout)
            ]
            await self._publish(route, traffic, rollout, conditions)
        else:
            problem = traffic.problem
            conditions.mark(ALL_TRAFFIC_ASSIGNED, problem.status, problem.reason, problem.message)
        await self._label(route, traffic, rollout, moved=conditions.is_true(INGRESS_READY))
        status["conditions"] = conditions.result()
        await write_status(self._api, ROUTE, route, status)

    def _hidden(self, route: Object, settings: ServingSettings) -> frozenset[str]:
        """Return the tags that are for the cluster alone: all of a hidden route, else those whose Services say so."""
        if is_cluster_local(route, settings):
            return frozenset([DEFAULT_TAG, *(target.get("tag") or "" for target in route["spec"].get("traffic") or [])])
        services = self._services.by_index(ROUTE_LABEL, str(key_of(route)))
        local = [labels_of(service) for service in services if is_controlled_by(service, route)]
        return frozenset(labels.get(TAG, DEFAULT_TAG) for labels in local if labels.get(VISIBILITY) == CLUSTER_LOCAL)

    def _roll(self, route: Object, traffic: Traffic, settings: ServingSettings) -> Rollout:
        """Return how the traffic is to flow now, and come back when the next step is due."""
        key, goal = key_of(route), traffic.goal()
        ingress = self._ingresses.get(key.name, key.namespace)
        duration_s = rollout_duration_s(route, settings)
        before = read(annotations_of(ingress).get(ROLLOUT, "")) if ingress is not None and duration_s else None
        if ingress is None or before is None:
            return goal
        now_ns = int(self._clock.now().timestamp() * 1e9)
        before = before.without(lambda revision: self._revisions.get(revision, key.namespace) is None)
        if is_ready(ingress):
            before = acknowledged(before, now_ns, duration_s)
        rollout = step(goal, before, now_ns)
        if rollout.next_ns is not None:
            self.controller.enqueue_after(key, max(0.0, (rollout.next_ns - now_ns) / 1e9))
        return rollout

    async def _publish(self, route: Object, traffic: Traffic, rollout: Rollout, conditions: Conditions) -> None:
        names = {target.revision_name: target.revision for target in traffic.targets}
        for name in rollout.revisions():
            revision = self._revisions.get(name, route["metadata"]["namespace"])
            if revision is not None:
                names[name] = revision
        wanted = kingress(route, traffic, rollout, names, self._settings.current)
        try:
            ingress = await self._children.ensure(self._ingresses, wanted, route)
            await self._name(route, traffic, ingress)
        except NotOwned as error:
            conditions.mark_false(INGRESS_READY, "NotOwned", str(error))
            return
        ready = condition(ingress, "Ready")
        observed = (ingress.get("status") or {}).get("observedGeneration") == ingress["metadata"]["generation"]
        if ready is None or not observed:
            conditions.mark_unknown(INGRESS_READY, "IngressNotConfigured", "Ingress has not yet been reconciled.")
        elif is_ready(ingress) and not rollout.done:
            message = "A gradual rollout of the latest revision(s) is in progress."
            conditions.mark_unknown(INGRESS_READY, "RolloutInProgress", message)
        else:
            conditions.mark(INGRESS_READY, ready["status"], ready.get("reason", ""), ready.get("message", ""))

    async def _name(self, route: Object, traffic: Traffic, ingress: Object) -> None:
        """Keep a Service for the route and for each of its tags, and none for a tag that is gone."""
        wanted = [placeholder(route, tag, ingress) for tag in traffic.tags()]
        for service in wanted:
            await self._children.ensure(self._services, service, route, kept_labels=(VISIBILITY,))
        names = {service["metadata"]["name"] for service in wanted}
        for stored in self._services.by_index(ROUTE_LABEL, str(key_of(route))):
            if stored["metadata"]["name"] not in names and is_controlled_by(stored, route):
                await self._children.delete(SERVICE, stored)

    async def _label(self, route: Object, traffic: Traffic, rollout: Rollout, *, moved: bool) -> None:
        """Note on revisions and configurations that this route leads to them, those it is about to lead to included."""
        namespace = route["metadata"]["namespace"]
        revisions = {target.revision_name for target in traffic.targets} | set(rollout.revisions())
        configurations = set()
        for target in route["spec"].get("traffic") or []:
            named = target.get("revisionName")
            if named:
                revisions.add(named)
                owner = labels_of(self._revisions.get(named, namespace) or {"metadata": {}}).get(CONFIGURATION_LABEL)
                configurations |= {owner} if owner else set()
                continue
            configurations.add(target["configurationName"])
            configuration = self._configurations.get(target["configurationName"], namespace)
            newest = ((configuration or {}).get("status") or {}).get("latestCreatedRevisionName")
            if newest:
                revisions.add(newest)
        await self._labeler.label(key_of(route), revisions, configurations, release=moved)

    def _routes_to(self, obj: Object) -> Iterator[Key]:
        """Yield the routes whose targets name a configuration or revision, or the configuration of a revision."""
        namespace = obj["metadata"]["namespace"]
        for name in {obj["metadata"]["name"], labels_of(obj).get(CONFIGURATION_LABEL)} - {None}:
            yield from (key_of(route) for route in self._routes.by_index(BY_TARGET, str(Key(namespace, name))))

    def _settings_changed(self) -> None:
        for route in self._routes:
            self.controller.enqueue(key_of(route))


def _told(route: Object, target: Target, share: RevisionShare, settings: ServingSettings, *, hidden: bool) -> Object:
    told: Object = {"revisionName": share.revision, "percent": share.percent, "latestRevision": target.latest}
    if target.tag:
        told |= {"tag": target.tag, "url": url(route, target.tag, settings, hidden=hidden)}
    return told


def targets_index(route: Object) -> Iterator[str]:
    """Yield the index entries of a route: the configurations and revisions that its targets name."""
    namespace = route["metadata"]["namespace"]
    for target in (route.get("spec") or {}).get("traffic") or []:
        name = target.get("revisionName") or target.get("configurationName")
        if name:
            yield str(Key(namespace, name))


def _route_of_service(service: Object) -> tuple[str, ...]:
    name = labels_of(service).get(ROUTE_LABEL)
    return (str(Key(service["metadata"]["namespace"], name)),) if name else ()
