"""When certificates and roots are replaced, and which roots are trusted meanwhile. Pure: times in, verdicts out.

A new root is trusted at once and signs later, so that everybody knows it before anybody shows what it has signed; the
old one is trusted until the last certificate it may have signed has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eventmesh.base.frozen import frozen

LIFETIME: Final = timedelta(hours=24)
"""Of a workload's certificate; Istio's own."""

RENEW_AT: Final = 0.5
"""The part of its life after which a certificate is replaced: half a day is left to mend what keeps it from that."""

JITTER: Final = 0.1
"""How much earlier or later, as a part of the life: what was certified together is not renewed in one moment."""

ROOT_LIFETIME: Final = timedelta(days=3650)

ROOT_RENEW_BEFORE: Final = timedelta(days=365)
"""A root makes way for the next when so little of its life is left: far more than the longest overlap."""


def renewal(issued: datetime, expires: datetime, draw: float) -> datetime:
    """Return when a certificate is to be replaced; `draw` is a random number from 0 to 1."""
    return issued + (expires - issued) * (RENEW_AT + (2 * draw - 1) * JITTER)


@frozen
class RootPeriod:
    """The life of one root."""

    created: datetime
    expires: datetime


def overlap(lifetime: timedelta) -> timedelta:
    """Return how long a new root is only made known before it signs, for certificates of that lifetime.

    Half a life is the longest that anybody who renews in time can have been away.
    """
    return lifetime / 2


def signing(roots: Sequence[RootPeriod], now: datetime, lifetime: timedelta) -> int:
    """Return the index of the root that signs: the newest that everybody knows by now, else the first.

    `roots` are in order of their creation, at least one.
    """
    known = [at for at, root in enumerate(roots) if root.created + overlap(lifetime) <= now]
    return known[-1] if known else 0


def trusted(roots: Sequence[RootPeriod], now: datetime, lifetime: timedelta) -> list[int]:
    """Return the indices of the roots that are trusted, in order."""
    return [at for at, _ in enumerate(roots) if at + 1 == len(roots) or now < _retired(roots[at + 1], lifetime)]


def _retired(successor: RootPeriod, lifetime: timedelta) -> datetime:
    """Return when the last certificate has expired that was signed before `successor` signed."""
    return successor.created + overlap(lifetime) + lifetime


def next_change(roots: Sequence[RootPeriod], now: datetime, lifetime: timedelta) -> datetime:
    """Return when `signing`, `trusted` or `is_due` answers differently for the next time."""
    moments = [roots[-1].expires - ROOT_RENEW_BEFORE]
    for root in roots[1:]:
        moments += [root.created + overlap(lifetime), _retired(root, lifetime)]
    return min((moment for moment in moments if moment > now), default=now)


def is_due(roots: Sequence[RootPeriod], now: datetime) -> bool:
    """Return whether the newest root needs a successor."""
    return now >= roots[-1].expires - ROOT_RENEW_BEFORE
