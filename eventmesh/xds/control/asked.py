"""A request as far as routing looks at it; what `explain` is asked about."""

from __future__ import annotations

from collections.abc import Iterable

from eventmesh.base.errors import UsageError
from eventmesh.base.frozen import frozen


@frozen
class Asked:
    """A request to be explained; raises UsageError for one that cannot be."""

    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not self.host:
            raise UsageError("the request names no host; write HOST or http://HOST/PATH")
        if not self.path.startswith("/"):
            raise UsageError(f"the path {self.path!r} does not start with /")


def headers_of(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return headers written as `name=value`; raises UsageError for anything else."""
    headers = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--header {text!r} is not NAME=VALUE")
        headers.append((name.strip().lower(), value.strip()))
    return tuple(headers)
