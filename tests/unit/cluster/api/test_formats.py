"""The formats of texts: what is one, and what only looks like one."""

from __future__ import annotations

import pytest

from eventmesh.cluster.api.formats import FORMATS


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("byte", "aGk=", "hi!"),
        ("cidr", "10.0.0.1/8", "10.0.0.1"),
        ("cidr", "fe80::/64", "10.0.0.0/255.0.0.0"),
        ("cidr", "::/0", "fe80::%eth0/64"),
        ("date", "2024-02-29", "2023-02-29"),
        ("date", "1970-01-01", "19700101"),
        ("date", "1970-01-01", "1970-W01-4"),
        ("date-time", "2024-02-29T01:02:03Z", "2024-02-29 01:02:03Z"),
        ("date-time", "2024-02-29T01:02:03.5+01:00", "2024-02-29T01:02:03"),
        ("date-time", "2024-02-29t01:02:03z", "yesterday"),
        ("email", "a@example.com", "example.com"),
        ("hostname", "a-b.example.com", "-a.example.com"),
        ("hostname", "a", "a-.example.com"),
        ("hostname", "1.example.com", "example.com."),
        ("ipv4", "127.0.0.1", "127.0.0.256"),
        ("ipv6", "::1", "127.0.0.1"),
        ("ipv6", "fe80::1", "fe80::1%eth0"),
        ("mac", "00-1b-63-84-45-e6", "00:1b-63:84-45:e6"),
        ("mac", "00:1b:63:84:45:e6", "00:1b:63:84:45"),
        ("uri", "https://example.com/x", "example.com"),
        ("uri", "/x/y", "https://example.com/\n"),
        ("uuid", "9a2e4b90-1d4b-4d4f-8f3e-0a5a4f1f8a11", "9a2e4b90"),
    ],
)
def test_a_format_takes_its_own_and_nothing_else(name: str, good: str, bad: str) -> None:
    assert (FORMATS[name](good), FORMATS[name](bad)) == (True, False)
