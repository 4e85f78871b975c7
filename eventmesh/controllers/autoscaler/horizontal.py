"""PodAutoscaler of class hpa (Knative, pkg/reconciler/autoscaling/hpa): Kubernetes' own autoscaler does the scaling.

The revision never sleeps: its pods are served directly from the first on, and at least one stays.
"""

from __future__ import annotations

from eventmesh.autoscale.annotations import CLASS
from eventmesh.autoscale.config import HPA_CLASS, KPA_CLASS
from eventmesh.autoscale.decider import ServiceMode, undecided
from eventmesh.autoscale.spec import spec_of
from eventmesh.base.clock import Clock
from eventmesh.base.errors import PermanentError
from eventmesh.controllers.autoscaler.resources import horizontal_pod_autoscaler, serverless_service
from eventmesh.controllers.children import Children, NotOwned
from eventmesh.controllers.serving.names import REVISION as REVISION_LABEL
from eventmesh.controllers.serving.settings_store import SettingsStore
from eventmesh.controllers.workloads.pods import is_active, is_ready_pod
from eventmesh.kube.api import Api, Object
from eventmesh.kube.events import EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, annotations_of, is_deleting, key_of, labels_of
from eventmesh.kube.reconciler import SETTLE_S, Controller
from eventmesh.kube.resources import HORIZONTAL_POD_AUTOSCALER, POD, POD_AUTOSCALER, SERVERLESS_SERVICE
from eventmesh.kube.status import Conditions, ConditionSet, condition, conditions_of, write_status

_CONDITIONS = ConditionSet(("Active", "ScaleTargetInitialized", "SKSReady"))
_BUFFERED = "Requests to the target are being buffered as resources are provisioned."


class HorizontalPodAutoscalers:
    """The controller of PodAutoscalers of class hpa; those of other classes are never touched."""

    def __init__(
        self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder, settings: SettingsStore
    ) -> None:
        self._api = api
        self._clock = clock
        self._children = Children(api)
        self._settings = settings
        self._autoscalers = informers.of(POD_AUTOSCALER)
        self._serverless = informers.of(SERVERLESS_SERVICE)
        self._horizontal = informers.of(HORIZONTAL_POD_AUTOSCALER)
        self._pods = informers.of(POD)
        self.controller = Controller("podautoscaler-hpa", self._autoscalers, self.reconcile, clock, recorder=recorder)
        self.controller.watch_controlled(self._serverless)
        self.controller.watch_controlled(self._horizontal, settle_s=SETTLE_S)
        self.controller.watch(self._pods, self._of_class, settle_s=SETTLE_S)
        settings.on_change(self._settings_changed)

    async def reconcile(self, key: Key) -> None:
        """Keep the HorizontalPodAutoscaler and tell what it does; raises PermanentError for a name not ours."""
        autoscaler = self._autoscalers.get(key.name, key.namespace)
        if autoscaler is None or is_deleting(autoscaler):
            return
        if annotations_of(autoscaler).get(CLASS, KPA_CLASS) != HPA_CLASS:
            return
        spec = spec_of(
            annotations_of(autoscaler),
            self._settings.current.autoscaler,
            autoscaler["spec"].get("containerConcurrency") or 0,
            reachable=autoscaler["spec"].get("reachability") != "Unreachable",
        )
        wanted = serverless_service(autoscaler, ServiceMode.SERVE, undecided(spec).activators)
        try:
            horizontal = await self._children.ensure(
                self._horizontal, horizontal_pod_autoscaler(autoscaler, spec), autoscaler
            )
            serverless = await self._children.ensure(self._serverless, wanted, autoscaler)
        except NotOwned as error:
            raise PermanentError(str(error)) from error
        await self._tell(autoscaler, horizontal, serverless)

    async def _tell(self, autoscaler: Object, horizontal: Object, serverless: Object) -> None:
        conditions = Conditions(_CONDITIONS, conditions_of(autoscaler), self._clock.now())
        served: Object = serverless.get("status") or {}
        status: Object = dict(autoscaler.get("status") or {})
        for field, source in (("serviceName", "serviceName"), ("metricsServiceName", "privateServiceName")):
            if served.get(source):
                status[field] = served[source]
        ready = sum(1 for pod in self._pods_of(autoscaler) if is_ready_pod(pod) and is_active(pod))
        status["actualScale"] = ready
        desired = (horizontal.get("status") or {}).get("desiredReplicas")
        status["desiredScale"] = ready if desired is None else desired
        if ready:
            conditions.mark_true("Active")
            if status.get("serviceName"):
                conditions.mark_true("ScaleTargetInitialized")
        else:
            conditions.mark_unknown("Active", "Queued", _BUFFERED)
        up = condition(serverless, "Ready")
        if up is not None and up["status"] == "True":
            conditions.mark_true("SKSReady")
        else:
            conditions.mark_unknown("SKSReady", "NotReady", (up or {}).get("message", ""))
        status["conditions"] = conditions.result()
        await write_status(self._api, POD_AUTOSCALER, autoscaler, status)

    def _pods_of(self, autoscaler: Object) -> list[Object]:
        metadata = autoscaler["metadata"]
        pods = self._pods.list(metadata["namespace"])
        return [pod for pod in pods if labels_of(pod).get(REVISION_LABEL) == metadata["name"]]

    def _of_class(self, pod: Object) -> tuple[Key, ...]:
        name, namespace = labels_of(pod).get(REVISION_LABEL), pod["metadata"]["namespace"]
        autoscaler = self._autoscalers.get(name, namespace) if name else None
        if autoscaler is None or annotations_of(autoscaler).get(CLASS, KPA_CLASS) != HPA_CLASS:
            return ()
        return (key_of(autoscaler),)

    def _settings_changed(self) -> None:
        for autoscaler in self._autoscalers:
            self.controller.enqueue(key_of(autoscaler))
