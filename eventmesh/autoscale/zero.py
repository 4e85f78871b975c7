"""The last step down: when a wish for no pods may be carried out (Knative, pkg/reconciler/autoscaling/kpa/scaler.go).

Upstream probes the activator to learn that it is in the path; here the data plane's acknowledgement says so.
"""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen

ACTIVATION_SLACK_S = 30.0
"""Added to the progress deadline before an activation is given up, so that the Deployment's own failure is
told first (Knative's activationTimeoutBuffer)."""


class Activity(Enum):
    """What the condition Active of a PodAutoscaler says."""

    ACTIVE = "True"
    ACTIVATING = "Unknown"
    INACTIVE = "False"


@frozen
class Standing:
    """Where a revision stands on its way down."""

    activity: Activity
    since_s: float
    """How long it has been so."""
    proxied_s: float | None
    """How long the data plane has acknowledged the activator as the way in; None = it has not yet."""


@frozen
class ZeroPolicy:
    """The settings that hold a revision back from zero."""

    enabled: bool
    grace_s: float
    retention_s: float
    stable_window_s: float
    activation_timeout_s: float
    """Progress deadline and slack."""


@frozen
class Step:
    """What to do with a wish."""

    want: int | None
    """Pods to report as wanted; None = not known now."""
    apply: bool
    """Whether the Deployment is to be scaled to `want`."""
    again_after_s: float | None = None
    """Ask again after this many seconds, though nothing else has changed."""


def step(desired: int, standing: Standing, policy: ZeroPolicy) -> Step:
    """Return how far a wish for `desired` pods may be carried out now."""
    if desired > 0:
        return Step(desired, apply=True)
    if not policy.enabled:
        return Step(1, apply=True)
    match standing.activity:
        case Activity.ACTIVATING:
            left = policy.activation_timeout_s - standing.since_s
            return Step(0, apply=True) if left <= 0 else Step(None, apply=False, again_after_s=left)
        case Activity.ACTIVE:
            left = policy.stable_window_s - standing.since_s
            return Step(0, apply=False) if left <= 0 else Step(1, apply=True, again_after_s=left)
        case Activity.INACTIVE:
            return _last_pod(standing, policy)


def _last_pod(standing: Standing, policy: ZeroPolicy) -> Step:
    if standing.proxied_s is None:
        # The acknowledgement is a change of the ServerlessService: it asks again by itself.
        return Step(0, apply=False)
    grace = policy.grace_s - max(standing.proxied_s, standing.since_s)
    left = max(grace, policy.retention_s - standing.since_s)
    return Step(0, apply=True) if left <= 0 else Step(0, apply=False, again_after_s=left)
