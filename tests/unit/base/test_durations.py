"""Go's notation of durations, both ways."""

import pytest

from eventmesh.base.durations import format_go, parse_go


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("6s", 6),
        ("1h30m", 5400),
        ("1m30.5s", 90.5),
        ("300ms", 0.3),
        (".5s", 0.5),
        ("-2m", -120),
        ("+1us", 1e-6),
    ],
)
def test_every_unit_is_read(text: str, seconds: float) -> None:
    assert parse_go(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "6", "s", "6 s", "1h-2m", "--1s", "1d", "s6", "1" * 70 + "s", "1s "])
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_go(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (6, "6s"),
        (3600, "1h0m0s"),
        (90.5, "1m30.5s"),
        (0.3, "300ms"),
        (-5, "-5s"),
        (2e-6, "2µs"),
        (7e-9, "7ns"),
    ],
)
def test_durations_print_as_go_prints_them(seconds: float, text: str) -> None:
    assert format_go(seconds) == text
    assert parse_go(text) == pytest.approx(seconds)
