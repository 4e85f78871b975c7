"""Where a silent function listens is found in /proc, and told in words."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from eventmesh.base.tasks import TaskGroup
from eventmesh.cluster.runtime.listening import (
    LOOKED_AT_EVERY_S,
    SILENT_AFTER_S,
    listening_ports,
    silence,
    watch_silence,
)
from tests.manual_clock import ManualClock

CHILD = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_ports_of_a_process_and_its_children_are_found_and_those_of_no_other() -> None:
    here = socket.create_server(("127.0.0.1", 0))
    # Not ::1, which a container without IPv6 does not have.
    there = socket.create_server(("::", 0), family=socket.AF_INET6)
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        own = {each.getsockname()[1] for each in (here, there)}
        assert own | {port} <= set(listening_ports(os.getpid()))
        assert listening_ports(child.pid) == [port]
    finally:
        child.kill()
        child.communicate()
        here.close()
        there.close()
    with pytest.raises(OSError):
        listening_ports(child.pid)


def test_a_connection_is_not_taken_for_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            server.close()
            assert port not in listening_ports(os.getpid())


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        (None, "does not answer on port 8080"),
        ([], "listens on no port; it is expected on 8080, as its PORT says"),
        ([80, 9000], "listens on port 80, 9000; it is expected on 8080, as its PORT says"),
        ([8080], "listens on port 8080, but its readiness probe is not answered there"),
    ],
)
def test_what_is_found_is_said_with_the_port_that_was_expected(ports: list[int] | None, said: str) -> None:
    assert silence(8080, ports) == said


async def test_it_is_looked_for_after_a_while_and_again_until_it_answers() -> None:
    clock, tasks = ManualClock(), TaskGroup("test")
    told: list[str] = []
    silent = [True]
    is_silent: Callable[[], bool] = lambda: silent[0]  # noqa: E731
    nobody = 2**22 + 1
    watch = tasks.spawn("watch", watch_silence(nobody, 8080, clock, is_silent, told.append))
    await clock.advance(SILENT_AFTER_S - 0.1)
    assert not told
    await clock.advance(0.1)
    assert told == ["does not answer on port 8080"]
    await clock.advance(LOOKED_AT_EVERY_S)
    assert len(told) == 2
    silent[0] = False
    await clock.advance(LOOKED_AT_EVERY_S)
    await watch
    assert len(told) == 2
