"""How an event is delivered to one subscriber: attempts, waits, dead letters. Values and arithmetic, no I/O.

After knative/specs: specs/eventing/control-plane.md (DeliverySpec) and data-plane.md (which answers are retried).
"""

from __future__ import annotations

from enum import Enum

from eventmesh.base.frozen import frozen

DEFAULT_TIMEOUT_S = 300.0
"""Longest wait for one answer when the delivery spec names none: a revision's own default timeoutSeconds."""

MAX_WAIT_S = 3600.0
"""Longest wait between two attempts. Without a cap 20 exponential retries from one second take 12 days."""

RETRIED_STATUS = frozenset({404, 408, 409, 429})
"""Beside every 5xx and the absence of an answer (data-plane.md, "Retrying event deliveries")."""

WAITING_STATUS = frozenset({429, 503})
"""Answers whose Retry-After is honoured."""


class BackoffPolicy(Enum):
    """How the wait grows from one retry to the next."""

    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class DeliveryFormat(Enum):
    """How an event lies in the request that carries it (CloudEvents, HTTP protocol binding, section 3)."""

    BINARY = "binary"
    """Attributes in headers, data as the body."""
    JSON = "json"
    """Structured: all of it a JSON document."""


@frozen
class DeliveryPolicy:
    """The delivery block that holds for a trigger; the defaults are those of Knative's config-br-defaults."""

    retry: int = 10
    """Attempts after the first."""
    backoff: BackoffPolicy = BackoffPolicy.EXPONENTIAL
    backoff_delay_s: float = 0.2
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Longest wait for the answer to one attempt."""
    retry_after_max_s: float = 0.0
    """Longest Retry-After that is honoured; 0 = the header is ignored."""
    dead_letter_uri: str = ""
    """Where events go that cannot be delivered; empty: they are kept in the store as dead letters."""

    format: DeliveryFormat = DeliveryFormat.BINARY
    """Of what goes to the subscriber and to the dead letter sink."""

    def wait_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Return the wait after `failures` failed attempts: linear d*k, exponential d*2^(k-1), capped.

        The many readings of this field are listed in docs/adr/0007-delivery-arithmetic.md.
        """
        if self.backoff is BackoffPolicy.LINEAR:
            wait = self.backoff_delay_s * failures
        else:
            wait = self.backoff_delay_s * 2.0 ** min(failures - 1, 40)
        wait = min(wait, MAX_WAIT_S)
        if retry_after_s is not None and self.retry_after_max_s > 0:
            wait = max(wait, min(retry_after_s, self.retry_after_max_s))
        return wait


@frozen
class DeliveryControls:
    """What a trigger asks for beyond its delivery block, by annotations of ours."""

    paused: bool = False
    """Nothing is sent; events wait in the store."""
    rate_per_s: float = 0.0
    """Most requests a second; 0: no limit."""
    order_by: str = ""
    """Attribute by whose value events are delivered one after the other; empty: in any order."""
    start_at: float | None = None
    """A trigger that is new gets what was accepted since then (seconds since the epoch); None: from now on."""
    prewarm: bool = True
    """Whether its function may be woken on a guess, where its broker allows guesses at all."""


@frozen
class BrokerControls:
    """What a broker asks for beyond Knative's fields, by annotations of ours."""

    deduplicate_s: float = 0.0
    """For how long (source, id) is known again; 0: not at all."""
    prewarm: int = 0
    """Most functions that may be awake on a guess at a time; 0: none is woken before its event is there."""


def is_delivered(status: int) -> bool:
    """Return whether an answer means that the subscriber has the event."""
    return 200 <= status < 300


def is_retried(status: int) -> bool:
    """Return whether a failed attempt with this answer is worth another."""
    return status >= 500 or status in RETRIED_STATUS
