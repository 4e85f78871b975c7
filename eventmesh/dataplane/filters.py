"""What the author of a filter imports. A guide: docs/python-filters.md.

    from eventmesh.dataplane.filters import Go, Reply, Seen, filter

    @filter
    async def tenant(request: Seen) -> Go | Reply:
        ...

A filter sees the head of a request, of whatever protocol, before its route is followed. It lets it go on, perhaps with
other headers, or answers it; while it awaits something, the request is held. When it is asked is the core's business.

A filter with settings is made by a factory, once for each configuration that names it:

    @factory
    def quota(config: Config) -> Decide:
        ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from typing import Any, Final

from eventmesh.base.frozen import frozen

DIRECTORY_VARIABLE: Final = "EVENTMESH_FILTERS"
"""Environment variable that names the directory of filters. A configuration, which may come from elsewhere, can only
choose among the files that whoever started the process has put there."""


@frozen
class Seen:
    """The head of a request."""

    method: str
    """Of Bolt, Dubbo and declared protocols: the method that is called."""
    host: str
    """Of those: the service."""
    path: str
    """With the query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; of Dubbo attachments. Lines of the same name are joined by commas."""
    protocol: str = "http1"
    """`http1`, `http2`, `bolt`, `dubbo` or `framed`."""
    peer: str = ""
    """Address of the caller's end of the connection."""


@frozen
class Go:
    """The request goes on."""

    set: Mapping[str, str] = field(default_factory=dict)
    """Headers that it is given, in place of those of the same name."""
    remove: tuple[str, ...] = ()
    """Headers that are taken away; both are done in this order."""


@frozen
class Reply:
    """The request is answered; gRPC, Bolt and the others say it in their own words."""

    status: int
    body: str | bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Decision = Go | Reply
Decide = Callable[[Seen], Decision | Awaitable[Decision]]
"""A filter as a function, plain or async."""
Config = Mapping[str, Any]
"""What the author of a configuration has said: JSON's values, whole numbers as `int`."""


@frozen
class Filter:
    """A filter, as the decorator makes it of a function."""

    name: str
    decide: Decide

    def __call__(self, request: Seen) -> Decision | Awaitable[Decision]:
        """Return the decision about `request`, or what has to be awaited for it."""
        return self.decide(request)


def filter(decide: Decide) -> Filter:  # noqa: A001 - what it is called in the field
    """Make a filter of a function, plain or async, under the function's name."""
    return Filter(decide.__name__, decide)


@frozen
class Factory:
    """What makes a filter of a configuration, as the decorator makes it of a function."""

    name: str
    make: Callable[[Config], Decide]

    def __call__(self, config: Config) -> Filter:
        """Return the filter. Raises what the author's function raises, and TypeError if it returns no filter."""
        made = self.make(config)
        if not callable(made):
            raise TypeError(f"a factory returns a function, not {made!r}")
        return Filter(self.name, made)


def factory(make: Callable[[Config], Decide]) -> Factory:
    """Make a factory of a function, under the function's name.

    It is called with `config` (empty where none is said) and raises ValueError, naming the field, for one that it
    cannot do anything with: that configuration is refused, and the former one stays in force.
    """
    return Factory(make.__name__, make)
