"""PodAutoscaler of class kpa: carries decisions out (Knative, pkg/reconciler/autoscaling/kpa).

The order of writes is the point: waking scales the Deployment before anything else; going to sleep first
points the endpoints at the activator, waits until the data plane has acknowledged that, and only then takes
the last pod away.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from eventmesh.autoscale.annotations import CLASS
from eventmesh.autoscale.config import KPA_CLASS
from eventmesh.autoscale.decider import Decision, ServiceMode, undecided
from eventmesh.autoscale.spec import ScaleSpec, spec_of
from eventmesh.autoscale.zero import ACTIVATION_SLACK_S, Activity, Standing, Step, ZeroPolicy, step
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.errors import PermanentError
from eventmesh.base.frozen import frozen
from eventmesh.controllers.autoscaler.activity import active_mark, threshold
from eventmesh.controllers.autoscaler.collector import is_scraped
from eventmesh.controllers.autoscaler.deciders import Deciders
from eventmesh.controllers.autoscaler.resources import serverless_service
from eventmesh.controllers.autoscaler.scales import Scales
from eventmesh.controllers.autoscaler.scraper import ScrapedPod, ScrapeTarget
from eventmesh.controllers.autoscaler.standings import Standings
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.names import REVISION as REVISION_LABEL
from eventmesh.controllers.serving.resources.deployment import progress_deadline_s
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.controllers.workloads.pods import is_active, is_ready_pod
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import DEPLOYMENT, POD, POD_AUTOSCALER, SERVERLESS_SERVICE
from eventmesh.kube.status import Conditions, ConditionSet, condition, conditions_of, write_status

_log = log.get("controllers.autoscaler")

ACTIVE = "Active"
SCALE_TARGET_INITIALIZED = "ScaleTargetInitialized"
SKS_READY = "SKSReady"
_CONDITIONS = ConditionSet((ACTIVE, SCALE_TARGET_INITIALIZED, SKS_READY))
BY_REVISION = "revision"


@frozen
class _Scene:
    """What one reconcile works on."""

    key: Key
    autoscaler: Object
    spec: ScaleSpec
    decision: Decision | None
    standing: Standing
    ready: int
    replicas: int | None
    """What the Deployment is set to; None while there is none."""
    initialized: bool


class PodAutoscalers:
    """The controller of PodAutoscalers of class kpa; those of other classes are never touched."""

    def __init__(
        self,
        api: Api,
        informers: Informers,
        clock: Clock,
        recorder: EventRecorder,
        settings: SettingsStore,
        deciders: Deciders,
    ) -> None:
        self._api = api
        self._clock = clock
        self._children = Children(api)
        self._settings = settings
        self._deciders = deciders
        self._standings = Standings(clock)
        self._scales = Scales(api)
        self._autoscalers = informers.of(POD_AUTOSCALER)
        self._serverless = informers.of(SERVERLESS_SERVICE)
        self._deployments = informers.of(DEPLOYMENT)
        self._pods = informers.of(POD)
        self._pods.add_index(BY_REVISION, lambda pod: map(str, _revision_of(pod)))
        self.controller = Controller("podautoscaler", self._autoscalers, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._serverless)
        self.controller.watch(self._deployments, _revision_of, settle_s=SETTLE_S)
        self.controller.watch(self._pods, _revision_of, settle_s=SETTLE_S)
        deciders.on_change(self.controller.enqueue)
        settings.on_change(self._settings_changed)

    async def reconcile(self, key: Key) -> None:
        """Carry the decision in force out, as far as it may be now; raises PermanentError for a name not ours."""
        autoscaler = self._autoscalers.get(key.name, key.namespace)
        if autoscaler is None or is_deleting(autoscaler):
            self._deciders.forget(key)
            self._standings.forget(key)
            self._scales.forget(key)
            return
        if annotations_of(autoscaler).get(CLASS, KPA_CLASS) != KPA_CLASS:
            return
        conditions = Conditions(_CONDITIONS, conditions_of(autoscaler), self._clock.now())
        scene = self._look(key, autoscaler, conditions)
        next_step = self._next(scene)
        if next_step.apply and next_step.want is not None:
            await self._scale(scene, next_step.want)
        if next_step.again_after_s is not None:
            self.controller.enqueue_after(key, next_step.again_after_s)
        serverless = await self._point(scene, next_step.want)
        await self._tell(scene, next_step.want, serverless, conditions)

    def _look(self, key: Key, autoscaler: Object, conditions: Conditions) -> _Scene:
        spec = spec_of(
            annotations_of(autoscaler),
            self._settings.current.autoscaler,
            autoscaler["spec"].get("containerConcurrency") or 0,
            reachable=autoscaler["spec"].get("reachability") != "Unreachable",
        )
        ready = len(self._ready_pods(key))
        deployment = self._deployments.get(autoscaler["spec"]["scaleTargetRef"]["name"], key.namespace)
        serverless = self._serverless.get(key.name, key.namespace)
        return _Scene(
            key=key,
            autoscaler=autoscaler,
            spec=spec,
            decision=self._deciders.update(key, spec, ready),
            standing=self._standings.of(key, conditions.get(ACTIVE), serverless),
            ready=ready,
            replicas=self._scales.of(key, deployment),
            initialized=conditions.is_true(SCALE_TARGET_INITIALIZED),
        )

    def _next(self, scene: _Scene) -> Step:
        desired = _desired(scene)
        if desired is None:
            return Step(None, apply=False)
        config = self._settings.current.autoscaler
        deadline_s = progress_deadline_s(scene.autoscaler, self._settings.current)
        policy = ZeroPolicy(
            enabled=config.enable_scale_to_zero,
            grace_s=config.scale_to_zero_grace_s,
            retention_s=scene.spec.pod_retention_s if scene.spec.reachable else 0.0,
            stable_window_s=scene.spec.stable_window_s,
            activation_timeout_s=deadline_s + ACTIVATION_SLACK_S,
        )
        return step(desired, scene.standing, policy)

    async def _scale(self, scene: _Scene, want: int) -> None:
        if scene.replicas is None or scene.replicas == want:
            return
        await self._scales.set(scene.key, scene.autoscaler["spec"]["scaleTargetRef"]["name"], want)
        _log.info("scaled", revision=scene.key, replicas=want, before=scene.replicas)

    async def _point(self, scene: _Scene, want: int | None) -> Object:
        """Make the ServerlessService point at the pods or at the activator."""
        decision = scene.decision or undecided(scene.spec)
        asleep = want == 0 or (want is None and scene.standing.activity is Activity.INACTIVE)
        proxied = asleep or decision.excess_burst_capacity < 0
        if not proxied:
            self._standings.served(scene.key)
        mode = ServiceMode.PROXY if proxied else ServiceMode.SERVE
        wanted = serverless_service(scene.autoscaler, mode, decision.activators)
        try:
            return await self._children.ensure(self._serverless, wanted, scene.autoscaler)
        except NotOwned as error:
            raise PermanentError(str(error)) from error

    async def _tell(self, scene: _Scene, want: int | None, serverless: Object, conditions: Conditions) -> None:
        served: Object = serverless.get("status") or {}
        status: Object = dict(scene.autoscaler.get("status") or {})
        for field, source in (("serviceName", "serviceName"), ("metricsServiceName", "privateServiceName")):
            if served.get(source):
                status[field] = served[source]
        status["actualScale"] = scene.ready
        # While nothing is known, what is asked for is what was asked for last.
        status["desiredScale"] = scene.replicas if want is None else want
        needed = threshold(scene.spec, scene.initialized)
        if scene.ready >= needed and status.get("serviceName"):
            conditions.mark_true(SCALE_TARGET_INITIALIZED)
        ready = condition(serverless, "Ready")
        if ready is not None and ready["status"] == "True":
            conditions.mark_true(SKS_READY)
        else:
            conditions.mark_unknown(SKS_READY, "NotReady", (ready or {}).get("message", ""))
        mark = active_mark(want, scene.ready, needed, scene.standing.activity)
        if mark is not None:
            conditions.mark(ACTIVE, mark.activity.value, mark.reason, mark.message)
            self._standings.became(scene.key, mark.activity)
        status["conditions"] = conditions.result()
        await write_status(self._api, POD_AUTOSCALER, scene.autoscaler, status)

    # -- who is asked for its load

    def scrape_targets(self) -> Iterator[ScrapeTarget]:
        """Yield the pods of every revision that are to be asked for their load."""
        now = self._clock.now()
        for key, spec in self._deciders.specs():
            if is_scraped(spec):
                pods = tuple(_scraped(pod, now) for pod in self._ready_pods(key))
                yield ScrapeTarget(key, pods, spec.stable_window_s)

    def _ready_pods(self, key: Key) -> list[Object]:
        pods = self._pods.by_index(BY_REVISION, str(key))
        return [pod for pod in pods if is_ready_pod(pod) and is_active(pod)]

    def _settings_changed(self) -> None:
        for autoscaler in self._autoscalers:
            self.controller.enqueue(key_of(autoscaler))


def _desired(scene: _Scene) -> int | None:
    """Return the pods wanted within the bounds; None when nothing is known that speaks for a change."""
    if scene.decision is not None:
        return scene.spec.bounded(scene.decision.desired, scene.initialized)
    low, _ = scene.spec.bounds(scene.initialized)
    lacking = scene.replicas is not None and scene.replicas < low
    return low if lacking or scene.standing.activity is Activity.ACTIVATING else None


def _scraped(pod: Object, now: datetime) -> ScrapedPod:
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return ScrapedPod(pod["metadata"]["name"], pod["status"]["podIP"], (now - created).total_seconds())


def _revision_of(obj: Object) -> tuple[Key, ...]:
    name = labels_of(obj).get(REVISION_LABEL)
    return (Key(obj["metadata"]["namespace"], name),) if name else ()
