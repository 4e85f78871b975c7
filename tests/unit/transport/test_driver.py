"""The driver's arithmetic; what it does with sockets is in tests/component."""

import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.core import Engine
from eventmesh.transport.driver import MAX_CONNECTIONS, RESERVED_FILES, Driver, connection_limit


@pytest.mark.parametrize(
    ("files", "connections"),
    [
        (1024, 1024 - RESERVED_FILES),
        (MAX_CONNECTIONS + RESERVED_FILES, MAX_CONNECTIONS),
        (1_048_576, MAX_CONNECTIONS),
        (RESERVED_FILES, 1),
        (16, 1),
    ],
)
def test_connections_leave_the_process_some_files(files: int, connections: int) -> None:
    assert connection_limit(files) == connections


async def test_one_name_for_names_to_remove_is_refused_not_taken_letter_by_letter() -> None:
    driver = Driver(Engine(1), {}, SystemClock())
    with pytest.raises(TypeError, match="remove"):
        driver.let_through(1, (), "x-tenant")
