"""Sliding averages, in virtual time."""

import pytest

from eventmesh.autoscale.windows import Aggregation, Window


def test_an_empty_window_has_no_average() -> None:
    assert Window(60).average(1000.0) is None


def test_seconds_before_the_first_report_and_after_the_last_are_unknown_and_those_between_are_zero() -> None:
    window = Window(60)
    for second in (0, 1, 4):
        window.record(10.0, 100.0 + second)
    assert window.average(102.5) == pytest.approx(10.0)
    assert window.average(105.0) == window.average(130.0) == pytest.approx(30.0 / 5)


def test_the_second_that_has_begun_counts_only_where_it_raises_the_average() -> None:
    window = Window(6)
    for second in range(6):
        window.record(12.0, float(second))
    window.record(0.0, 6.1)
    assert window.average(6.2) == pytest.approx(12.0)
    window.record(30.0, 6.3)
    assert window.average(6.4) == pytest.approx((5 * 12 + 30) / 6)


def test_a_window_of_one_second_is_known_until_the_next_report() -> None:
    window = Window(1)
    window.record(5.0, 10.9)
    assert window.average(10.95) == window.average(11.9) == pytest.approx(5.0)
    assert window.average(12.0) is None


def test_reports_within_one_second_add_up() -> None:
    window = Window(10)
    window.record(3.0, 50.1)
    window.record(4.0, 50.9)
    assert window.average(50.95) == pytest.approx(7.0)


def test_seconds_older_than_the_window_are_forgotten() -> None:
    window = Window(6)
    window.record(60.0, 0.0)
    for second in range(1, 7):
        window.record(1.0, float(second))
    assert window.average(7.0) == pytest.approx(1.0)


def test_a_silent_window_becomes_unknown_rather_than_zero() -> None:
    window = Window(6)
    window.record(5.0, 0.0)
    assert window.average(6.9) == pytest.approx(5.0)
    assert window.average(7.0) is None


def test_a_gap_longer_than_the_window_starts_it_anew() -> None:
    window = Window(6)
    window.record(50.0, 0.0)
    window.record(2.0, 100.0)
    assert window.average(100.0) == pytest.approx(2.0)


def test_a_late_report_counts_where_it_belongs_and_a_stale_one_nowhere() -> None:
    window = Window(6)
    window.record(2.0, 10.0)
    window.record(4.0, 8.0)
    window.record(99.0, 3.0)
    assert window.average(11.0) == pytest.approx(6.0 / 3)


def test_steady_load_gives_the_same_average_however_weighted() -> None:
    linear, weighted = Window(60), Window(60, Aggregation.WEIGHTED_EXPONENTIAL)
    for second in range(200):
        linear.record(7.0, float(second))
        weighted.record(7.0, float(second))
    assert linear.average(199.0) == pytest.approx(7.0)
    assert weighted.average(199.0) == pytest.approx(7.0)


def test_the_weighted_window_follows_a_jump_sooner() -> None:
    linear, weighted = Window(60), Window(60, Aggregation.WEIGHTED_EXPONENTIAL)
    for second in range(60):
        load = 100.0 if second >= 55 else 0.0
        linear.record(load, float(second))
        weighted.record(load, float(second))
    # Coefficient 0.2: five newest buckets weigh 1 - 0.8^5 = 67 %.
    assert weighted.average(60.0) == pytest.approx(100 * (1 - 0.8**5) / (1 - 0.8**60))
    assert linear.average(60.0) == pytest.approx(100 * 5 / 60)


def test_a_short_weighted_window_leaves_a_ten_thousandth() -> None:
    window = Window(6, Aggregation.WEIGHTED_EXPONENTIAL)
    for second in range(6):
        window.record(1.0 if second == 0 else 0.0, float(second))
    keep = 0.0001 ** (1 / 6)
    assert window.average(6.0) == pytest.approx(keep**5 * (1 - keep) / (1 - 0.0001))


def test_a_resized_window_keeps_what_fits() -> None:
    window = Window(60)
    for second in range(60):
        window.record(float(second), float(second))
    shorter = window.resized(6, Aggregation.LINEAR)
    assert shorter.span_s == 6
    assert shorter.average(60.0) == pytest.approx(sum(range(54, 60)) / 6)
    assert Window(6).resized(60, Aggregation.LINEAR).average(0.0) is None


def test_a_window_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Window(0)
