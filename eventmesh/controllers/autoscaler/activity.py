"""Whether a revision is awake: the condition Active of its PodAutoscaler (Knative, computeActiveCondition). Pure."""

from __future__ import annotations

from eventmesh.autoscale.spec import ScaleSpec
from eventmesh.autoscale.zero import Activity
from eventmesh.base.frozen import frozen


@frozen
class ActiveMark:
    """What Active says from now on."""

    activity: Activity
    reason: str = ""
    message: str = ""


ACTIVE = ActiveMark(Activity.ACTIVE)
NO_TRAFFIC = ActiveMark(Activity.INACTIVE, "NoTraffic", "The target is not receiving traffic.")
TIMED_OUT = ActiveMark(Activity.INACTIVE, "TimedOut", "The target could not be activated.")
QUEUED = ActiveMark(
    Activity.ACTIVATING, "Queued", "Requests to the target are being buffered as resources are provisioned."
)


def threshold(spec: ScaleSpec, initialized: bool) -> int:
    """Return how many pods must be ready for a revision to be awake; 0 only for one that starts asleep."""
    low = spec.min_scale if spec.reachable else 0
    return max(low, 1) if initialized else max(low, spec.initial_scale)


def active_mark(want: int | None, ready: int, needed: int, activity: Activity) -> ActiveMark | None:
    """Return what Active is to say; None leaves it as it is. `want` is None when nothing is known."""
    if want == 0 or needed == 0:
        return TIMED_OUT if activity is Activity.ACTIVATING and needed > 0 else NO_TRAFFIC
    asleep_for_all_we_know = want is None and activity is Activity.INACTIVE
    if asleep_for_all_we_know:
        return None
    return QUEUED if ready < needed else ACTIVE
