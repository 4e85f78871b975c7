"""What went wrong in this process and not in the engine."""

from __future__ import annotations

from eventmesh.base import log

_log = log.get("transport")


class Failures:
    """Counters, only ever rising."""

    def __init__(self) -> None:
        self.bugs = 0
        """Unexpected exceptions, each logged with its traceback."""
        self.refused_connections = 0
        """Connections above `driver.MAX_CONNECTIONS`, or to a listener that was just removed."""
        self.refused_requests = 0
        """Requests above `serving.MAX_SERVED`."""

    def bug(self, error: BaseException, **fields: object) -> None:
        """Count an exception that nobody expected, and log it with what it concerned."""
        self.bugs += 1
        _log.error("unexpected error", exc_info=error, **fields)
