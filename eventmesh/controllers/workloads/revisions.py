"""The versions of a Deployment: which ReplicaSet is which template's, and how they are numbered. Pure.

Numbers and annotations are those of `kubernetes/pkg/controller/deployment/util`, which `kubectl rollout` reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from eventmesh.controllers.workloads.pods import TEMPLATE_HASH
from eventmesh.controllers.workloads.rollout import Bounds, desired_replicas
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of

REVISION: Final = "deployment.kubernetes.io/revision"
HISTORY: Final = "deployment.kubernetes.io/revision-history"
DESIRED: Final = "deployment.kubernetes.io/desired-replicas"
MOST: Final = "deployment.kubernetes.io/max-replicas"

MAX_HISTORY_CHARS: Final = 2000
"""Kubernetes' own bound on the numbers that a ReplicaSet had before."""

_NOT_COPIED: Final = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to",
        REVISION,
        HISTORY,
        DESIRED,
        MOST,
    )
)
"""Annotations of a Deployment that its ReplicaSets do not take over."""


def template_hash(template: Object) -> str:
    """Return ten characters that name this pod template, the same for the same template."""
    canonical = json.dumps(_bare(template), sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()[:10]


def find_newest(deployment: Object, owned: Sequence[Object]) -> Object | None:
    """Return the ReplicaSet of the present template; of several the oldest, as Kubernetes does."""
    found = [item for item in owned if _is_same(item["spec"]["template"], deployment["spec"]["template"])]
    found.sort(key=lambda item: (item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]))
    return found[0] if found else None


def revision_of(obj: Object) -> int:
    """Return the number of a ReplicaSet or Deployment; 0 when it has none that can be read."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(older: Sequence[Object]) -> int:
    """Return the number of the newest version, given all others."""
    return 1 + max(map(revision_of, older), default=0)


def set_annotations(deployment: Object, newest: Object | None, older: Sequence[Object]) -> dict[str, str]:
    """Return the annotations that the newest ReplicaSet is to have; None is one that is still to be made."""
    copied = {key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED}
    stored = annotations_of(newest) if newest is not None else {}
    kept = {key: value for key, value in stored.items() if key in _NOT_COPIED}
    before = revision_of(newest) if newest is not None else 0
    number = max(before, next_revision(older))
    if 0 < before < number:
        history = ",".join([*filter(None, kept.get(HISTORY, "").split(",")), str(before)])
        # The oldest numbers go when there is no more room.
        kept[HISTORY] = history[-MAX_HISTORY_CHARS:].partition(",")[2] if len(history) > MAX_HISTORY_CHARS else history
    return {**stored, **copied, **kept, REVISION: str(number), **scale_annotations(deployment)}


def scale_annotations(deployment: Object) -> dict[str, str]:
    """Return what tells each ReplicaSet of how many the Deployment wants, for scaling them in proportion."""
    desired = desired_replicas(deployment)
    return {DESIRED: str(desired), MOST: str(desired + Bounds.of(deployment).surge)}


def _is_same(made: Object, template: Object) -> bool:
    """Return whether the template of a ReplicaSet was `template`."""
    if made.get("spec") == template.get("spec"):
        # Nearly always, and quick to see: only what stands around it has to be looked through.
        made, template = {**made, "spec": None}, {**template, "spec": None}
    return _bare(made) == _bare(template)


def _bare(template: Object) -> Object:
    """Return the template without what the Deployment added, and without what says nothing (typed clients' nulls)."""
    labels = dict((template.get("metadata") or {}).get("labels") or {})
    labels.pop(TEMPLATE_HASH, None)
    bare = _without_empty({**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}})
    return dict(bare) if isinstance(bare, Mapping) else {}


def _without_empty(value: Any) -> Any:
    match value:
        case dict():
            pairs = ((key, _without_empty(item)) for key, item in value.items())
            return {key: item for key, item in pairs if item not in (None, {}, [])}
        case list():
            return [_without_empty(item) for item in value]
        case _:
            return value
