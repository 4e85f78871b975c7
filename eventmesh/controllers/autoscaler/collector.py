"""Load by revision, in sliding windows. Reports of pods and of activators meet here, and nothing counts twice."""

from __future__ import annotations

from dataclasses import dataclass

from eventmesh.autoscale.spec import Metric, ScaleSpec
from eventmesh.autoscale.stat import Stat
from eventmesh.autoscale.windows import Aggregation, Window
from eventmesh.kube.objects import Key


@dataclass(slots=True)
class _Windows:
    """The windows of one metric."""

    stable: Window
    panic: Window

    def record(self, value: float, now: float) -> None:
        self.stable.record(value, now)
        self.panic.record(value, now)


class Collector:
    """The windows of every revision that is being scaled; reports of others are dropped."""

    def __init__(self) -> None:
        self._revisions: dict[Key, dict[Metric, _Windows]] = {}
        self._specs: dict[Key, ScaleSpec] = {}

    def measure(self, key: Key, spec: ScaleSpec) -> None:
        """Collect the load of `key` in windows as `spec` wants them; what was collected before is kept."""
        known = self._specs.get(key)
        self._specs[key] = spec
        if known is None:
            self._revisions[key] = {metric: _new_windows(spec) for metric in Metric}
        elif _shape(known) != _shape(spec):
            for windows in self._revisions[key].values():
                windows.stable = windows.stable.resized(spec.stable_window_s, spec.aggregation)
                windows.panic = windows.panic.resized(spec.panic_window_s, spec.aggregation)

    def forget(self, key: Key) -> None:
        """Drop all that is known of `key`."""
        self._revisions.pop(key, None)
        self._specs.pop(key, None)

    def __contains__(self, key: object) -> bool:
        return key in self._revisions

    def record(self, key: Key, stat: Stat, now: float) -> None:
        """Add a report; the part that came through an activator is left to the activator's own."""
        windows = self._revisions.get(key)
        if windows is None:
            return
        concurrency = stat.average_concurrent_requests - stat.average_proxied_concurrent_requests
        windows[Metric.CONCURRENCY].record(max(0.0, concurrency), now)
        windows[Metric.RPS].record(max(0.0, stat.request_count - stat.proxied_request_count), now)

    def load(self, key: Key, now: float) -> tuple[float, float] | None:
        """Return the stable and the panic average of the metric that `key` is scaled on; None when nothing is known.

        A revision whose pods are never asked (every request passes an activator) is idle when nobody reports.
        """
        spec = self._specs[key]
        windows = self._revisions[key][spec.metric]
        stable = windows.stable.average(now)
        if stable is None:
            return (0.0, 0.0) if not is_scraped(spec) else None
        return stable, windows.panic.average(now) or 0.0


def is_scraped(spec: ScaleSpec) -> bool:
    """Return whether pods are asked for their load: not when an activator sees every request anyway."""
    return spec.target_burst_capacity >= 0


def _new_windows(spec: ScaleSpec) -> _Windows:
    return _Windows(Window(spec.stable_window_s, spec.aggregation), Window(spec.panic_window_s, spec.aggregation))


def _shape(spec: ScaleSpec) -> tuple[float, float, Aggregation]:
    return spec.stable_window_s, spec.panic_window_s, spec.aggregation
