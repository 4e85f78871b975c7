"""Tells the autoscaler how much every revision has to do, each second, and at once when one has to be woken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from eventmesh.activator.report_ways import ReportWay
from eventmesh.autoscale.stat import Stat, StatMessage, encode_messages
from eventmesh.base import log
from eventmesh.base.clock import Clock
from eventmesh.base.tasks import TaskGroup
from eventmesh.core.actions import QUESTION_NEED_CAPACITY, LoadRow

PERIOD_S = 1.0
"""Knative's reporting period: the autoscaler's buckets are one second wide."""

_log = log.get("activator.reporter")


class Reporter:
    """Reports loads of clusters named `<namespace>/<revision>`."""

    def __init__(
        self,
        way: ReportWay,
        pod_name: str,
        take_load: Callable[[float], list[LoadRow]],
        clock: Clock,
        waiting: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """`waiting` tells, per cluster, the load that waits outside the engine: events in the store."""
        self._waiting = waiting
        self._way = way
        self._pod_name = pod_name
        self._take_load = take_load
        self._clock = clock
        self._tasks = TaskGroup("reporter")
        self._reachable = True

    def start(self) -> None:
        """Begin to report."""
        self._tasks.spawn("report", self._run())

    async def stop(self) -> None:
        """Report no more."""
        await self._tasks.stop()
        await self._way.close()

    def on_question(self, _token: int, question: str, subject: str) -> None:
        """Poke the autoscaler: a request began to wait for the revision `subject`, which may be at zero."""
        if question == QUESTION_NEED_CAPACITY:
            self.poke(subject)

    def poke(self, revision: str) -> None:
        """Tell the autoscaler now that `<namespace>/<revision>` has, or will have, a request to answer."""
        waiting = Stat(self._pod_name, average_concurrent_requests=1.0, request_count=1.0)
        self._tasks.spawn(f"poke {revision}", self._send(self._messages([(revision, waiting)])))

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(PERIOD_S)
            await self._send(self._messages(self._loads()))

    def _loads(self) -> list[tuple[str, Stat]]:
        rows = {name: (average, begun) for name, average, begun, _, _ in self._take_load(self._clock.monotonic())}
        waiting = self._waiting()
        loads = []
        for name in rows.keys() | waiting.keys():
            average, begun = rows.get(name, (0.0, 0))
            average += waiting.get(name, 0.0)
            stat = Stat(self._pod_name, average_concurrent_requests=average, request_count=float(begun))
            loads.append((name, stat))
        return loads

    @staticmethod
    def _messages(loads: Iterable[tuple[str, Stat]]) -> list[StatMessage]:
        messages = []
        for cluster, stat in loads:
            namespace, _, revision = cluster.partition("/")
            # Clusters of plain Services carry a port; those of this process have no namespace. Neither is scaled.
            if revision and ":" not in revision:
                messages.append(StatMessage(namespace, revision, stat))
        return messages

    async def _send(self, messages: list[StatMessage]) -> None:
        if not messages:
            return
        problem = await self._way.send(encode_messages(messages))
        if bool(problem) == self._reachable:
            self._reachable = not problem
            write = _log.info if self._reachable else _log.warning
            write("autoscaler", reachable=self._reachable, problem=problem)
