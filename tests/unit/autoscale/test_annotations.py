"""Autoscaling annotations: what is refused, in Knative's words."""

import pytest

from eventmesh.autoscale.annotations import DOMAIN, problems, read, value_of
from eventmesh.autoscale.config import AutoscalerConfig

CONFIG = AutoscalerConfig()


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"class": "hpb.autoscaling.knative.dev"}, "class: invalid value: hpb.autoscaling.knative.dev"),
        ({"metric": "cpu"}, "metric: invalid value: cpu"),
        ({"metric": "", "class": "hpa.autoscaling.knative.dev"}, "metric: invalid value: "),
        ({"metric-aggregation-algorithm": "median"}, "metric-aggregation-algorithm: invalid value: median"),
        ({"min-scale": "-1"}, "min-scale: expected 0 <= -1 <= 2147483647"),
        ({"minScale": "one"}, "minScale: invalid value: one"),
        ({"max-scale": "2147483648"}, "max-scale: expected 0 <= 2147483648 <= 2147483647"),
        ({"activation-scale": "x"}, "activation-scale: invalid value: x"),
        ({"activation-scale": "0"}, "activation-scale: activation-scale=0 must be greater than 0"),
        (
            {"activation-scale": "2", "min-scale": "3"},
            "activation-scale: min-scale=3 is greater than activation-scale=2",
        ),
        ({"activation-scale": "4", "max-scale": "3"}, "activation-scale: max-scale=3 is less than activation-scale=4"),
        ({"target": "0.001"}, "target: target 0.001 should be at least 0.01"),
        ({"target": "many"}, "target: invalid value: many"),
        ({"target-utilization-percentage": "101"}, "target-utilization-percentage: expected 1 <= 101 <= 100"),
        ({"targetUtilizationPercentage": "inf"}, "targetUtilizationPercentage: invalid value: inf"),
        ({"target-burst-capacity": "-2"}, "target-burst-capacity: invalid value: -2"),
        ({"panic-window-percentage": "0"}, "panic-window-percentage: expected 1 <= 0 <= 100"),
        ({"panic-threshold-percentage": "100"}, "panic-threshold-percentage: expected 110 <= 100 <= 1000"),
        ({"window": "5s"}, "window: expected 6s <= 5s <= 1h0m0s"),
        ({"window": "jupiter"}, "window: invalid value: jupiter"),
        ({"window": "6.5s"}, "window: must be specified with at most second precision"),
        ({"scale-down-delay": "2h"}, "scale-down-delay: expected 0s <= 2h <= 1h0m0s"),
        (
            {"scale-to-zero-pod-retention-period": "-1s"},
            "scale-to-zero-pod-retention-period: expected 0s <= -1s <= 1h0m0s",
        ),
        ({"initial-scale": "x"}, "initial-scale: invalid value: x"),
        ({"initial-scale": "-1"}, "initial-scale must be greater than 0: invalid value: -1"),
        ({"initial-scale": "0"}, "initial-scale=0 not allowed by cluster: invalid value: 0"),
    ],
)
def test_a_bad_annotation_is_refused_by_name(annotations: dict[str, str], message: str) -> None:
    found = problems({f"{DOMAIN}/{key}": value for key, value in annotations.items()}, CONFIG)
    assert [str(problem).replace(f"{DOMAIN}/", "") for problem in found] == [message]


def test_a_maximum_below_the_minimum_names_both() -> None:
    found = problems({f"{DOMAIN}/min-scale": "3", f"{DOMAIN}/max-scale": "2"}, CONFIG)
    assert [found[0].path, found[0].problem] == [
        f"{DOMAIN}/max-scale, {DOMAIN}/min-scale",
        "max-scale=2 is less than min-scale=3",
    ]


@pytest.mark.parametrize(
    ("value", "message"), [("11", "expected 1 <= 11 <= 10"), ("0", "max-scale=0 (unlimited), must be less than 10")]
)
def test_the_cluster_limit_bounds_max_scale(value: str, message: str) -> None:
    limited = AutoscalerConfig(max_scale=5, max_scale_limit=10)
    assert [problem.problem for problem in problems({f"{DOMAIN}/max-scale": value}, limited)] == [message]


def test_good_annotations_pass_in_both_spellings() -> None:
    assert not problems(
        {
            f"{DOMAIN}/class": "custom.example.com",
            f"{DOMAIN}/metric": "anything",
            f"{DOMAIN}/minScale": "1",
            f"{DOMAIN}/max-scale": "5",
            f"{DOMAIN}/activation-scale": "2",
            f"{DOMAIN}/window": "6s",
            f"{DOMAIN}/target": "0.01",
            f"{DOMAIN}/target-burst-capacity": "-1",
            f"{DOMAIN}/initial-scale": "3",
        },
        CONFIG,
    )


def test_the_present_spelling_wins_and_what_does_not_parse_is_absent() -> None:
    annotations = {f"{DOMAIN}/minScale": "1", f"{DOMAIN}/min-scale": "2", f"{DOMAIN}/window": "?"}
    assert value_of(annotations, f"{DOMAIN}/min-scale") == "2"
    assert read(annotations, f"{DOMAIN}/window", float, 60.0) == 60.0
