"""What went wrong in this process and not in the engine."""

from __future__ import annotations

from dataclasses import dataclass

from eventmesh.base import log

_log = log.get("transport")


@dataclass(slots=True, repr=False, eq=False)  # each method is compiled at each start
class Failures:
    """Counters, only ever rising."""

    bugs: int = 0
    """Unexpected exceptions, each logged with its traceback."""
    refused_connections: int = 0
    """Connections above `driver.MAX_CONNECTIONS`, or to a listener that was just removed."""
    refused_requests: int = 0
    """Requests above `serving.MAX_SERVED`."""

    def bug(self, error: BaseException, **fields: object) -> None:
        """Count an exception that nobody expected, and log it with what it concerned."""
        self.bugs += 1
        _log.error("unexpected error", exc_info=error, **fields)
