"""What a route or a cluster does when things go wrong: the policies, protocol-neutral, in Envoy's terms.

Statuses are HTTP's; Bolt's and gRPC's are mapped to them before a policy looks (docs/policies.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class RetryOn(Enum):
    """An outcome that is tried again, spelled as in Envoy's `retry_on`."""

    SERVER_ERROR = "5xx"
    """Any 5xx, or no answer at all."""
    GATEWAY_ERROR = "gateway-error"
    """502, 503 or 504, or no answer at all."""
    CONNECT_FAILURE = "connect-failure"
    REFUSED_STREAM = "refused-stream"
    """The endpoint refused the stream before it looked at it."""
    RESET = "reset"
    """The endpoint did not answer: it closed, reset or took longer than `per_try_timeout_s`."""
    RESET_BEFORE_REQUEST = "reset-before-request"
    """The same, before anything of the request was written."""
    RETRIABLE_4XX = "retriable-4xx"
    """409."""
    RETRIABLE_STATUS_CODES = "retriable-status-codes"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    INTERNAL = "internal"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Which outcomes of a route are tried again; never once a byte of the answer has gone to the client.

    The route's timeout covers all tries. A request with more than 64 KiB of body sent is not tried again.
    """

    on: tuple[RetryOn, ...]
    max_retries: int = 1
    """Tries beside the first."""
    per_try_timeout_s: float = 0.0
    """From the whole request sent to the first byte of the answer; 0 = none."""
    status_codes: tuple[int, ...] = ()
    """For `RETRIABLE_STATUS_CODES`."""
    base_interval_s: float = 0.025
    """Retry n waits for anything up to (2^n - 1) times this, drawn at random."""
    max_interval_s: float = 0.25
    avoid_tried: bool = False
    """Endpoints tried before are passed over while there is another one (Envoy's previous_hosts predicate)."""


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """How many retries a cluster may have under way, measured by its requests in flight and waiting."""

    percent: float = 20.0
    min_concurrency: int = 3
    """Always allowed."""
