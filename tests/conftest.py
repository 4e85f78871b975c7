"""What holds for every test."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from eventmesh.xds.control.plain_messages import install
from tests.free_ports import free_port

# As in a process of control, in every test alike: which of them imports control first must not matter.
install()

# How long an example takes is the machine's affair: no test is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def unused_tcp_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    return free_port


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Put the logger back as it was: commands that a test runs in its own process send its lines to their stderr."""
    root = logging.getLogger("eventmesh")  # noqa: TID251 - to put it back as it was
    handlers, propagate, level = root.handlers[:], root.propagate, root.level
    yield
    root.handlers[:], root.propagate = handlers, propagate
    root.setLevel(level)
