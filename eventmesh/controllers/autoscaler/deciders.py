"""One decision for each revision, renewed every tick, and at once when the first request waits at zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eventmesh.autoscale.decider import DeciderState, Decision, Load, decide, initial_state
from eventmesh.autoscale.spec import ScaleSpec
from eventmesh.autoscale.stat import Stat
from eventmesh.base.clock import Clock
from eventmesh.controllers.autoscaler.collector import Collector
from eventmesh.kube.objects import Key

TICK_S = 2.0
"""How often decisions are renewed (Knative's tick-interval)."""

Changed = Callable[[Key], None]


@dataclass(slots=True)
class _Decider:
    spec: ScaleSpec
    ready_pods: int
    state: DeciderState
    decision: Decision | None = None


class Deciders:
    """Keeps decisions, and tells `changed` when one asks for something else than before."""

    def __init__(self, collector: Collector, clock: Clock) -> None:
        self._collector = collector
        self._clock = clock
        self._deciders: dict[Key, _Decider] = {}
        self._changed: Changed = lambda key: None

    def on_change(self, changed: Changed) -> None:
        """Call `changed` with a key when its decision has become another."""
        self._changed = changed

    def update(self, key: Key, spec: ScaleSpec, ready_pods: int) -> Decision | None:
        """Take note of what a revision asks for and has; return the decision in force, None before the first."""
        self._collector.measure(key, spec)
        decider = self._deciders.get(key)
        if decider is None:
            state = initial_state(ready_pods, self._clock.monotonic())
            decider = self._deciders[key] = _Decider(spec, ready_pods, state)
        decider.spec, decider.ready_pods = spec, ready_pods
        return decider.decision

    def forget(self, key: Key) -> None:
        """Stop deciding for `key`."""
        self._deciders.pop(key, None)
        self._collector.forget(key)

    def report(self, key: Key, stat: Stat) -> None:
        """Take in an activator's report. At zero, requests that wait get their decision now, not at the next tick."""
        now = self._clock.monotonic()
        self._collector.record(key, stat, now)
        decider = self._deciders.get(key)
        if decider is None or stat.average_concurrent_requests <= 0:
            return
        if decider.decision is None or decider.decision.desired == 0:
            self._decide(key, decider, now)

    async def run(self) -> None:
        """Renew every decision each tick until cancelled."""
        while True:
            await self._clock.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Renew every decision now."""
        now = self._clock.monotonic()
        for key, decider in list(self._deciders.items()):
            self._decide(key, decider, now)

    def specs(self) -> list[tuple[Key, ScaleSpec]]:
        """Return every revision that is decided for, and what it asks for."""
        return [(key, decider.spec) for key, decider in self._deciders.items()]

    def _decide(self, key: Key, decider: _Decider, now: float) -> None:
        averages = self._collector.load(key, now)
        if averages is None:
            # Nothing known is no reason to change anything.
            return
        load = Load(stable=averages[0], panic=averages[1], ready_pods=decider.ready_pods)
        before = decider.decision
        decider.decision = decide(load, decider.spec, decider.state, now)
        decider.state = decider.decision.state
        if before is None or _asks(before) != _asks(decider.decision):
            self._changed(key)


def _asks(decision: Decision) -> tuple[int, bool, int]:
    return decision.desired, decision.excess_burst_capacity < 0, decision.activators
