"""The annotations `autoscaling.knative.dev/*` of a revision: reading them, and refusing them in Knative's words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from eventmesh.autoscale.config import HPA_CLASS, KPA_CLASS, TARGET_MIN, WINDOW_MAX_S, WINDOW_MIN_S, AutoscalerConfig
from eventmesh.autoscale.windows import Aggregation
from eventmesh.base.durations import format_go, parse_go
from eventmesh.base.errors import ConfigError

DOMAIN = "autoscaling.knative.dev"
CLASS = f"{DOMAIN}/class"
METRIC = f"{DOMAIN}/metric"
TARGET = f"{DOMAIN}/target"
TARGET_UTILIZATION = f"{DOMAIN}/target-utilization-percentage"
TARGET_BURST_CAPACITY = f"{DOMAIN}/target-burst-capacity"
WINDOW = f"{DOMAIN}/window"
PANIC_WINDOW = f"{DOMAIN}/panic-window-percentage"
PANIC_THRESHOLD = f"{DOMAIN}/panic-threshold-percentage"
MIN_SCALE = f"{DOMAIN}/min-scale"
MAX_SCALE = f"{DOMAIN}/max-scale"
INITIAL_SCALE = f"{DOMAIN}/initial-scale"
ACTIVATION_SCALE = f"{DOMAIN}/activation-scale"
SCALE_DOWN_DELAY = f"{DOMAIN}/scale-down-delay"
POD_RETENTION = f"{DOMAIN}/scale-to-zero-pod-retention-period"
AGGREGATION = f"{DOMAIN}/metric-aggregation-algorithm"

_INT32_MAX = 2**31 - 1
_OLD_SPELLINGS = {
    MIN_SCALE: f"{DOMAIN}/minScale",
    MAX_SCALE: f"{DOMAIN}/maxScale",
    INITIAL_SCALE: f"{DOMAIN}/initialScale",
    ACTIVATION_SCALE: f"{DOMAIN}/activationScale",
    SCALE_DOWN_DELAY: f"{DOMAIN}/scaleDownDelay",
    POD_RETENTION: f"{DOMAIN}/scaleToZeroPodRetentionPeriod",
    PANIC_WINDOW: f"{DOMAIN}/panicWindowPercentage",
    PANIC_THRESHOLD: f"{DOMAIN}/panicThresholdPercentage",
    TARGET_UTILIZATION: f"{DOMAIN}/targetUtilizationPercentage",
    TARGET_BURST_CAPACITY: f"{DOMAIN}/targetBurstCapacity",
    AGGREGATION: f"{DOMAIN}/metricAggregationAlgorithm",
}

T = TypeVar("T")


def value_of(annotations: Mapping[str, str], key: str) -> str | None:
    """Return the annotation `key`, in its present or its older camelCase spelling."""
    value = annotations.get(key)
    old = _OLD_SPELLINGS.get(key)
    return annotations.get(old) if value is None and old is not None else value


def read(annotations: Mapping[str, str], key: str, parse: Callable[[str], T], default: T) -> T:
    """Return the annotation `key` parsed, or `default` when it is absent or was admitted broken.

    Admission refuses what does not parse; an object that came in another way must not stop the rest.
    """
    text = value_of(annotations, key)
    try:
        return default if text is None else parse(text)
    except ValueError:
        return default


def problems(annotations: Mapping[str, str], config: AutoscalerConfig) -> list[ConfigError]:
    """Return what is wrong with the autoscaling annotations; each error's path is the annotation's key."""
    return [
        *_class_and_metric(annotations),
        *_bounds(annotations, config),
        *_numbers(annotations),
        *_durations(annotations),
        *_initial_scale(annotations, config),
    ]


def _spelled(annotations: Mapping[str, str], key: str) -> str:
    return key if key in annotations else _OLD_SPELLINGS.get(key, key)


def _invalid(value: object, key: str) -> ConfigError:
    return ConfigError(key, f"invalid value: {value}")


def _out_of_bounds(value: object, low: object, high: object, key: str) -> ConfigError:
    return ConfigError(key, f"expected {low} <= {value} <= {high}")


def _class_and_metric(annotations: Mapping[str, str]) -> Iterator[ConfigError]:
    class_name = annotations.get(CLASS, KPA_CLASS)
    if class_name.endswith(DOMAIN) and class_name not in (KPA_CLASS, HPA_CLASS):
        yield _invalid(class_name, CLASS)
    metric = annotations.get(METRIC)
    if metric is not None:
        accepted = {KPA_CLASS: metric in ("concurrency", "rps"), HPA_CLASS: metric != ""}
        if not accepted.get(class_name, True):
            yield _invalid(metric, METRIC)
    algorithm = value_of(annotations, AGGREGATION)
    if class_name == KPA_CLASS and algorithm and algorithm not in {known.value for known in Aggregation}:
        yield _invalid(algorithm, _spelled(annotations, AGGREGATION))


def _count(annotations: Mapping[str, str], key: str) -> tuple[int, ConfigError | None]:
    text = value_of(annotations, key)
    if text is None:
        return 0, None
    spelled = _spelled(annotations, key)
    try:
        number = int(text)
    except ValueError:
        return 0, _invalid(text, spelled)
    if not 0 <= number <= _INT32_MAX:
        return 0, _out_of_bounds(text, 0, _INT32_MAX, spelled)
    return number, None


def _bounds(annotations: Mapping[str, str], config: AutoscalerConfig) -> Iterator[ConfigError]:
    low, low_error = _count(annotations, MIN_SCALE)
    high, high_error = _count(annotations, MAX_SCALE)
    yield from (error for error in (low_error, high_error) if error is not None)
    if high and high < low:
        yield ConfigError(f"{MAX_SCALE}, {MIN_SCALE}", f"max-scale={high} is less than min-scale={low}")
    if config.max_scale_limit and value_of(annotations, MAX_SCALE) is not None and high_error is None:
        spelled = _spelled(annotations, MAX_SCALE)
        if high > config.max_scale_limit:
            yield _out_of_bounds(high, 1, config.max_scale_limit, spelled)
        if high == 0:
            yield ConfigError(spelled, f"max-scale=0 (unlimited), must be less than {config.max_scale_limit}")
    text = value_of(annotations, ACTIVATION_SCALE)
    if text is not None:
        yield from _activation_scale(text, low, high, _spelled(annotations, ACTIVATION_SCALE))


def _activation_scale(text: str, low: int, high: int, key: str) -> Iterator[ConfigError]:
    try:
        scale = int(text)
    except ValueError:
        yield _invalid(text, key)
        return
    if scale < 1:
        yield ConfigError(key, f"activation-scale={scale} must be greater than 0")
    elif low > scale:
        yield ConfigError(key, f"min-scale={low} is greater than activation-scale={scale}")
    elif high and high < scale:
        yield ConfigError(key, f"max-scale={high} is less than activation-scale={scale}")


def _numbers(annotations: Mapping[str, str]) -> Iterator[ConfigError]:
    for key, low, high in ((PANIC_WINDOW, 1, 100), (PANIC_THRESHOLD, 110, 1000), (TARGET_UTILIZATION, 1, 100)):
        text = value_of(annotations, key)
        if text is None:
            continue
        number = _finite(text)
        if number is None:
            yield _invalid(text, _spelled(annotations, key))
        elif not low <= number <= high:
            yield _out_of_bounds(text, low, high, _spelled(annotations, key))
    target = annotations.get(TARGET)
    if target is not None:
        number = _finite(target)
        if number is None:
            yield _invalid(target, TARGET)
        elif number < TARGET_MIN:
            yield ConfigError(TARGET, f"target {target} should be at least {TARGET_MIN:g}")
    burst = value_of(annotations, TARGET_BURST_CAPACITY)
    if burst is not None:
        number = _finite(burst)
        if number is None or (number < 0 and number != -1):
            yield _invalid(burst, _spelled(annotations, TARGET_BURST_CAPACITY))


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _durations(annotations: Mapping[str, str]) -> Iterator[ConfigError]:
    for key, low, whole_seconds in (
        (WINDOW, WINDOW_MIN_S, True),
        (SCALE_DOWN_DELAY, 0.0, True),
        (POD_RETENTION, 0.0, False),
    ):
        text = value_of(annotations, key)
        if text is None:
            continue
        spelled = _spelled(annotations, key)
        try:
            seconds = parse_go(text)
        except ValueError:
            yield _invalid(text, spelled)
            continue
        if not low <= seconds <= WINDOW_MAX_S:
            yield _out_of_bounds(text, format_go(low), format_go(WINDOW_MAX_S), spelled)
        elif whole_seconds and seconds != math.floor(seconds):
            yield ConfigError(spelled, "must be specified with at most second precision")


def _initial_scale(annotations: Mapping[str, str], config: AutoscalerConfig) -> Iterator[ConfigError]:
    text = value_of(annotations, INITIAL_SCALE)
    if text is None:
        return
    spelled = _spelled(annotations, INITIAL_SCALE)
    try:
        scale = int(text)
    except ValueError:
        yield _invalid(text, spelled)
        return
    if scale < 0:
        yield ConfigError(f"{spelled} must be greater than 0", f"invalid value: {text}")
    elif scale == 0 and not config.allow_zero_initial_scale:
        yield ConfigError(f"{spelled}=0 not allowed by cluster", f"invalid value: {text}")
