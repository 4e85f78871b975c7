"""Which addresses no event is sent to, in every spelling of a number."""

from __future__ import annotations

import pytest

from eventmesh.kube.subscriber_addresses import can_be_certified, is_loopback, why_not


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "::ffff:0.0.0.0",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_what_serves_the_machine_itself_is_refused(host: str) -> None:
    assert why_not(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "93.184.216.34", "2001:db8::1", "a.b"])
def test_what_a_subscriber_may_have_is_not(host: str) -> None:
    assert why_not(host) == ""


def test_loopback_is_known_in_both_families_and_names_alone_are_certified() -> None:
    assert [is_loopback(host) for host in ("127.64.0.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "localhost")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [can_be_certified(host) for host in ("hook.example", "10.0.0.1", "::1")] == [True, False, False]
