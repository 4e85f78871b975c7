"""Which revisions of a configuration are no longer worth keeping. Pure.

After Serving, pkg/reconciler/gc/gc.go. A revision to which a route leads, the newest ready one, and one marked `no-gc`
are never in question. Of the others those that are old and have long been idle go, the longest idle first, as long as
more than the minimum are left; and whatever their age, the longest idle go until no more than the maximum are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from eventmesh.base.frozen import frozen
from eventmesh.controllers.serving.names import CONFIGURATION_GENERATION, NO_GC, ROUTING_STATE, ROUTING_STATE_MODIFIED
from eventmesh.controllers.serving.settings import RetentionSettings
from eventmesh.kube.api import Object
from eventmesh.kube.objects import annotations_of, labels_of


@frozen
class Verdict:
    """What is to be done about the revisions of a configuration."""

    delete: tuple[str, ...] = ()
    """Names, in the order in which they go."""
    again_at: datetime | None = None
    """When the next revision becomes too old, if nothing else changes before."""


def judge(revisions: Iterable[Object], kept: Collection[str], settings: RetentionSettings, now: datetime) -> Verdict:
    """Return which of a configuration's revisions are to be deleted; those named in `kept` are not in question."""
    if settings.is_off:
        return Verdict()
    idle = sorted((r for r in revisions if not _is_needed(r, kept)), key=_by_idleness)
    spare = len(idle) - settings.minimum
    if spare <= 0:
        return Verdict()
    stale = [revision for revision in idle if (at := _stale_at(revision, settings)) is not None and at <= now][:spare]
    rest = [revision for revision in idle if revision not in stale]
    surplus = max(0, len(rest) - settings.maximum) if settings.maximum is not None else 0
    delete = [*stale, *(rest[:surplus] if len(stale) < spare else ())]
    left = [at for revision in rest[surplus:] if (at := _stale_at(revision, settings)) is not None and at > now]
    again_at = min(left) if left and spare > len(delete) else None
    return Verdict(tuple(revision["metadata"]["name"] for revision in delete), again_at)


def last_active(revision: Object) -> datetime:
    """Return when a route last led to the revision, or ceased to; when it was made, if that is not known."""
    text = annotations_of(revision).get(ROUTING_STATE_MODIFIED, "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _created(revision)
    return found if found.tzinfo is not None else _created(revision)


def _is_needed(revision: Object, kept: Collection[str]) -> bool:
    if revision["metadata"]["name"] in kept or annotations_of(revision).get(NO_GC, "").lower() == "true":
        return True
    # Only what has been said to be out of use: a revision that nobody has labelled yet may be about to be used.
    return labels_of(revision).get(ROUTING_STATE) != "reserve"


def _by_idleness(revision: Object) -> tuple[datetime, int]:
    generation = labels_of(revision).get(CONFIGURATION_GENERATION, "")
    return last_active(revision), int(generation) if generation.isdigit() else 0


def _stale_at(revision: Object, settings: RetentionSettings) -> datetime | None:
    """Return from when on the revision is stale; None when age is never a reason."""
    times = []
    if settings.since_created_s is not None:
        times.append(_created(revision) + timedelta(seconds=settings.since_created_s))
    if settings.since_active_s is not None:
        times.append(last_active(revision) + timedelta(seconds=settings.since_active_s))
    return max(times, default=None)


def _created(revision: Object) -> datetime:
    return datetime.fromisoformat(revision["metadata"]["creationTimestamp"])
