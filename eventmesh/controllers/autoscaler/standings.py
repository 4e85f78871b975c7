"""How long each revision has been awake or asleep, and behind the activator, to better than a second.

Conditions carry whole seconds and the SKS none at all; after a restart the stored condition is the best
that is known, and the wait behind the activator begins anew.
"""

from __future__ import annotations

from datetime import datetime

from eventmesh.autoscale.decider import ServiceMode
from eventmesh.autoscale.zero import Activity, Standing
from eventmesh.base.clock import Clock
from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key


class Standings:
    """The standing of every revision that is being scaled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._active: dict[Key, tuple[Activity, float]] = {}
        self._proxied: dict[Key, float] = {}

    def of(self, key: Key, active: Object | None, serverless: Object | None) -> Standing:
        """Return the standing, from the stored condition Active and the ServerlessService."""
        now = self._clock.monotonic()
        activity = Activity(active["status"]) if active is not None else Activity.ACTIVATING
        known = self._active.get(key)
        if known is None or known[0] is not activity:
            known = self._active[key] = (activity, now - self._stored_age_s(active))
        if serverless is not None and _is_proxied(serverless):
            self._proxied.setdefault(key, now)
        proxied_at = self._proxied.get(key)
        return Standing(activity, now - known[1], None if proxied_at is None else now - proxied_at)

    def became(self, key: Key, activity: Activity) -> None:
        """Take note that Active says `activity` from now on."""
        known = self._active.get(key)
        if known is None or known[0] is not activity:
            self._active[key] = (activity, self._clock.monotonic())

    def served(self, key: Key) -> None:
        """Take note that endpoints are to point at pods: the activator is leaving the path."""
        self._proxied.pop(key, None)

    def forget(self, key: Key) -> None:
        """Drop all that is known of `key`."""
        self._active.pop(key, None)
        self._proxied.pop(key, None)

    def _stored_age_s(self, active: Object | None) -> float:
        stamp = (active or {}).get("lastTransitionTime")
        if not stamp:
            return 0.0
        return max(0.0, (self._clock.now() - datetime.fromisoformat(stamp)).total_seconds())


def _is_proxied(serverless: Object) -> bool:
    """Return whether the data plane has acknowledged that requests go to the activator."""
    observed: object = (serverless.get("status") or {}).get("observedGeneration")
    asked: bool = serverless["spec"].get("mode") == ServiceMode.PROXY.value
    return asked and observed == serverless["metadata"].get("generation")
