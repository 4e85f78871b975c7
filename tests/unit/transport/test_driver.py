"""The driver's arithmetic; what it does with sockets is in tests/component."""

import pytest

from eventmesh.transport.driver import MAX_CONNECTIONS, RESERVED_FILES, connection_limit


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
