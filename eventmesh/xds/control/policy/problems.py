"""Why a TrafficPolicy cannot hold for what it names. Pure."""

from __future__ import annotations

from eventmesh.kube.objects import Key
from eventmesh.xds.control.objects import View
from eventmesh.xds.control.policy.attaching import exists, winners


def problem_of(key: Key, view: View, wrong: str | None) -> tuple[str, str] | None:
    """Return (reason, message); None when it can. `wrong` says what of it is not understood."""
    if wrong is not None:
        return "Invalid", wrong
    policy = view.policies.get(key)
    if policy is None:
        return None
    missing = [str(target) for target in policy.targets if not exists(view, target)]
    if missing:
        return "TargetNotFound", f"there is no {', '.join(missing)} in namespace {key.namespace}"
    won = winners(view)
    lost = [
        f"{target} has the older policy {won[target].key.name}" for target in policy.targets if won[target] != policy
    ]
    return ("Conflicted", "; ".join(lost)) if lost else None
