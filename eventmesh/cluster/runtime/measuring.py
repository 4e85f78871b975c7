"""Measures the pods of this machine, ends what takes more memory than it may, and tells the metrics API.

Also looks whether one has as many processes as it may, since the kernel refuses more without a word to anybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from eventmesh.base.clock import Clock, rfc3339
from eventmesh.cluster.runtime import podspec
from eventmesh.cluster.runtime.usage import SAMPLE_S, Usage, UsageMeter, usage_of, usage_quantities
from eventmesh.cluster.runtime.worker import PodWorker
from eventmesh.kube.api import Object
from eventmesh.kube.objects import labels_of
from eventmesh.kube.resources import POD_METRICS


class Measuring:
    """Reads again and again what the containers of `workers` use."""

    def __init__(self, workers: Callable[[], Iterable[PodWorker]], clock: Clock) -> None:
        self._workers = workers
        self._clock = clock
        self._meter = UsageMeter()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self._clock.sleep(SAMPLE_S)
            workers = list(self._workers())
            for worker in workers:
                worker.tell_refusals()
            pids = {
                (worker.uid, container, pid): (worker, container)
                for worker in workers
                for container, pid in worker.pids().items()
            }
            usages = await asyncio.get_running_loop().run_in_executor(None, _read_all, tuple(pids))
            self._meter.take(self._clock.monotonic(), usages)
            for key, usage in usages.items():
                worker, container = pids[key]
                limit = podspec.limits(worker.pod, container).memory_bytes
                if limit is not None and usage.memory_bytes > limit:
                    worker.out_of_memory(container, key[2])

    def pod_metrics(self) -> list[Object]:
        """Return `PodMetrics` of every pod whose containers have all been read twice."""
        return [found for worker in self._workers() if (found := self._metrics(worker)) is not None]

    def _metrics(self, worker: PodWorker) -> Object | None:
        names = list(worker.pids())
        rates = {name: rate for name in names if (rate := self._meter.rate(worker.uid, name)) is not None}
        if not rates or len(rates) < len(names):
            return None
        metadata, now = worker.pod["metadata"], rfc3339(self._clock.now())
        shown = {"name": metadata["name"], "namespace": metadata["namespace"], "creationTimestamp": now}
        return {
            "apiVersion": POD_METRICS.api_version,
            "kind": POD_METRICS.kind,
            "metadata": {**shown, "labels": labels_of(worker.pod)},
            "timestamp": now,
            "window": f"{max(rate.window_s for rate in rates.values()):.3f}s",
            "containers": [{"name": name, "usage": usage_quantities(rate)} for name, rate in rates.items()],
        }


def _read_all(processes: Iterable[tuple[str, str, int]]) -> Mapping[tuple[str, str, int], Usage]:
    return {key: usage_of(key[2]) for key in processes}
