"""What the workload controllers ask about one pod."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.objects import is_deleting, owner_reference
from eventmesh.kube.resources import POD
from eventmesh.kube.status import condition

TEMPLATE_HASH: Final = "pod-template-hash"
"""The label by which a Deployment tells the pods of its versions apart."""


def pod_of(resource: Resource, owner: Object) -> Object:
    """Return the pod, not created yet, that the template of `owner`, a `resource`, describes."""
    metadata, template = owner["metadata"], owner["spec"]["template"]
    wanted = template.get("metadata") or {}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": dict(wanted.get("labels") or {}),
            "annotations": dict(wanted.get("annotations") or {}),
            "ownerReferences": [owner_reference(resource, owner)],
        },
        "spec": template["spec"],
    }


def is_ready_pod(pod: Object) -> bool:
    """Return whether the pod may be sent requests."""
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True"


def available_in_s(pod: Object, least_s: float, now: datetime) -> float | None:
    """Return the seconds until the pod has been ready for `least_s`, 0 or less if it has; None if it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    if not least_s:
        return 0.0
    return (datetime.fromisoformat(ready["lastTransitionTime"]) - now).total_seconds() + least_s


def is_active(pod: Object) -> bool:
    """Return whether the pod counts as a replica: not finished and not on its way out."""
    return not is_deleting(pod) and phase(pod) not in ("Succeeded", "Failed")


def phase(pod: Object) -> str:
    """Return the pod's phase; a pod nobody has looked at yet is Pending."""
    found: str = (pod.get("status") or {}).get("phase", "Pending")
    return found


def deletion_order(pod: Object) -> tuple[bool, bool, str]:
    """Return a key that sorts those to be deleted first to the front: not running, not ready, then the youngest."""
    # Characters are complemented so that the latest stamp sorts first beside ascending booleans.
    stamp = pod["metadata"].get("creationTimestamp", "")
    return phase(pod) == "Running", is_ready_pod(pod), "".join(chr(0x10FFFF - ord(char)) for char in stamp)
