"""HorizontalPodAutoscaler: as many pods as the load asks for, for the embedded cluster.

Metrics of type `Resource` (cpu, memory) are read from the metrics API; any other type is said to be unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eventmesh.autoscale.horizontal import (
    DOWN,
    UP,
    Bounds,
    Limit,
    Memory,
    Outcome,
    PodLoad,
    PodState,
    propose,
    read_rules,
    settle,
)
from eventmesh.base.clock import Clock, rfc3339
from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen
from eventmesh.controllers.workloads.pods import is_active, phase
from eventmesh.controllers.workloads.rollout import desired_replicas
from eventmesh.kube.api import Api, ApiError, Object
from eventmesh.kube.events import EventKind, EventRecorder
from eventmesh.kube.informer import Informers
from eventmesh.kube.objects import Key, is_deleting, labels_of
from eventmesh.kube.quantity import parse_quantity
from eventmesh.kube.reconciler import Controller
from eventmesh.kube.resources import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD, POD_METRICS, REPLICA_SET
from eventmesh.kube.selectors import LabelSelector
from eventmesh.kube.status import condition, write_status

SYNC_S: Final = 15.0
"""Between two looks at the load; Kubernetes' horizontal-pod-autoscaler-sync-period."""

INITIALIZATION_S: Final = 300.0
"""A young pod's processor time counts only once it was ready; horizontal-pod-autoscaler-cpu-initialization-period."""

_TARGETS: Final = {"Deployment": DEPLOYMENT, "ReplicaSet": REPLICA_SET}
_DEFAULT_PERCENT: Final = 80
_RESOURCES: Final = ("cpu", "memory")


class NoMetricError(MeshError):
    """A metric cannot be had; `reason` is Kubernetes' word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@frozen
class Wish:
    """What one metric wants, and how it is shown in the status."""

    replicas: int
    current: Object
    name: str


class HorizontalAutoscalers:
    """The controller of HorizontalPodAutoscalers."""

    def __init__(self, api: Api, informers: Informers, clock: Clock, recorder: EventRecorder) -> None:
        self._api = api
        self._clock = clock
        self._recorder = recorder
        self._autoscalers = informers.of(HORIZONTAL_POD_AUTOSCALER)
        self._targets = {kind: informers.of(resource) for kind, resource in _TARGETS.items()}
        self._pods = informers.of(POD)
        self._memories: dict[Key, Memory] = {}
        self._looked: dict[Key, tuple[float, int]] = {}
        self.controller = Controller(
            "horizontalpodautoscaler", self._autoscalers, self.reconcile, clock, recorder=recorder
        )

    async def reconcile(self, key: Key) -> None:
        """Look at the load and scale; come back in `SYNC_S`."""
        autoscaler = self._autoscalers.get(key.name, key.namespace)
        if autoscaler is None or is_deleting(autoscaler):
            self._memories.pop(key, None)
            self._looked.pop(key, None)
            return
        if not self._is_due(key, autoscaler):
            return
        self.controller.enqueue_after(key, SYNC_S)
        told = _Told(autoscaler, self._clock.now())
        target = self._target(autoscaler, key.namespace)
        if target is None:
            reference = autoscaler["spec"]["scaleTargetRef"]
            message = f"the HPA controller was unable to get the target's current scale: {reference['kind']} "
            told.mark("AbleToScale", "False", "FailedGetScale", f'{message}"{reference["name"]}" not found')
        else:
            told.mark(
                "AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the current scale"
            )
            await self._advance(key, autoscaler, target, told)
        await write_status(self._api, HORIZONTAL_POD_AUTOSCALER, autoscaler, told.status)

    def _is_due(self, key: Key, autoscaler: Object) -> bool:
        """Return whether to look now: not again because of our own writes, but at once when the author changed it."""
        now, generation = self._clock.monotonic(), autoscaler["metadata"].get("generation", 0)
        at, seen = self._looked.get(key, (now - SYNC_S, generation))
        if now - at < SYNC_S and seen == generation:
            return False
        self._looked[key] = (now, generation)
        return True

    def _target(self, autoscaler: Object, namespace: str) -> Object | None:
        reference = autoscaler["spec"]["scaleTargetRef"]
        informer = self._targets.get(reference["kind"])
        return informer.get(reference["name"], namespace) if informer is not None else None

    async def _advance(self, key: Key, autoscaler: Object, target: Object, told: _Told) -> None:
        spec, current = autoscaler["spec"], desired_replicas(target)
        told.status["currentReplicas"] = (target.get("status") or {}).get("replicas", 0)
        low = spec.get("minReplicas")
        bounds = Bounds(1 if low is None else int(low), int(spec["maxReplicas"]))
        behavior = spec.get("behavior") or {}
        up, down = read_rules(behavior.get("scaleUp"), UP), read_rules(behavior.get("scaleDown"), DOWN)
        memory = self._memories.setdefault(key, Memory())
        if current == 0:
            why = "scaling is disabled since the replica count of the target is zero"
            told.mark("ScalingActive", "False", "ScalingDisabled", why)
            told.status["desiredReplicas"] = 0
            return
        if not bounds.low <= current <= bounds.high:
            outcome, because = Outcome(min(max(current, bounds.low), bounds.high)), _BOUNDS
        else:
            wish = await self._wish(autoscaler, target, current, told)
            if wish is None:
                told.status["desiredReplicas"] = current
                return
            outcome = settle(wish.replicas, current, memory, bounds, up, down, self._clock.monotonic())
            because = f"{wish.name} above target" if outcome.replicas > current else "All metrics below target"
            told.outcome(outcome, wish.replicas)
        told.status["desiredReplicas"] = outcome.replicas
        if outcome.replicas != current:
            await self._scale(autoscaler, target, outcome.replicas, because, told)
            memory.note_change(self._clock.monotonic(), outcome.replicas - current, up, down)

    async def _scale(self, autoscaler: Object, target: Object, replicas: int, because: str, told: _Told) -> None:
        metadata, resource = target["metadata"], _TARGETS[autoscaler["spec"]["scaleTargetRef"]["kind"]]
        await self._api.patch(resource, metadata["name"], {"spec": {"replicas": replicas}}, metadata["namespace"])
        told.status["lastScaleTime"] = rfc3339(self._clock.now())
        why = f"the HPA controller was able to update the target scale to {replicas}"
        told.mark("AbleToScale", "True", "SucceededRescale", why)
        message = f"New size: {replicas}; reason: {because}"
        await self._recorder.record(autoscaler, EventKind.NORMAL, "SuccessfulRescale", message)

    async def _wish(self, autoscaler: Object, target: Object, current: int, told: _Told) -> Wish | None:
        """Return the largest wish of all metrics; None when one that cannot be had might have wanted more."""
        wishes, missing = [], None
        for metric in autoscaler["spec"].get("metrics") or [default_metric()]:
            try:
                wishes.append(await self._measure(metric, target, current))
            except NoMetricError as error:
                missing = error
        told.status["currentMetrics"] = [wish.current for wish in wishes]
        best = max(wishes, key=lambda wish: wish.replicas, default=None)
        if missing is not None and (best is None or best.replicas <= current):
            why = f"the HPA was unable to compute the replica count: {missing}"
            told.mark("ScalingActive", "False", missing.reason, why)
            await self._recorder.record(autoscaler, EventKind.WARNING, missing.reason, str(missing))
            return None
        if best is not None:
            why = f"the HPA was able to successfully calculate a replica count from {best.name}"
            told.mark("ScalingActive", "True", "ValidMetricFound", why)
        return best

    async def _measure(self, metric: Object, target: Object, current: int) -> Wish:
        resource = metric.get("resource") or {}
        name, wanted = resource.get("name"), resource.get("target") or {}
        if metric.get("type") != "Resource" or name not in _RESOURCES:
            kind = metric.get("type")
            raise NoMetricError(f"FailedGet{kind}Metric", f"no metrics of type {kind} here but those of cpu and memory")
        percent = wanted.get("averageUtilization")
        goal = float(parse_quantity(wanted["averageValue"])) if percent is None else percent / 100
        loads = await self._loads(target, name, by_request=percent is not None)
        proposal = propose(current, loads, goal)
        if proposal is None:
            why = "did not receive metrics for targeted pods (pods might be unready)"
            raise NoMetricError("FailedGetResourceMetric", f"failed to get {name} utilization: {why}")
        used = [load.used for load in loads if load.state is PodState.STEADY]
        shown: Object = {"averageValue": _quantity(name, sum(used) / len(used))}
        words = f"{name} resource"
        if percent is not None:
            shown["averageUtilization"] = int(proposal.share * 100)
            words = f"{name} resource utilization (percentage of request)"
        return Wish(proposal.replicas, {"type": "Resource", "resource": {"name": name, "current": shown}}, words)

    async def _loads(self, target: Object, name: str, *, by_request: bool) -> list[PodLoad]:
        namespace = target["metadata"]["namespace"]
        try:
            metrics = (await self._api.list(POD_METRICS, namespace)).items
        except ApiError as error:
            why = f"unable to get metrics for resource {name}: unable to fetch metrics from resource metrics API"
            raise NoMetricError("FailedGetResourceMetric", f"{why}: {error.message}") from error
        by_name = {item["metadata"]["name"]: item for item in metrics}
        selector, now = LabelSelector.of(target["spec"]["selector"]), self._clock.now()
        pods = [pod for pod in self._pods.list(namespace) if selector.matches(labels_of(pod)) and is_active(pod)]
        return [pod_load(pod, by_name.get(pod["metadata"]["name"]), name, by_request, now) for pod in pods]


def default_metric() -> Object:
    """Return what an autoscaler without metrics looks at: 80 % of the requested processor time."""
    target = {"type": "Utilization", "averageUtilization": _DEFAULT_PERCENT}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def pod_load(pod: Object, metrics: Object | None, name: str, by_request: bool, now: datetime) -> PodLoad:
    """Return the load of a pod; raises NoMetricError for a share of a request that a container does not make."""
    requested = _requested(pod, name) if by_request else 1.0
    if phase(pod) == "Pending" or (name == "cpu" and _is_starting(pod, metrics, now)):
        return PodLoad(PodState.UNREADY, requested=requested)
    if metrics is None:
        return PodLoad(PodState.UNKNOWN, requested=requested)
    used = sum(float(parse_quantity(container["usage"][name])) for container in metrics["containers"])
    return PodLoad(PodState.STEADY, used, requested)


def _requested(pod: Object, name: str) -> float:
    total = 0.0
    for container in pod["spec"]["containers"]:
        resources = container.get("resources") or {}
        request = (resources.get("requests") or {}).get(name) or (resources.get("limits") or {}).get(name)
        if request is None:
            where = f"container {container['name']} of Pod {pod['metadata']['name']}"
            why = f"failed to get {name} utilization: missing request for {name} in {where}"
            raise NoMetricError("FailedGetResourceMetric", why)
        total += float(parse_quantity(request))
    return total


def _is_starting(pod: Object, metrics: Object | None, now: datetime) -> bool:
    """Return whether what the pod uses is still its own start."""
    ready, started = condition(pod, "Ready"), (pod.get("status") or {}).get("startTime")
    if ready is None or not started:
        return True
    if ready["status"] != "True":
        return True
    if now - datetime.fromisoformat(started) > timedelta(seconds=INITIALIZATION_S):
        return False
    if metrics is None:
        return False
    window = timedelta(seconds=float(str(metrics["window"]).removesuffix("s")))
    return datetime.fromisoformat(metrics["timestamp"]) - window < datetime.fromisoformat(ready["lastTransitionTime"])


def _quantity(name: str, value: float) -> str:
    return f"{round(value * 1000)}m" if name == "cpu" else str(round(value))


_BOUNDS: Final = "Current number of replicas outside the bounds of the HPA"
_LIMITS: Final = {
    Limit.NONE: "the desired count is within the acceptable range",
    Limit.TOO_FEW: "the desired replica count is less than the minimum replica count",
    Limit.TOO_MANY: "the desired replica count is more than the maximum replica count",
    Limit.UP_RATE: "the desired replica count is increasing faster than the maximum scale rate",
    Limit.DOWN_RATE: "the desired replica count is decreasing faster than the maximum scale rate",
}


class _Told:
    """The status that one pass writes."""

    def __init__(self, autoscaler: Object, now: datetime) -> None:
        stored = autoscaler.get("status") or {}
        self.status: Object = {"currentReplicas": 0, "desiredReplicas": 0, **stored}
        self._now = rfc3339(now)

    def mark(self, kind: str, status: str, reason: str, message: str) -> None:
        conditions: Sequence[Object] = self.status.get("conditions") or []
        before = next((entry for entry in conditions if entry["type"] == kind), None)
        turned = before is None or before["status"] != status
        since = self._now if turned or before is None else before["lastTransitionTime"]
        written = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
        self.status["conditions"] = [*(entry for entry in conditions if entry["type"] != kind), written]

    def outcome(self, outcome: Outcome, wanted: int) -> None:
        if outcome.stabilized and outcome.replicas > wanted:
            why = "recent recommendations were higher than current one, applying the highest recent recommendation"
            self.mark("AbleToScale", "True", "ScaleDownStabilized", why)
        elif outcome.stabilized:
            why = "recent recommendations were lower than current one, applying the lowest recent recommendation"
            self.mark("AbleToScale", "True", "ScaleUpStabilized", why)
        else:
            self.mark("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size")
        limited = outcome.limit is not Limit.NONE
        self.mark("ScalingLimited", str(limited), outcome.limit.value, _LIMITS[outcome.limit])
