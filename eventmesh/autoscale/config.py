"""Settings of the whole cluster: the ConfigMap `config-autoscaler` with Knative's keys and defaults."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

from eventmesh.base.durations import format_go, parse_go
from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

WINDOW_MIN_S = 6.0
"""Shortest stable window: below it a panic window of a tenth holds less than one bucket (Knative's WindowMin)."""
WINDOW_MAX_S = 3600.0
"""Longest window (Knative's WindowMax); it bounds the memory of a revision's windows."""
TARGET_MIN = 0.01
"""Smallest target: it keeps a division by the target finite (Knative's TargetMin)."""
KPA_CLASS = "kpa.autoscaling.knative.dev"
HPA_CLASS = "hpa.autoscaling.knative.dev"


@frozen
class AutoscalerConfig:
    """`config-autoscaler`, parsed. Fractions are 0..1 where the key says percentage."""

    target_fraction: float = 0.7
    """container-concurrency-target-percentage: how full a pod is meant to be."""
    concurrency_target: float = 100.0
    """container-concurrency-target-default: requests at once per pod when containerConcurrency is 0."""
    rps_target: float = 200.0
    target_burst_capacity: float = 211.0
    """Requests at once that must fit without scaling before the activator leaves the path; -1 = never leaves."""
    stable_window_s: float = 60.0
    panic_window_fraction: float = 0.1
    panic_threshold: float = 2.0
    """Panic when the panic window wants this many times the ready pods."""
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    enable_scale_to_zero: bool = True
    scale_to_zero_grace_s: float = 30.0
    """How long the activator is in the path before the last pod goes."""
    pod_retention_s: float = 0.0
    """scale-to-zero-pod-retention-period: the last pod stays at least this long after the traffic ended."""
    autoscaler_class: str = KPA_CLASS
    activator_capacity: float = 100.0
    """Requests at once that one activator is trusted with."""
    initial_scale: int = 1
    allow_zero_initial_scale: bool = False
    min_scale: int = 0
    max_scale: int = 0
    """0 = no bound."""
    max_scale_limit: int = 0
    """No revision may ask for a larger max-scale; 0 = no limit."""
    scale_down_delay_s: float = 0.0


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a finite number is expected")
    return value


def _percentage(text: str) -> float:
    return _number(text) / 100


def _boolean(text: str) -> bool:
    match text.strip().lower():
        case "true" | "1" | "t":
            return True
        case "false" | "0" | "f":
            return False
    raise ValueError("true or false is expected")


_KEYS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "container-concurrency-target-percentage": ("target_fraction", _percentage),
    "container-concurrency-target-default": ("concurrency_target", _number),
    "requests-per-second-target-default": ("rps_target", _number),
    "target-burst-capacity": ("target_burst_capacity", _number),
    "stable-window": ("stable_window_s", parse_go),
    "panic-window-percentage": ("panic_window_fraction", _percentage),
    "panic-threshold-percentage": ("panic_threshold", _percentage),
    "max-scale-up-rate": ("max_scale_up_rate", _number),
    "max-scale-down-rate": ("max_scale_down_rate", _number),
    "enable-scale-to-zero": ("enable_scale_to_zero", _boolean),
    "scale-to-zero-grace-period": ("scale_to_zero_grace_s", parse_go),
    "scale-to-zero-pod-retention-period": ("pod_retention_s", parse_go),
    "pod-autoscaler-class": ("autoscaler_class", str),
    "activator-capacity": ("activator_capacity", _number),
    "initial-scale": ("initial_scale", int),
    "allow-zero-initial-scale": ("allow_zero_initial_scale", _boolean),
    "min-scale": ("min_scale", int),
    "max-scale": ("max_scale", int),
    "max-scale-limit": ("max_scale_limit", int),
    "scale-down-delay": ("scale_down_delay_s", parse_go),
}


KEYS = frozenset(_KEYS)
"""Every key that is read."""


def parse(data: Mapping[str, str]) -> AutoscalerConfig:
    """Return the settings in `data`; keys it does not know are left to whoever does, as Knative does.

    Raises ConfigError naming the key; the caller keeps the settings it had.
    """
    fields: dict[str, object] = {}
    for key, (field, read) in _KEYS.items():
        if key in data:
            try:
                fields[field] = read(data[key])
            except ValueError as error:
                raise ConfigError(f"config-autoscaler.{key}", f"invalid value {data[key]!r}: {error}") from error
    config = dataclasses.replace(AutoscalerConfig(), **fields)  # type: ignore[arg-type]  # fields are typed by _KEYS
    if config.target_fraction <= 1 / 100:
        # Upstream reads a value up to 1 as a fraction already.
        config = dataclasses.replace(config, target_fraction=config.target_fraction * 100)
    _check(config)
    return config


def _check(config: AutoscalerConfig) -> None:
    window = f"{format_go(WINDOW_MIN_S)} to {format_go(WINDOW_MAX_S)}"
    rules: tuple[tuple[bool, str, object, str], ...] = (
        (
            0 < config.target_fraction <= 1,
            "container-concurrency-target-percentage",
            config.target_fraction * 100,
            "above 0, at most 100",
        ),
        (
            config.concurrency_target >= TARGET_MIN,
            "container-concurrency-target-default",
            config.concurrency_target,
            f"at least {TARGET_MIN}",
        ),
        (
            config.rps_target >= TARGET_MIN,
            "requests-per-second-target-default",
            config.rps_target,
            f"at least {TARGET_MIN}",
        ),
        (
            config.target_burst_capacity >= 0 or config.target_burst_capacity == -1,
            "target-burst-capacity",
            config.target_burst_capacity,
            "0 or more, or -1",
        ),
        (
            WINDOW_MIN_S <= config.stable_window_s <= WINDOW_MAX_S,
            "stable-window",
            format_go(config.stable_window_s),
            window,
        ),
        (
            0.01 <= config.panic_window_fraction <= 1,
            "panic-window-percentage",
            config.panic_window_fraction * 100,
            "1 to 100",
        ),
        (
            1.1 <= config.panic_threshold <= 10,
            "panic-threshold-percentage",
            config.panic_threshold * 100,
            "110 to 1000",
        ),
        (config.max_scale_up_rate > 1, "max-scale-up-rate", config.max_scale_up_rate, "above 1"),
        (config.max_scale_down_rate > 1, "max-scale-down-rate", config.max_scale_down_rate, "above 1"),
        (
            config.scale_to_zero_grace_s >= WINDOW_MIN_S,
            "scale-to-zero-grace-period",
            format_go(config.scale_to_zero_grace_s),
            f"at least {format_go(WINDOW_MIN_S)}",
        ),
        (
            0 <= config.pod_retention_s <= WINDOW_MAX_S,
            "scale-to-zero-pod-retention-period",
            format_go(config.pod_retention_s),
            f"0s to {format_go(WINDOW_MAX_S)}",
        ),
        (config.activator_capacity >= 1, "activator-capacity", config.activator_capacity, "at least 1"),
        (
            config.initial_scale >= (0 if config.allow_zero_initial_scale else 1),
            "initial-scale",
            config.initial_scale,
            "at least 1, or 0 with allow-zero-initial-scale",
        ),
        (config.min_scale >= 0, "min-scale", config.min_scale, "0 or more"),
        (config.max_scale_limit >= 0, "max-scale-limit", config.max_scale_limit, "0 or more"),
        (
            config.max_scale >= 0 and (not config.max_scale_limit or 0 < config.max_scale <= config.max_scale_limit),
            "max-scale",
            config.max_scale,
            "0 or more, and within max-scale-limit when that is set",
        ),
        (
            0 <= config.scale_down_delay_s <= WINDOW_MAX_S,
            "scale-down-delay",
            format_go(config.scale_down_delay_s),
            f"0s to {format_go(WINDOW_MAX_S)}",
        ),
    )
    for holds, key, value, accepted in rules:
        if not holds:
            raise ConfigError(f"config-autoscaler.{key}", f"{value} is out of range: {accepted}")
