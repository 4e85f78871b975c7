"""What is not dialled, whoever asks for it by whatever name."""

from __future__ import annotations

import pytest

from eventmesh.activator.subscriber_guard import RefusedAddress, SubscriberGuard
from eventmesh.transport.address import InetAddress

CONTROL = ("127.0.0.1:18001", "0.0.0.0:15000", "10.0.0.7:6443", "unix:/run/x.sock", "no address")


@pytest.fixture
def guard() -> SubscriberGuard:
    return SubscriberGuard(lambda cluster: cluster != "autoscaler", lambda: CONTROL)


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("169.254.169.254", 80, "metadata"),
        ("127.0.0.1", 18001, "control port"),
        ("::1", 18001, "control port"),
        ("::ffff:127.0.0.1", 18001, "control port"),
        ("127.0.0.9", 15000, "control port"),
        ("10.0.0.7", 6443, "control port"),
        ("127.64.0.3", 8022, "sidecar"),
    ],
)
def test_control_ports_and_metadata_are_refused(guard: SubscriberGuard, host: str, port: int, said: str) -> None:
    with pytest.raises(RefusedAddress, match=said):
        guard.check("outside/x", InetAddress(host, port))


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 8080), ("10.0.0.8", 6443), ("10.0.0.8", 18001), ("10.0.0.8", 8022)]
)
def test_all_else_is_dialled_and_so_is_what_the_operator_chose(guard: SubscriberGuard, host: str, port: int) -> None:
    guard.check("outside/x", InetAddress(host, port))
    guard.check("autoscaler", InetAddress("127.0.0.1", 18001))


def test_one_subscriber_is_named_in_the_log_once(guard: SubscriberGuard, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with pytest.raises(RefusedAddress):
            guard.check("outside/x", InetAddress("169.254.169.254", 80))
    assert len(caplog.records) == 1
