"""What the broker counts; `docs/metrics.md` says what each family means."""

from __future__ import annotations

import collections
from collections.abc import Callable
from functools import cache

from eventmesh.activator.broker.store.api import EventStore
from eventmesh.activator.broker.store.values import Outcome
from eventmesh.activator.broker.triggers import Subscription, TriggerSource
from eventmesh.base.metrics import Count, Counter, Histogram, Labels, Row, Spread, Statistics

NO_ANSWER = "none"
"""Value of `code` when no answer came."""


class Measures:
    """The counters of all brokers and triggers of a process."""

    def __init__(self) -> None:
        self.outcomes: collections.Counter[tuple[str, str]] = collections.Counter()
        """(trigger `namespace/name`, outcome) -> events that ended so."""
        self._accepted = Counter("eventmesh_broker_events_accepted_total")
        self._duplicates = Counter("eventmesh_broker_events_duplicate_total")
        self._refused = Counter("eventmesh_broker_events_refused_total")
        self._accepting = Histogram("eventmesh_broker_accept_duration_seconds")
        self._arrivals: dict[str, tuple[Count, Spread]] = {}
        """Key of a broker -> what is counted of each of its events."""
        self._ended = Counter("eventmesh_trigger_events_total")
        self._attempts = Counter("eventmesh_trigger_attempts_total")
        self._retries = Counter("eventmesh_trigger_retries_total")
        self._attempting = Histogram("eventmesh_trigger_attempt_duration_seconds")
        self._delivering = Histogram("eventmesh_trigger_delivery_latency_seconds")

    def accepted(self, broker: str, took_s: float, *, duplicate: bool) -> None:
        """Count an event that was taken in, a reply among them; `took_s` passed until it was on disk."""
        if duplicate:
            self._duplicates.of(*_broker_labels(broker)).value += 1
            return
        kept = self._arrivals.get(broker)
        if kept is None:
            labels = _broker_labels(broker)
            kept = self._arrivals[broker] = self._accepted.of(*labels), self._accepting.of(*labels)
        count, spread = kept
        count.value += 1
        spread.observe(took_s)

    def refused(self, broker: str, reason: str) -> None:
        """Count an event that was not taken in; `broker` is empty when nobody of ours was meant."""
        self._refused.of(*_broker_labels(broker), ("reason", reason)).value += 1

    def of(self, subscription: Subscription) -> TriggerMeasures:
        """Return what is counted of one trigger."""
        labels = _trigger_labels(subscription)
        return TriggerMeasures(
            f"{subscription.namespace}/{subscription.name}",
            self.outcomes,
            lambda outcome: self._ended.of(*labels, ("outcome", outcome.value)),
            lambda status: self._attempts.of(*labels, ("code", str(status) if status else NO_ANSWER)),
            lambda: self._retries.of(*labels),
            self._attempting.of(*labels),
            self._delivering.of(*labels),
        )

    def forget(self, subscription: Subscription) -> None:
        """Drop what belongs to a trigger that is no more."""
        mine = set(_trigger_labels(subscription))

        def gone(labels: Labels) -> bool:
            return mine <= set(labels)

        for family in (self._ended, self._attempts, self._retries, self._attempting, self._delivering):
            family.forget(gone)

    def statistics(self) -> Statistics:
        """Return all rows so far."""
        counters = (self._accepted, self._duplicates, self._refused, self._ended, self._attempts, self._retries)
        histograms = (self._accepting, self._attempting, self._delivering)
        return Statistics(
            counters=[row for family in counters for row in family.rows()],
            histograms=[row for family in histograms for row in family.rows()],
        )


class TriggerMeasures:
    """The counters of one trigger; those that are never needed are never there."""

    def __init__(
        self,
        name: str,
        outcomes: collections.Counter[tuple[str, str]],
        ended: Callable[[Outcome], Count],
        attempts: Callable[[int], Count],
        retries: Callable[[], Count],
        attempting: Spread,
        delivering: Spread,
    ) -> None:
        self._name = name
        self._outcomes = outcomes
        self._ended = cache(ended)
        self._attempts = cache(attempts)
        self._retries = cache(retries)
        self._attempting = attempting
        self._delivering = delivering

    def ended(self, outcome: Outcome, count: int = 1) -> None:
        """Count events that are settled."""
        self._outcomes[self._name, outcome.value] += count
        self._ended(outcome).value += count

    def attempted(self, status: int, took_s: float, *, retry: bool) -> None:
        """Count a request; `status` 0: no answer came."""
        self._attempts(status).value += 1
        self._attempting.observe(took_s)
        if retry:
            self._retries().value += 1

    def delivered(self, age_s: float) -> None:
        """Take in how long after its acceptance an event was delivered for the first time."""
        self._delivering.observe(max(0.0, age_s))


async def statistics(measures: Measures, store: EventStore, triggers: TriggerSource) -> Statistics:
    """Return what is counted, and what waits now for each trigger that is worked on here. Raises StoreError."""
    found = measures.statistics()
    levels = await store.history.levels()
    for uid, subscription in sorted(triggers.subscriptions().items()):
        level = levels.get(uid)
        if level is None or not store.shares.mine(uid):
            continue
        labels = dict(_trigger_labels(subscription))
        rows: list[Row] = [
            ["eventmesh_trigger_backlog", labels, level.pending],
            ["eventmesh_trigger_dead_letters", labels, level.dead_letters],
            ["eventmesh_trigger_queued", labels, level.queued],
        ]
        found.gauges += rows
    size: Row = ["eventmesh_broker_store_bytes", {}, await store.history.size_bytes()]
    found.gauges.append(size)
    return found


def _broker_labels(key: str) -> Labels:
    namespace, _, name = key.partition("/")
    return ("namespace", namespace), ("broker", name)


def _trigger_labels(subscription: Subscription) -> Labels:
    return ("namespace", subscription.namespace), ("trigger", subscription.name)
