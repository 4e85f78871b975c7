"""config-autoscaler: defaults, every key, every refusal."""

import dataclasses

import pytest

from eventmesh.autoscale.config import HPA_CLASS, AutoscalerConfig, parse
from eventmesh.base.errors import ConfigError


def test_no_keys_give_knatives_defaults() -> None:
    config = parse({"_example": "ignored"})
    assert config == AutoscalerConfig()
    assert (config.stable_window_s, config.target_burst_capacity, config.target_fraction) == (60, 211, 0.7)


def test_every_key_is_read() -> None:
    config = parse(
        {
            "container-concurrency-target-percentage": "80",
            "container-concurrency-target-default": "50",
            "requests-per-second-target-default": "300",
            "target-burst-capacity": "-1",
            "stable-window": "6s",
            "panic-window-percentage": "20",
            "panic-threshold-percentage": "150",
            "max-scale-up-rate": "10",
            "max-scale-down-rate": "3",
            "enable-scale-to-zero": "false",
            "scale-to-zero-grace-period": "6s",
            "scale-to-zero-pod-retention-period": "1m",
            "pod-autoscaler-class": HPA_CLASS,
            "activator-capacity": "200",
            "initial-scale": "0",
            "allow-zero-initial-scale": "true",
            "min-scale": "1",
            "max-scale": "9",
            "max-scale-limit": "10",
            "scale-down-delay": "5m",
        }
    )
    assert dataclasses.astuple(config) == (
        0.8, 50.0, 300.0, -1.0, 6.0, 0.2, 1.5, 10.0, 3.0, False, 6.0, 60.0, HPA_CLASS, 200.0, 0, True, 1, 9, 10, 300.0,
    )  # fmt: skip


@pytest.mark.parametrize(("text", "fraction"), [("0.7", 0.7), ("70", 0.7), ("1", 1.0), ("100", 1.0)])
def test_the_target_percentage_may_be_a_fraction(text: str, fraction: float) -> None:
    assert parse({"container-concurrency-target-percentage": text}).target_fraction == pytest.approx(fraction)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("container-concurrency-target-percentage", "0"),
        ("container-concurrency-target-percentage", "101"),
        ("container-concurrency-target-percentage", "nan"),
        ("container-concurrency-target-default", "0.001"),
        ("requests-per-second-target-default", "0"),
        ("target-burst-capacity", "-2"),
        ("stable-window", "5s"),
        ("stable-window", "2h"),
        ("stable-window", "sixty"),
        ("panic-window-percentage", "0"),
        ("panic-threshold-percentage", "100"),
        ("max-scale-up-rate", "1"),
        ("max-scale-down-rate", "0.5"),
        ("enable-scale-to-zero", "maybe"),
        ("scale-to-zero-grace-period", "1s"),
        ("scale-to-zero-pod-retention-period", "-1s"),
        ("activator-capacity", "0"),
        ("initial-scale", "0"),
        ("min-scale", "-1"),
        ("max-scale", "-1"),
        ("max-scale-limit", "-1"),
        ("scale-down-delay", "2h"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_key(key: str, value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse({key: value})
    assert refused.value.path == f"config-autoscaler.{key}"


def test_with_a_limit_the_cluster_maximum_must_lie_within_it() -> None:
    with pytest.raises(ConfigError) as refused:
        parse({"max-scale-limit": "5", "max-scale": "6"})
    assert refused.value.path == "config-autoscaler.max-scale"
