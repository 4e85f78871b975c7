"""Which broker a Trigger is of: `spec.broker` of its own namespace, or `spec.brokerRef`, which may name another one."""

from __future__ import annotations

from typing import Final

from eventmesh.kube.api import Object
from eventmesh.kube.objects import Key

DEFAULT_BROKER: Final = "default"


def broker_of(trigger: Object) -> Key:
    """Return the broker whose events a Trigger gets; whether it may is for its controller to say."""
    spec, own = trigger.get("spec") or {}, trigger["metadata"].get("namespace") or ""
    reference = spec.get("brokerRef")
    if not reference:
        return Key(own, spec.get("broker") or DEFAULT_BROKER)
    return Key(reference.get("namespace") or own, reference.get("name") or "")


def is_elsewhere(trigger: Object) -> bool:
    """Return whether a Trigger is of a broker of another namespace."""
    return broker_of(trigger).namespace != (trigger["metadata"].get("namespace") or "")
