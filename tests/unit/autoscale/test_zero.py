"""The way to zero, step by step."""

import pytest

from eventmesh.autoscale.zero import Activity, Standing, Step, ZeroPolicy, step

POLICY = ZeroPolicy(enabled=True, grace_s=30.0, retention_s=0.0, stable_window_s=60.0, activation_timeout_s=630.0)


@pytest.mark.parametrize(
    ("activity", "since_s", "proxied_s", "expected"),
    [
        # Awake: the last pod stays until the revision was active for a window; then the route moves first.
        (Activity.ACTIVE, 59.0, None, Step(1, True, 1.0)),
        (Activity.ACTIVE, 60.0, None, Step(0, False)),
        # Asleep soon: nothing before the data plane has acknowledged the activator, then the grace period.
        (Activity.INACTIVE, 0.0, None, Step(0, False)),
        (Activity.INACTIVE, 500.0, None, Step(0, False)),
        (Activity.INACTIVE, 1.0, 0.5, Step(0, False, 29.0)),
        (Activity.INACTIVE, 30.0, 29.5, Step(0, True)),
        (Activity.INACTIVE, 0.0, 30.0, Step(0, True)),
        # Waking: a wish for zero is no knowledge, until the activation is given up.
        (Activity.ACTIVATING, 629.0, None, Step(None, False, 1.0)),
        (Activity.ACTIVATING, 630.0, None, Step(0, True)),
    ],
)
def test_each_step_to_zero(activity: Activity, since_s: float, proxied_s: float | None, expected: Step) -> None:
    assert step(0, Standing(activity, since_s, proxied_s), POLICY) == expected


@pytest.mark.parametrize("activity", list(Activity))
def test_a_wish_for_pods_is_carried_out_at_once(activity: Activity) -> None:
    assert step(3, Standing(activity, 0.0, None), POLICY) == Step(3, True)


@pytest.mark.parametrize("activity", list(Activity))
def test_without_scale_to_zero_one_pod_stays(activity: Activity) -> None:
    policy = ZeroPolicy(False, 30.0, 0.0, 60.0, 630.0)
    assert step(0, Standing(activity, 1e6, 1e6), policy) == Step(1, True)


def test_pod_retention_outlasts_the_grace_period() -> None:
    policy = ZeroPolicy(True, 6.0, 90.0, 6.0, 630.0)
    assert step(0, Standing(Activity.INACTIVE, 10.0, 60.0), policy) == Step(0, False, 80.0)
    assert step(0, Standing(Activity.INACTIVE, 90.0, 60.0), policy) == Step(0, True)
