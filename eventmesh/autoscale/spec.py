"""What a revision asks of the autoscaler: cluster settings and annotations, joined into numbers."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from eventmesh.autoscale import annotations as keys
from eventmesh.autoscale.annotations import read
from eventmesh.autoscale.config import TARGET_MIN, AutoscalerConfig
from eventmesh.autoscale.windows import BUCKET_S, Aggregation
from eventmesh.base.durations import parse_go
from eventmesh.base.frozen import frozen

_RPS_FRACTION = 0.7
"""Requests per second have no container limit to be a percentage of: Knative always aims at 70 %."""


class Metric(Enum):
    """What is counted."""

    CONCURRENCY = "concurrency"
    RPS = "rps"


@frozen
class ScaleSpec:
    """All that `decider.decide` needs to know of a revision beside its load."""

    metric: Metric
    target: float
    """Wanted load of one pod."""
    total: float
    """Most load of one pod."""
    target_burst_capacity: float
    stable_window_s: float
    panic_window_s: float
    panic_threshold: float
    max_scale_up_rate: float
    max_scale_down_rate: float
    activation_scale: int
    """Pods that a waking revision starts with at least."""
    scale_down_delay_s: float
    reachable: bool
    """A route leads to it; one that none leads to may fall to zero at once and keeps no min-scale."""
    activator_capacity: float
    initial_scale: int
    min_scale: int
    max_scale: int
    """0 = no bound."""
    aggregation: Aggregation
    pod_retention_s: float

    def bounds(self, initialized: bool) -> tuple[int, int]:
        """Return the least and the most pods (0 = no bound); the initial scale holds until it was reached once."""
        low = self.min_scale if self.reachable else 0
        if not initialized and self.initial_scale > 1:
            low = max(low, self.initial_scale)
        return low, self.max_scale

    def bounded(self, desired: int, initialized: bool) -> int:
        """Return `desired` within the bounds."""
        low, high = self.bounds(initialized)
        if desired < low:
            return low
        return min(desired, high) if high else desired


def spec_of(
    annotations: Mapping[str, str], config: AutoscalerConfig, container_concurrency: int, *, reachable: bool
) -> ScaleSpec:
    """Return what a revision with these annotations and this containerConcurrency asks for."""
    metric = read(annotations, keys.METRIC, Metric, Metric.CONCURRENCY)
    target, total = _target(annotations, config, container_concurrency, metric)
    stable_window_s = read(annotations, keys.WINDOW, parse_go, config.stable_window_s)
    panic_fraction = read(annotations, keys.PANIC_WINDOW, _fraction, config.panic_window_fraction)
    return ScaleSpec(
        metric=metric,
        target=target,
        total=total,
        target_burst_capacity=read(annotations, keys.TARGET_BURST_CAPACITY, float, config.target_burst_capacity),
        stable_window_s=stable_window_s,
        panic_window_s=max(BUCKET_S, float(round(stable_window_s * panic_fraction))),
        panic_threshold=read(annotations, keys.PANIC_THRESHOLD, _fraction, config.panic_threshold),
        max_scale_up_rate=config.max_scale_up_rate,
        max_scale_down_rate=config.max_scale_down_rate,
        activation_scale=read(annotations, keys.ACTIVATION_SCALE, int, 1),
        scale_down_delay_s=read(annotations, keys.SCALE_DOWN_DELAY, parse_go, config.scale_down_delay_s),
        reachable=reachable,
        activator_capacity=config.activator_capacity,
        initial_scale=initial_scale(annotations, config),
        min_scale=read(annotations, keys.MIN_SCALE, int, config.min_scale),
        max_scale=_max_scale(annotations, config),
        aggregation=read(annotations, keys.AGGREGATION, Aggregation, Aggregation.LINEAR),
        pod_retention_s=read(annotations, keys.POD_RETENTION, parse_go, config.pod_retention_s),
    )


def initial_scale(annotations: Mapping[str, str], config: AutoscalerConfig) -> int:
    """Return how many pods a new revision starts with, within its max-scale."""
    wanted = read(annotations, keys.INITIAL_SCALE, int, config.initial_scale)
    if wanted == 0 and not config.allow_zero_initial_scale:
        wanted = config.initial_scale
    high = _max_scale(annotations, config)
    return min(wanted, high) if high else wanted


def _target(
    annotations: Mapping[str, str], config: AutoscalerConfig, container_concurrency: int, metric: Metric
) -> tuple[float, float]:
    if metric is Metric.RPS:
        total, fraction = config.rps_target, _RPS_FRACTION
    else:
        total, fraction = float(container_concurrency or config.concurrency_target), config.target_fraction
    annotated = read(annotations, keys.TARGET, float, 0.0)
    if annotated > 0:
        limited = metric is Metric.CONCURRENCY and container_concurrency > 0
        total = min(annotated, float(container_concurrency)) if limited else annotated
    fraction = read(annotations, keys.TARGET_UTILIZATION, _fraction, fraction)
    return max(TARGET_MIN, total * fraction), total


def _max_scale(annotations: Mapping[str, str], config: AutoscalerConfig) -> int:
    return read(annotations, keys.MAX_SCALE, int, config.max_scale)


def _fraction(percentage: str) -> float:
    return float(percentage) / 100
