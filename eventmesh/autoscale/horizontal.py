"""The arithmetic of Kubernetes' horizontal pod autoscaler (`kubernetes/pkg/controller/podautoscaler`). Pure.

From what pods use and may use to how many there should be; then within what was recommended lately, what the policies
allow in a period, and the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from eventmesh.base.frozen import frozen

TOLERANCE: Final = 0.1
"""A load this near to its target changes nothing; Kubernetes' own."""

_ALL_OF_IT: Final = 1.0
"""What a pod of unknown load is taken to use of its request when fewer pods would do: not less than all."""


class PodState(Enum):
    """How far a pod's load may be believed."""

    STEADY = "steady"
    UNREADY = "unready"
    """Not yet at work: what it uses says nothing."""
    UNKNOWN = "unknown"
    """At work, but nobody measured it."""


@frozen
class PodLoad:
    """One pod of the target."""

    state: PodState
    used: float = 0.0
    """In the metric's unit: cores or bytes."""
    requested: float = 1.0
    """What utilisation is a share of; 1 when the target is a plain value."""


@frozen
class Proposal:
    """What one metric wants."""

    replicas: int
    share: float
    """Use of all measured pods as a share of what they request (a plain value: per pod)."""


def propose(current: int, pods: Sequence[PodLoad], target: float) -> Proposal | None:
    """Return how many pods bring the use of each to `target` (a share of the request); None when none is measured."""
    steady = [pod for pod in pods if pod.state is PodState.STEADY]
    if not steady:
        return None
    share = _share(steady)
    ratio = share / target
    unknown = [pod for pod in pods if pod.state is PodState.UNKNOWN]
    unready = [pod for pod in pods if pod.state is PodState.UNREADY] if ratio > 1.0 else []
    if not unknown and not unready:
        return Proposal(current if _near(ratio) else math.ceil(_rounded(ratio * len(steady))), share)
    # Whom nobody knows is taken to speak against a change: busy when pods would go, idle when pods would come.
    assumed = 0.0 if ratio > 1.0 else max(_ALL_OF_IT, target) if ratio < 1.0 else target
    counted = [*steady, *(replace(pod, used=assumed * pod.requested) for pod in unknown)]
    counted += [replace(pod, used=0.0) for pod in unready]
    careful = _share(counted) / target
    if _near(careful) or (careful > 1.0) is not (ratio > 1.0):
        return Proposal(current, share)
    wanted = math.ceil(_rounded(careful * len(counted)))
    turned_back = wanted > current if careful < 1.0 else wanted < current
    return Proposal(current if turned_back else wanted, share)


class Select(Enum):
    """Which of several policies counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@frozen
class Policy:
    """So many pods, or such a share of the pods, in a period."""

    value: int
    is_percent: bool
    period_s: float


@frozen
class Rules:
    """How one direction may be gone."""

    policies: tuple[Policy, ...]
    select: Select = Select.MAX
    window_s: float = 0.0
    """Over which the most careful recommendation counts."""


UP: Final = Rules((Policy(4, False, 15.0), Policy(100, True, 15.0)))
"""Kubernetes' default: four pods or twice as many, at once."""

DOWN: Final = Rules((Policy(100, True, 15.0),), window_s=300.0)
"""Kubernetes' default: all that may go, once five minutes did not want them."""


@frozen
class Bounds:
    """The least and the most pods."""

    low: int
    high: int


class Limit(Enum):
    """What kept a recommendation from being followed; the value is Kubernetes' reason."""

    NONE = "DesiredWithinRange"
    TOO_FEW = "TooFewReplicas"
    TOO_MANY = "TooManyReplicas"
    UP_RATE = "ScaleUpLimit"
    DOWN_RATE = "ScaleDownLimit"


@frozen
class Outcome:
    """How many pods there are to be now."""

    replicas: int
    limit: Limit = Limit.NONE
    stabilized: bool = False
    """True when an earlier recommendation was the more careful one."""


@dataclass(slots=True)
class Memory:
    """What one autoscaler remembers: recommendations and changes, each with its moment (monotonic)."""

    recommended: list[tuple[float, int]] = field(default_factory=list)
    changed: list[tuple[float, int]] = field(default_factory=list)

    def note_change(self, at: float, difference: int, up: Rules, down: Rules) -> None:
        """Remember that the number of pods was changed; what no policy looks back to is forgotten."""
        longest = max((policy.period_s for policy in (*up.policies, *down.policies)), default=0.0)
        self.changed = [(when, by) for when, by in self.changed if at - when <= longest]
        self.changed.append((at, difference))


def settle(wanted: int, current: int, memory: Memory, bounds: Bounds, up: Rules, down: Rules, now: float) -> Outcome:
    """Return how much of `wanted` may be had at the moment `now`; `memory` takes note of the recommendation."""
    longest = max(up.window_s, down.window_s)
    memory.recommended = [(at, count) for at, count in memory.recommended if now - at <= longest]
    memory.recommended.append((now, wanted))
    rising = min(count for at, count in memory.recommended if now - at <= up.window_s)
    falling = max(count for at, count in memory.recommended if now - at <= down.window_s)
    steady = min(max(current, rising), falling)
    limited, limit = _within_rate(steady, current, memory.changed, up, down, now)
    if limited < bounds.low:
        limited, limit = bounds.low, Limit.TOO_FEW
    elif limited >= bounds.high and steady > bounds.high:
        limited, limit = bounds.high, Limit.TOO_MANY
    return Outcome(limited, limit, stabilized=steady != wanted)


def _within_rate(
    wanted: int, current: int, changed: Iterable[tuple[float, int]], up: Rules, down: Rules, now: float
) -> tuple[int, Limit]:
    rules = up if wanted > current else down
    if wanted == current or rules.select is Select.DISABLED:
        return current, Limit.NONE
    sign = 1 if wanted > current else -1
    reach: list[int] = []
    for policy in rules.policies:
        began = current - sum(by for at, by in changed if now - at <= policy.period_s)
        step = began * policy.value / 100 if policy.is_percent else policy.value
        # Up, a share of few pods is at least one; down, it never is more than said.
        reach.append(math.ceil(_rounded(began + step)) if sign > 0 else math.ceil(_rounded(began - step)))
    furthest = (
        max(reach, key=lambda count: sign * count)
        if rules.select is Select.MAX
        else min(reach, key=lambda count: sign * count)
    )
    furthest = max(furthest, current) if sign > 0 else min(furthest, current)
    if sign * wanted > sign * furthest:
        return furthest, Limit.UP_RATE if sign > 0 else Limit.DOWN_RATE
    return wanted, Limit.NONE


def read_rules(spec: Mapping[str, object] | None, default: Rules) -> Rules:
    """Return the rules that `spec.behavior.scaleUp` or `.scaleDown` says, the defaults where it says nothing."""
    if not spec:
        return default
    policies = spec.get("policies")
    read = default.policies
    if isinstance(policies, list) and policies:
        read = tuple(
            Policy(int(entry["value"]), entry["type"] == "Percent", float(entry["periodSeconds"])) for entry in policies
        )
    window = spec.get("stabilizationWindowSeconds")
    return Rules(
        read,
        Select(spec.get("selectPolicy") or "Max"),
        float(window) if isinstance(window, int) else default.window_s,
    )


def _share(pods: Sequence[PodLoad]) -> float:
    return sum(pod.used for pod in pods) / sum(pod.requested for pod in pods)


def _near(ratio: float) -> bool:
    return abs(ratio - 1.0) <= TOLERANCE


def _rounded(value: float) -> float:
    """Return `value` without the last bits of its fractions, so that 3.0000000001 pods are three."""
    return round(value, 9)
