"""How many replicas each version of a Deployment gets at this moment; pure arithmetic, after Kubernetes' own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from eventmesh.base.errors import PermanentError
from eventmesh.base.frozen import frozen
from eventmesh.kube.api import Object

_DEFAULT_SHARE: Final = "25%"


@frozen
class Version:
    """One ReplicaSet as it stands."""

    name: str
    replicas: int
    """Wanted, `spec.replicas`."""
    available: int


@frozen
class Bounds:
    """How far a rollout may leave the wanted number."""

    surge: int
    unavailable: int

    @classmethod
    def of(cls, deployment: Object) -> Bounds:
        """Return the bounds of a Deployment; raises PermanentError naming a field that cannot be read."""
        spec = deployment["spec"]
        desired = desired_replicas(deployment)
        strategy = spec.get("strategy") or {}
        if strategy.get("type") == "Recreate":
            return cls(0, desired)
        rolling = strategy.get("rollingUpdate") or {}
        surge = _share("maxSurge", rolling.get("maxSurge", _DEFAULT_SHARE), desired, math.ceil)
        unavailable = _share("maxUnavailable", rolling.get("maxUnavailable", _DEFAULT_SHARE), desired, math.floor)
        # Both zero would never move; Kubernetes lets one pod be missing then.
        return cls(surge, unavailable if surge or unavailable else 1)


def desired_replicas(owner: Object) -> int:
    """Return `spec.replicas`, 1 when it is not said."""
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def plan(desired: int, newest: Version, older: Sequence[Version], bounds: Bounds) -> dict[str, int]:
    """Return the number of replicas for every version now; call again when availability has changed."""
    if desired == 0 or not any(version.replicas for version in older):
        return {newest.name: desired, **{version.name: 0 for version in older}}
    total = newest.replicas + sum(version.replicas for version in older)
    room = max(0, desired + bounds.surge - total)
    sizes = {newest.name: min(desired, newest.replicas + room)}
    not_yet = max(0, newest.replicas - newest.available)
    removable = max(0, total - (desired - bounds.unavailable) - not_yet)
    # Broken pods of old versions serve nobody: they go first and cost no availability.
    left = {version.name: version.replicas for version in older}
    for version in older:
        broken = min(version.replicas - min(version.available, version.replicas), removable)
        left[version.name] -= broken
        removable -= broken
    available = newest.available + sum(min(version.available, left[version.name]) for version in older)
    spare = max(0, available - (desired - bounds.unavailable))
    for version in older:
        gone = min(left[version.name], spare)
        left[version.name] -= gone
        spare -= gone
    return {**sizes, **left}


def plan_paused(desired: int, versions: Sequence[Version]) -> dict[str, int]:
    """Return the number of replicas for every version of a paused Deployment: only a change of `desired` is followed.

    The largest version takes what is to be added; what is to go is taken from the smallest first.
    """
    sizes = {version.name: version.replicas for version in versions}
    running = sorted((version for version in versions if version.replicas), key=lambda version: version.replicas)
    if not running:
        # Nothing runs yet: the first given is the newest.
        return {**sizes, **({versions[0].name: desired} if versions else {})}
    surplus = sum(sizes.values()) - desired
    if surplus < 0:
        sizes[running[-1].name] -= surplus
    for version in running:
        gone = max(0, min(sizes[version.name], surplus))
        sizes[version.name] -= gone
        surplus -= gone
    return sizes


def _share(field: str, value: object, of: int, rounding: Callable[[float], int]) -> int:
    match value:
        case bool():
            pass
        case int() if value >= 0:
            return value
        case str() if value.endswith("%") and value[:-1].isdigit():
            return rounding(of * int(value[:-1]) / 100)
        case _:
            pass
    raise PermanentError(f"spec.strategy.rollingUpdate.{field}: {value!r} is neither a number nor a percentage")
