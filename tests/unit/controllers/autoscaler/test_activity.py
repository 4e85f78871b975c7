"""The condition Active, in Knative's own table."""

import dataclasses

import pytest

from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.spec import spec_of
from eventmesh.autoscale.zero import Activity
from eventmesh.controllers.autoscaler.activity import (
    ACTIVE,
    NO_TRAFFIC,
    QUEUED,
    TIMED_OUT,
    ActiveMark,
    active_mark,
    threshold,
)

SLEEPING, WAKING, AWAKE = Activity.INACTIVE, Activity.ACTIVATING, Activity.ACTIVE


@pytest.mark.parametrize(
    ("want", "ready", "needed", "activity", "mark"),
    [
        (0, 0, 1, AWAKE, NO_TRAFFIC),
        (0, 1, 1, SLEEPING, NO_TRAFFIC),
        (0, 0, 1, WAKING, TIMED_OUT),
        (1, 0, 1, SLEEPING, QUEUED),
        (1, 0, 1, AWAKE, QUEUED),
        (1, 1, 1, WAKING, ACTIVE),
        (None, 0, 1, SLEEPING, None),
        (None, 1, 1, SLEEPING, None),
        (None, 0, 1, WAKING, QUEUED),
        (None, 0, 1, AWAKE, QUEUED),
        (None, 1, 1, WAKING, ACTIVE),
        (None, 1, 1, AWAKE, ACTIVE),
        (None, 0, 0, WAKING, NO_TRAFFIC),
    ],
)
def test_what_active_says(
    want: int | None, ready: int, needed: int, activity: Activity, mark: ActiveMark | None
) -> None:
    assert active_mark(want, ready, needed, activity) == mark


@pytest.mark.parametrize(
    ("low", "initial", "initialized", "reachable", "needed"),
    [
        (0, 1, True, True, 1),
        (3, 1, True, True, 3),
        (3, 1, True, False, 1),
        (0, 5, False, True, 5),
        (0, 0, False, True, 0),
    ],
)
def test_how_many_ready_pods_make_a_revision_active(
    low: int, initial: int, initialized: bool, reachable: bool, needed: int
) -> None:
    spec = spec_of({}, AutoscalerConfig(), 0, reachable=reachable)
    spec = dataclasses.replace(spec, min_scale=low, initial_scale=initial)
    assert threshold(spec, initialized) == needed
