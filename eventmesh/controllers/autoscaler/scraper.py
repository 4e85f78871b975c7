"""Asks pods for their load each second (Knative, pkg/autoscaler/metrics/stats_scraper.go)."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable, Sequence

import aiohttp

from eventmesh.autoscale.stat import Stat, StatError, decode_stat
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.frozen import frozen
from eventmesh.base.tasks import TaskGroup
from eventmesh.controllers.autoscaler.collector import Collector
from eventmesh.kube.objects import Key

_log = log.get("controllers.autoscaler.scraper")

PERIOD_S = 1.0
METRICS_PORT = 9090
TIMEOUT_S = 3.0
"""A pod that does not answer within this is left out; more would overlap too many rounds."""
MAX_STAT_BYTES = 4096
"""Knative's own sidecar writes at most some 340 bytes; an answer beyond this is not a Stat."""
ALL_UP_TO = 3
"""This many pods are all asked."""
_SAMPLE_SCALE = 1.96**2 * 100 / 25
"""Z² · population variance / error² for 95 % confidence, of Knative's populationMeanSampleSize."""


@frozen
class ScrapedPod:
    """Whom to ask."""

    name: str
    address: str
    age_s: float


@frozen
class ScrapeTarget:
    """A revision's pods that take requests."""

    key: Key
    pods: tuple[ScrapedPod, ...]
    stable_window_s: float


def sample_size(population: int) -> int:
    """Return how many of `population` pods are asked."""
    if population <= ALL_UP_TO:
        return population
    return math.ceil(population * _SAMPLE_SCALE / (_SAMPLE_SCALE + population - 1))


def sample(target: ScrapeTarget, draw: random.Random) -> list[ScrapedPod]:
    """Return whom to ask: pods that have seen a whole window first, since new ones pull the average down."""
    old = [pod for pod in target.pods if pod.age_s >= target.stable_window_s]
    young = [pod for pod in target.pods if pod.age_s < target.stable_window_s]
    draw.shuffle(old)
    draw.shuffle(young)
    return [*old, *young][: sample_size(len(target.pods))]


def extrapolate(stats: Sequence[Stat], population: int) -> Stat:
    """Return the load of the whole population from that of some of it."""
    factor = population / len(stats)
    return Stat(
        average_concurrent_requests=factor * sum(stat.average_concurrent_requests for stat in stats),
        average_proxied_concurrent_requests=factor * sum(stat.average_proxied_concurrent_requests for stat in stats),
        request_count=factor * sum(stat.request_count for stat in stats),
        proxied_request_count=factor * sum(stat.proxied_request_count for stat in stats),
    )


class Scraper:
    """The rounds of asking. A round never waits for the one before."""

    def __init__(
        self,
        collector: Collector,
        targets: Callable[[], Iterable[ScrapeTarget]],
        clock: Clock,
        *,
        port: int = METRICS_PORT,
        seed: int = 0,
    ) -> None:
        self._collector = collector
        self._targets = targets
        self._clock = clock
        self._port = port
        self._draw = random.Random(seed)  # noqa: S311  # a sample of pods, no secret
        self._asking: set[Key] = set()
        self._tasks = TaskGroup("scraper")

    async def run(self) -> None:
        """Ask every second until cancelled."""
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session:
                while True:
                    await self._clock.sleep(PERIOD_S)
                    self._round(session)
        finally:
            await self._tasks.stop()

    def _round(self, session: aiohttp.ClientSession) -> None:
        for target in self._targets():
            # A revision whose pods are slow to answer is asked again when they have.
            if target.pods and target.key not in self._asking:
                self._asking.add(target.key)
                self._tasks.spawn(str(target.key), self._ask(session, target))

    async def _ask(self, session: aiohttp.ClientSession, target: ScrapeTarget) -> None:
        try:
            chosen = sample(target, self._draw)
            answers = await asyncio.gather(*(self._stat(session, pod) for pod in chosen))
            stats = [stat for stat in answers if stat is not None]
            if stats:
                self._collector.record(target.key, extrapolate(stats, len(target.pods)), self._clock.monotonic())
        finally:
            self._asking.discard(target.key)

    async def _stat(self, session: aiohttp.ClientSession, pod: ScrapedPod) -> Stat | None:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            async with session.get(f"http://{host}:{self._port}/metrics") as answer:
                if answer.status != 200:
                    return None
                return decode_stat(await answer.content.read(MAX_STAT_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError, StatError) as error:
            # A pod that starts or ends does not answer; the others speak for it.
            _log.debug("pod did not tell its load", pod=pod.name, reason=error)
            return None
