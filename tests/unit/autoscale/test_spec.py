"""Cluster settings and annotations, joined into numbers."""

import pytest

from eventmesh.autoscale.annotations import DOMAIN
from eventmesh.autoscale.config import AutoscalerConfig
from eventmesh.autoscale.spec import Metric, ScaleSpec, initial_scale, spec_of

CONFIG = AutoscalerConfig()


def spec(
    annotations: dict[str, str], concurrency: int = 0, config: AutoscalerConfig = CONFIG, *, reachable: bool = True
) -> ScaleSpec:
    keyed = {f"{DOMAIN}/{name}": value for name, value in annotations.items()}
    return spec_of(keyed, config, concurrency, reachable=reachable)


@pytest.mark.parametrize(
    ("concurrency", "annotations", "target", "total"),
    [
        (0, {}, 70.0, 100.0),
        (10, {}, 7.0, 10.0),
        (0, {"target": "5"}, 3.5, 5.0),
        (10, {"target": "50"}, 7.0, 10.0),
        (10, {"target": "4"}, 2.8, 4.0),
        (10, {"target-utilization-percentage": "100"}, 10.0, 10.0),
        (0, {"metric": "rps"}, 140.0, 200.0),
        (10, {"metric": "rps", "target": "50"}, 35.0, 50.0),
        (0, {"metric": "rps", "target-utilization-percentage": "50"}, 100.0, 200.0),
        (0, {"target": "0.01"}, 0.01, 0.01),
    ],
)
def test_the_target_of_a_pod(concurrency: int, annotations: dict[str, str], target: float, total: float) -> None:
    found = spec(annotations, concurrency)
    assert found.target == pytest.approx(target)
    assert found.total == pytest.approx(total)


def test_requests_per_second_aim_at_seventy_percent_whatever_the_cluster_says() -> None:
    assert spec({"metric": "rps"}, config=AutoscalerConfig(target_fraction=0.5)).target == pytest.approx(140)


@pytest.mark.parametrize(("window", "panic"), [("60s", 6.0), ("6s", 1.0), ("1m15s", 8.0), ("1h", 360.0)])
def test_the_panic_window_is_a_share_of_whole_seconds(window: str, panic: float) -> None:
    assert spec({"window": window}).panic_window_s == panic


def test_annotations_replace_cluster_settings() -> None:
    found = spec(
        {
            "min-scale": "2",
            "max-scale": "8",
            "scale-down-delay": "1m",
            "panic-threshold-percentage": "300",
            "activation-scale": "3",
            "target-burst-capacity": "0",
            "scale-to-zero-pod-retention-period": "90s",
            "metric": "rps",
        }
    )
    assert (found.min_scale, found.max_scale, found.scale_down_delay_s) == (2, 8, 60.0)
    assert (found.panic_threshold, found.activation_scale, found.target_burst_capacity) == (3.0, 3, 0.0)
    assert (found.pod_retention_s, found.metric) == (90.0, Metric.RPS)


@pytest.mark.parametrize(
    ("desired", "initialized", "reachable", "pods"),
    [
        (0, True, True, 2),
        (0, True, False, 0),
        (0, False, True, 4),
        (0, False, False, 4),
        (5, False, True, 5),
        (50, True, True, 8),
        (7, True, True, 7),
    ],
)
def test_bounds_hold_the_wish(desired: int, initialized: bool, reachable: bool, pods: int) -> None:
    found = spec({"min-scale": "2", "max-scale": "8", "initial-scale": "4"}, reachable=reachable)
    assert found.bounded(desired, initialized) == pods


def test_without_a_maximum_the_wish_is_free() -> None:
    assert spec({}).bounded(5000, initialized=True) == 5000


def test_the_initial_scale_lies_within_the_maximum() -> None:
    assert spec({"initial-scale": "9", "max-scale": "3"}).initial_scale == 3


def test_an_initial_scale_of_zero_needs_permission() -> None:
    annotations = {f"{DOMAIN}/initial-scale": "0"}
    assert initial_scale(annotations, CONFIG) == 1
    assert initial_scale(annotations, AutoscalerConfig(allow_zero_initial_scale=True)) == 0
