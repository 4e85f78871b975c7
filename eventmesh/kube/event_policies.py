"""Reading an EventPolicy: what it is about, and whom it admits. Shared by who reports it and who enforces it.

After knative/eventing: pkg/auth/event_policy.go. Subjects are service accounts, as tokens name them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.knative import parallel_channel, sequence_channel
from eventmesh.kube.objects import Key, controller_of, key_of, labels_of
from eventmesh.kube.resources import CHANNEL, IN_MEMORY_CHANNEL, PARALLEL, SEQUENCE
from eventmesh.kube.selectors import LabelSelector

Named = tuple[Resource, Object]
"""An object and its kind."""

Find = Callable[[Resource, Key], Object | None]
"""Looks an object up in a cache."""

ANY_SUFFIX = "*"
"""At the end of a subject: whatever follows."""


def audience_of(resource: Resource, key: Key) -> str:
    """Return what a token must be for when it is shown to this object."""
    return f"{resource.group}/{resource.kind}/{key.namespace}/{key.name}".lower()


def subject_of(namespace: str, account: str) -> str:
    """Return what the tokens of a service account call it."""
    return f"system:serviceaccount:{namespace}:{account}"


def is_about(policy: Object, resource: Resource, obj: Object) -> bool:
    """Return whether a policy speaks of `obj`; one without `to` speaks of everything in its namespace."""
    if (policy["metadata"].get("namespace") or "") != (obj["metadata"].get("namespace") or ""):
        return False
    targets = (policy.get("spec") or {}).get("to") or []
    return not targets or any(_names(target, resource, obj) for target in targets)


def _names(target: Object, resource: Resource, obj: Object) -> bool:
    if reference := target.get("ref"):
        return _is_kind(reference, resource) and str(reference.get("name")) == obj["metadata"]["name"]
    selector = target.get("selector")
    if not selector or not _is_kind(selector, resource):
        return False
    return LabelSelector.of(selector).matches(labels_of(obj))


def _is_kind(named: Object, resource: Resource) -> bool:
    group = str(named.get("apiVersion") or "").rpartition("/")[0]
    return (group, named.get("kind")) == (resource.group, resource.kind)


def is_admitted(subject: str, allowed: Iterable[str]) -> bool:
    """Return whether one of `allowed` is `subject`, or its beginning where it ends in `*`."""
    for pattern in allowed:
        if pattern.endswith(ANY_SUFFIX):
            if subject.startswith(pattern.removesuffix(ANY_SUFFIX)):
                return True
        elif pattern == subject:
            return True
    return False


def fronts_of(channel: Object, find: Find) -> Sequence[Named]:
    """Return what an InMemoryChannel takes events in for: itself, the Channel it backs, the flow that begins with it.

    A policy about any of them is a policy about the channel.
    """
    outer = _outer(channel, find)
    fronts = [(IN_MEMORY_CHANNEL, channel)]
    if outer is not channel:
        fronts.append((CHANNEL, outer))
    flow = _flow_of(outer, find)
    if flow is not None and _entrance(flow) == outer["metadata"]["name"]:
        fronts.append(flow)
    return fronts


def flow_within(channel: Object, find: Find) -> Named | None:
    """Return the flow that an InMemoryChannel is an inner part of: nobody but the flow itself sends there."""
    outer = _outer(channel, find)
    flow = _flow_of(outer, find)
    return flow if flow is not None and _entrance(flow) != outer["metadata"]["name"] else None


def _outer(channel: Object, find: Find) -> Object:
    return _owner(channel, CHANNEL, find) or channel


def _flow_of(channel: Object, find: Find) -> Named | None:
    for kind in (SEQUENCE, PARALLEL):
        if flow := _owner(channel, kind, find):
            return kind, flow
    return None


def _entrance(flow: Named) -> str:
    name = flow[1]["metadata"]["name"]
    return sequence_channel(name, 0) if flow[0] is SEQUENCE else parallel_channel(name)


def _owner(obj: Object, kind: Resource, find: Find) -> Object | None:
    owner = controller_of(obj)
    if owner is None or owner["kind"] != kind.kind or not str(owner["apiVersion"]).startswith(f"{kind.group}/"):
        return None
    found = find(kind, Key(key_of(obj).namespace, owner["name"]))
    # An owner of that name that came later is another one.
    return found if found is not None and found["metadata"].get("uid") == owner.get("uid") else None
