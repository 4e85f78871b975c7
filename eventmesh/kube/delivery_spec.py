"""Reading the `delivery` block of Brokers, Triggers, Channels and Subscriptions (duck type DeliverySpec)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventmesh.base.durations import parse_iso8601
from eventmesh.base.errors import ConfigError
from eventmesh.model.delivery import DEFAULT_TIMEOUT_S, BackoffPolicy, DeliveryFormat, DeliveryPolicy

KNOWN = frozenset(
    {"deadLetterSink", "retry", "backoffPolicy", "backoffDelay", "timeout", "retryAfterMax", "format"},
)


def parse_delivery(spec: Mapping[str, Any], path: str, dead_letter_uri: str = "") -> DeliveryPolicy:
    """Return the policy of a delivery block; raises ConfigError with the path of the field at fault.

    An absent `retry` in a block that is there means none: a block replaces the defaults as a whole.
    `dead_letter_uri` is the resolved address of its deadLetterSink.
    """
    unknown = sorted(set(spec) - KNOWN)
    if unknown:
        raise ConfigError(f"{path}.{unknown[0]}", f"unknown field; known are {', '.join(sorted(KNOWN))}")
    retry = spec.get("retry", 0)
    if not isinstance(retry, int) or isinstance(retry, bool) or retry < 0:
        raise ConfigError(f"{path}.retry", f"must be an integer of at least 0, not {retry!r}")
    timeout_s = _duration(spec, "timeout", path, DEFAULT_TIMEOUT_S)
    if timeout_s <= 0:
        raise ConfigError(f"{path}.timeout", f"must be longer than zero, not {spec['timeout']!r}")
    return DeliveryPolicy(
        retry=retry,
        backoff=_backoff(spec, path),
        backoff_delay_s=_duration(spec, "backoffDelay", path, 0.0),
        timeout_s=timeout_s,
        retry_after_max_s=_duration(spec, "retryAfterMax", path, 0.0),
        dead_letter_uri=dead_letter_uri,
        format=_format(spec, path),
    )


def _format(spec: Mapping[str, Any], path: str) -> DeliveryFormat:
    name = spec.get("format", DeliveryFormat.BINARY.value)
    try:
        return DeliveryFormat(name)
    except ValueError as error:
        # Knative's "ingress" would be the mode in which the event came in, which no store of ours keeps.
        raise ConfigError(f"{path}.format", f'must be "binary" or "json", not {name!r}') from error


def _backoff(spec: Mapping[str, Any], path: str) -> BackoffPolicy:
    name = spec.get("backoffPolicy", BackoffPolicy.EXPONENTIAL.value)
    try:
        return BackoffPolicy(name)
    except ValueError as error:
        raise ConfigError(f"{path}.backoffPolicy", f'must be "linear" or "exponential", not {name!r}') from error


def _duration(spec: Mapping[str, Any], field: str, path: str, default: float) -> float:
    if field not in spec:
        return default
    try:
        return parse_iso8601(str(spec[field]))
    except ValueError as error:
        raise ConfigError(f"{path}.{field}", str(error)) from error
