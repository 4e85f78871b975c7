"""When what is replaced, and who is trusted meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eventmesh.xds.identity.rotation import (
    LIFETIME,
    ROOT_LIFETIME,
    ROOT_RENEW_BEFORE,
    RootPeriod,
    is_due,
    next_change,
    renewal,
    signing,
    trusted,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def root(created: datetime) -> RootPeriod:
    return RootPeriod(created, created + ROOT_LIFETIME)


def test_a_certificate_is_replaced_at_half_its_life_give_or_take_a_tenth() -> None:
    expires = NOW + timedelta(hours=10)
    assert [renewal(NOW, expires, draw) - NOW for draw in (0.0, 0.5, 1.0)] == [4 * HOUR, 5 * HOUR, 6 * HOUR]


def test_a_new_root_is_trusted_at_once_signs_later_and_the_old_one_goes_when_nothing_of_it_is_left() -> None:
    roots = [root(NOW - timedelta(days=100)), root(NOW)]
    moments = [NOW, NOW + 11 * HOUR, NOW + 12 * HOUR, NOW + 35 * HOUR, NOW + 36 * HOUR]
    verdicts = [(signing(roots, at, LIFETIME), trusted(roots, at, LIFETIME)) for at in moments]
    assert verdicts == [(0, [0, 1]), (0, [0, 1]), (1, [0, 1]), (1, [0, 1]), (1, [1])]


def test_the_first_root_signs_from_its_first_moment() -> None:
    assert signing([root(NOW)], NOW, LIFETIME) == 0


def test_time_is_asked_for_exactly_when_a_verdict_changes() -> None:
    roots = [root(NOW - timedelta(days=100)), root(NOW)]
    assert next_change(roots, NOW, LIFETIME) == NOW + 12 * HOUR
    assert next_change(roots, NOW + 12 * HOUR, LIFETIME) == NOW + 36 * HOUR
    assert next_change(roots, NOW + 36 * HOUR, LIFETIME) == NOW + ROOT_LIFETIME - ROOT_RENEW_BEFORE


def test_a_root_has_a_successor_a_year_before_it_ends() -> None:
    end = NOW + ROOT_LIFETIME - ROOT_RENEW_BEFORE
    assert not is_due([root(NOW)], end - HOUR)
    assert is_due([root(NOW)], end)


@given(
    ages=st.lists(st.integers(0, 400), min_size=1, max_size=4, unique=True),
    issued_before=st.integers(0, 23),
)
def test_what_was_signed_within_a_lifetime_is_trusted_by_everybody_who_renewed_within_half_of_one(
    ages: list[int], issued_before: int
) -> None:
    roots = [root(NOW - age * HOUR) for age in sorted(ages, reverse=True)]
    signer = signing(_known(roots, NOW - issued_before * HOUR), NOW - issued_before * HOUR, LIFETIME)
    for away in range(13):
        told = NOW - away * HOUR
        known = _known(roots, told)
        if told >= roots[0].created and issued_before >= away:
            assert signer in trusted(known, told, LIFETIME)
    assert signer in trusted(roots, NOW, LIFETIME)


def _known(roots: list[RootPeriod], at: datetime) -> list[RootPeriod]:
    """Return the roots that existed then; the first one always did."""
    return [roots[0], *(one for one in roots[1:] if one.created <= at)]
