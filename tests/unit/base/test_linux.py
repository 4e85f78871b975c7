"""Namespaces are real kernel objects here; the promises are about who can reach whom."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from eventmesh.base import linux

_UNPRIVILEGED = """
from eventmesh.base import linux
linux.become_namespace_root()
network = linux.new_network()
import os
print(os.fstat(network).st_ino != os.stat('/proc/self/ns/net').st_ino)
"""


@pytest.fixture
def network() -> int:
    return linux.new_network()


def listen_inside(network: int) -> socket.socket:
    def listen() -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        return listener

    return linux.call_in_network(network, listen)


def test_a_listener_inside_is_not_reachable_from_outside(network: int) -> None:
    with listen_inside(network) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname(), timeout=20)
    os.close(network)


def test_a_socket_made_inside_reaches_the_listener_although_it_is_used_outside(network: int) -> None:
    with listen_inside(network) as listener, linux.call_in_network(network, socket.socket) as client:
        client.settimeout(20)
        client.connect(listener.getsockname())
        assert client.getpeername() == listener.getsockname()
    os.close(network)


def test_the_calling_thread_stays_where_it_was(network: int) -> None:
    before = os.stat(linux.OWN_NETWORK).st_ino
    inside = linux.call_in_network(network, lambda: os.stat(linux.OWN_NETWORK).st_ino)
    assert os.stat(linux.OWN_NETWORK).st_ino == before != inside
    os.close(network)


def test_an_error_inside_is_raised_outside(network: int) -> None:
    with pytest.raises(ZeroDivisionError):
        linux.call_in_network(network, lambda: 1 // 0)
    os.close(network)


def test_a_process_in_a_user_namespace_makes_networks_although_it_may_not_come_back_to_the_hosts() -> None:
    child = subprocess.run(
        [sys.executable, "-c", _UNPRIVILEGED],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout == "True\n", child.stderr


def test_when_a_process_was_started_is_told_until_it_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert int(linux.start_time(child.pid)) >= int(linux.start_time(os.getpid()))
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ProcessLookupError):
            linux.start_time(child.pid)
    with pytest.raises(FileNotFoundError):
        linux.start_time(child.pid)
