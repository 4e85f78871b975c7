"""RetryPolicy into RetryPolicy, and the retry limits of circuit breakers."""

from __future__ import annotations

from eventmesh.model.policy import RetryBudget, RetryOn, RetryPolicy
from eventmesh.xds.schema.tree import Message

PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"

MAX_RETRIES = 100
"""Most `num_retries`: with the longest default back-off of 250 ms they fill half a minute; more is a loop."""
MAX_BACK_OFFS = 10
"""The longest back-off, in base intervals, of a policy that does not set it (Envoy's default)."""
_BASE_INTERVAL_S = 0.025

_WORDS = {word.value: word for word in RetryOn}


def read_retry(policy: Message, warnings: list[str]) -> RetryPolicy | None:
    """Return a `route.RetryPolicy`; None when it retries nothing."""
    on = tuple(dict.fromkeys(_words(policy)))
    most = policy.number("num_retries", 1)
    if most > MAX_RETRIES:
        raise policy.error("num_retries", f"{most} is more than the limit of {MAX_RETRIES}")
    codes = policy.numbers("retriable_status_codes")
    if RetryOn.RETRIABLE_STATUS_CODES in on and not codes:
        warnings.append(f"{policy.where('retry_on')}: retriable-status-codes without any retriable_status_codes")
    for i, code in enumerate(codes):
        if not 100 <= code <= 599:
            raise policy.error(f"retriable_status_codes[{i}]", f"{code} is no HTTP status")
    base, longest = _back_off(policy)
    avoid = _avoids_tried(policy)
    if not on:
        return None
    return RetryPolicy(
        on=on,
        max_retries=most,
        per_try_timeout_s=policy.seconds("per_try_timeout", 0.0),
        status_codes=codes,
        base_interval_s=base,
        max_interval_s=longest,
        avoid_tried=avoid,
    )


def _words(policy: Message) -> list[RetryOn]:
    words = []
    for word in policy.text("retry_on").replace(" ", "").split(","):
        if word and word not in _WORDS:
            raise policy.error("retry_on", f"{word!r} is not supported; {', '.join(_WORDS)} are")
        if word:
            words.append(_WORDS[word])
    return words


def _back_off(policy: Message) -> tuple[float, float]:
    back_off = policy.child("retry_back_off")
    if back_off is None:
        return _BASE_INTERVAL_S, MAX_BACK_OFFS * _BASE_INTERVAL_S
    base = back_off.seconds("base_interval", 0.0)
    if base <= 0:
        raise back_off.error("base_interval", "missing or 0; a back-off needs one above 0s")
    longest = back_off.seconds("max_interval", MAX_BACK_OFFS * base)
    if longest < base:
        raise back_off.error("max_interval", f"{longest}s is less than base_interval ({base}s)")
    return base, longest


def _avoids_tried(policy: Message) -> bool:
    predicates = policy.children("retry_host_predicate")
    for i, predicate in enumerate(predicates):
        config = predicate.child("typed_config")
        if config is None or config.schema.name != PREVIOUS_HOSTS:
            what = config.schema.name if config else predicate.text("name")
            raise policy.error(f"retry_host_predicate[{i}]", f"{what} is not supported; {PREVIOUS_HOSTS} is")
    return bool(predicates)


def read_retry_budget(thresholds: Message) -> RetryBudget | None:
    """Return what replaces `max_retries`, None when nothing does."""
    budget = thresholds.child("retry_budget")
    if budget is None:
        return None
    share = budget.child("budget_percent")
    percent = share.decimal("value") if share else 20.0
    if not 0 <= percent <= 100:
        raise budget.error("budget_percent", f"{percent} is out of range; accepted are 0 to 100")
    return RetryBudget(percent, budget.number("min_retry_concurrency", 3))
