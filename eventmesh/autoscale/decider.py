"""From load to a wish: how many pods, and whether the activator belongs in the path.

The rules are those of Knative's pod autoscaler (Serving, pkg/autoscaler/scaling/autoscaler.go); state
goes in and comes out, so that any curve of load can be replayed.
"""

from __future__ import annotations

import math
from dataclasses import field
from enum import Enum

from eventmesh.autoscale.spec import ScaleSpec
from eventmesh.base.frozen import frozen

MIN_ACTIVATORS = 2
"""Fewest activators of a revision, so that losing one loses no request (Knative's minActivators)."""


class ServiceMode(Enum):
    """Where a revision's endpoints point, as ServerlessService.spec.mode spells it."""

    SERVE = "Serve"
    """At the pods."""
    PROXY = "Proxy"
    """At the activator."""


@frozen
class Load:
    """What was measured of one revision."""

    stable: float
    """Average over the stable window: requests at once, or requests a second."""
    panic: float
    """Average over the panic window."""
    ready_pods: int


@frozen
class DeciderState:
    """What one decision hands to the next."""

    panic_since: float | None = None
    """When the last overload was seen; None while calm."""
    max_panic_pods: int = 0
    """Most pods wanted since panic began: panic never scales down."""
    recent: tuple[tuple[float, int], ...] = field(default=())
    """Wishes within the scale-down delay that no later one exceeds, oldest and largest first."""


@frozen
class Decision:
    """The wish for one moment."""

    desired: int
    """Pods, before bounds."""
    excess_burst_capacity: int
    """Requests at once that would fit on top of load and burst target; negative: the activator must buffer."""
    activators: int
    state: DeciderState

    @property
    def panicking(self) -> bool:
        """True while the panic window rules."""
        return self.state.panic_since is not None

    @property
    def mode(self) -> ServiceMode:
        """Return where requests should go when `desired` is carried out as it is."""
        return mode_of(self.desired, self.excess_burst_capacity)


def initial_state(ready_pods: int, now: float) -> DeciderState:
    """Return the state of an autoscaler that has just begun to watch a revision.

    With several pods running it begins in panic: its load history is lost, and it must not shrink what
    it cannot judge yet.
    """
    return DeciderState(panic_since=now, max_panic_pods=ready_pods) if ready_pods > 1 else DeciderState()


def decide(load: Load, spec: ScaleSpec, state: DeciderState, now: float) -> Decision:
    """Return the wish for `now` and the state to hand in next time."""
    ready = max(1, load.ready_pods)
    stable_wish = math.ceil(load.stable / spec.target)
    panic_wish = math.ceil(load.panic / spec.target)
    overloaded = panic_wish / ready >= spec.panic_threshold
    panic_since, max_panic_pods = _panic(state, spec, overloaded, now)

    desired = _limited(stable_wish, ready, spec)
    if panic_since is not None:
        max_panic_pods = max(max_panic_pods, desired, _limited(panic_wish, ready, spec))
        desired = max_panic_pods
    recent: tuple[tuple[float, int], ...] = ()
    if spec.scale_down_delay_s > 0 and spec.reachable:
        recent = _remember(state.recent, desired, now, spec.scale_down_delay_s)
        desired = recent[0][1]
    return Decision(
        desired=desired,
        excess_burst_capacity=excess_burst_capacity(load.ready_pods, load.panic, spec),
        activators=activators(load.ready_pods, spec),
        state=DeciderState(panic_since, max_panic_pods, recent),
    )


def undecided(spec: ScaleSpec) -> Decision:
    """Return the wish before anything was measured: the initial scale, judged idle."""
    return Decision(
        desired=spec.initial_scale,
        excess_burst_capacity=excess_burst_capacity(spec.initial_scale, 0.0, spec),
        activators=MIN_ACTIVATORS,
        state=DeciderState(),
    )


def mode_of(desired: int, excess: int) -> ServiceMode:
    """Return where requests to a revision of `desired` pods with this excess burst capacity should go."""
    return ServiceMode.SERVE if desired > 0 and excess >= 0 else ServiceMode.PROXY


def excess_burst_capacity(ready_pods: int, panic_load: float, spec: ScaleSpec) -> int:
    """Return what is left of the ready pods' capacity after the load and the burst that must always fit."""
    if spec.target_burst_capacity == 0:
        return 0
    if spec.target_burst_capacity < 0:
        return -1
    return math.floor(ready_pods * spec.total - spec.target_burst_capacity - panic_load)


def activators(ready_pods: int, spec: ScaleSpec) -> int:
    """Return how many activators the revision's load and burst target need."""
    if spec.target_burst_capacity == 0:
        return MIN_ACTIVATORS
    capacity = ready_pods * spec.total + max(0.0, spec.target_burst_capacity)
    return max(MIN_ACTIVATORS, math.ceil(capacity / spec.activator_capacity))


def _limited(wish: int, ready: int, spec: ScaleSpec) -> int:
    """Hold a wish to the scale rates; a waking revision starts with its activation scale."""
    most = math.ceil(spec.max_scale_up_rate * ready)
    least = math.floor(ready / spec.max_scale_down_rate) if spec.reachable else 0
    pods = min(max(wish, least), most)
    return max(pods, spec.activation_scale) if wish > 0 and spec.activation_scale > 1 else pods


def _panic(state: DeciderState, spec: ScaleSpec, overloaded: bool, now: float) -> tuple[float | None, int]:
    if overloaded:
        return now, state.max_panic_pods
    if state.panic_since is not None and state.panic_since + spec.stable_window_s < now:
        return None, 0
    return state.panic_since, state.max_panic_pods


def _remember(
    recent: tuple[tuple[float, int], ...], desired: int, now: float, delay_s: float
) -> tuple[tuple[float, int], ...]:
    kept = tuple((at, pods) for at, pods in recent if at + delay_s > now and pods > desired)
    return (*kept, (now, desired))
