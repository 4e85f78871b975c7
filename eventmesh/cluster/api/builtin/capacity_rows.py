"""The rows of what is set aside: volumes, claims to them, quotas (`kubernetes/pkg/printers/internalversion`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from eventmesh.cluster.api.builtin.cells import Rows, age_of, columns, spec_of, status_of
from eventmesh.kube.api import Object

_UNSET: Final = "<unset>"
_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
"""Annotation in which a storage class stood before it was a field; it still counts first."""
_MODES: Final = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
"""As they are shown, in this order."""


def _modes(modes: list[str] | None) -> str:
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or []))


def _phase(obj: Object) -> str:
    phase: str = status_of(obj).get("phase") or ""
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else phase


def _storage_class(obj: Object) -> str:
    annotations = obj["metadata"].get("annotations") or {}
    found: str = annotations.get(_CLASS, spec_of(obj).get("storageClassName")) or ""
    return found


def _volume(obj: Object, now: datetime) -> list[Any]:
    spec, claim = spec_of(obj), spec_of(obj).get("claimRef")
    return [
        (spec.get("capacity") or {}).get("storage", "0"),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy") or "",
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        _storage_class(obj),
        spec.get("volumeAttributesClassName") or _UNSET,
        status_of(obj).get("reason") or "",
        age_of(obj, now),
        spec.get("volumeMode") or _UNSET,
    ]


def _claim(obj: Object, now: datetime) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    volume = spec.get("volumeName") or ""
    return [
        _phase(obj),
        volume,
        # What was asked for is not what there is.
        (status.get("capacity") or {}).get("storage", "0") if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        _storage_class(obj),
        spec.get("volumeAttributesClassName") or _UNSET,
        age_of(obj, now),
        spec.get("volumeMode") or _UNSET,
    ]


def _quota(obj: Object, now: datetime) -> list[Any]:
    hard, used = (status_of(obj).get(name) or {} for name in ("hard", "used"))
    shown = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    limits = [text for name, text in shown.items() if name.startswith("limits.")]
    requests = [text for name, text in shown.items() if not name.startswith("limits.")]
    return [", ".join(requests), ", ".join(limits), age_of(obj, now)]


CAPACITY_ROWS: Rows = {
    "persistentvolumes": (
        columns(
            "Capacity Access_Modes Reclaim_Policy Status Claim StorageClass VolumeAttributesClass Reason Age"
            " *VolumeMode"
        ),
        _volume,
    ),
    "persistentvolumeclaims": (
        columns("Status Volume Capacity Access_Modes StorageClass VolumeAttributesClass Age *VolumeMode"),
        _claim,
    ),
    "resourcequotas": (columns("Request Limit Age"), _quota),
}
