"""`lifecycle` of a container: what is done right after its start, and before it is told to stop.

`preStop` has the time that the pod has to end: when that is over, the container is killed whatever the hook does.
Unlike the kubelet's, `postStart` holds up nobody: the container counts as running beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from eventmesh.base.clock import Clock
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen
from eventmesh.cluster.runtime.probe import Action, Outcome, Probe, Purpose, parse_action

POST_START: Final = "postStart"
PRE_STOP: Final = "preStop"

MAX_POST_START_S: Final = 120.0
"""A postStart that takes longer has failed; the kubelet waits without end, and nobody then knows for what."""

SIDECAR_ADMIN_PORT: Final = 8022
"""Where Knative has its containers wait for the sidecar's drain before they stop; the runtime keeps that order."""


@frozen
class Sleep:
    """Wait so long."""

    seconds: float


Hook = Action | Sleep
Ask = Callable[[str, Probe], Awaitable[Outcome]]
"""Asks a container what a probe asks."""


def parse_hook(container: Mapping[str, Any], kind: str, user_port: int) -> Hook | None:
    """Return the container's hook of that kind, or None; raises ConfigError naming the field."""
    spec = (container.get("lifecycle") or {}).get(kind)
    if not spec:
        return None
    if spec.get("sleep") is not None and len(spec) == 1:
        return Sleep(float(spec["sleep"].get("seconds") or 0))
    hook = parse_action(container, spec, f"lifecycle.{kind}", user_port)
    port = getattr(hook, "port", 0)
    return None if kind == PRE_STOP and port == SIDECAR_ADMIN_PORT else hook


async def run_hook(hook: Hook, container: str, ask: Ask, clock: Clock, timeout_s: float) -> Outcome:
    """Do what the hook says, within `timeout_s`."""
    if isinstance(hook, Sleep):
        await clock.sleep(min(hook.seconds, timeout_s))
        return Outcome(True)
    # A probe that is asked once: same actions, same surroundings, same words.
    return await ask(container, Probe(Purpose.LIVENESS, hook, timeout_s=timeout_s))


def check_hooks(container: Mapping[str, Any], user_port: int) -> str:
    """Return what is wrong with the container's hooks; empty when nothing is."""
    try:
        for kind in (POST_START, PRE_STOP):
            parse_hook(container, kind, user_port)
    except ConfigError as error:
        return str(error)
    return ""
