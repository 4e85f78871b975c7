"""What the author of a filter imports, and how filters are found in files. A guide: docs/python-filters.md.

    from eventmesh.dataplane.filters import Go, Reply, Seen, filter

    @filter
    async def tenant(request: Seen) -> Go | Reply:
        ...

A filter sees the head of a request, of whatever protocol, before its route is followed. It lets it go on, perhaps with
other headers, or answers it; while it awaits something, the request is held. When it is asked is the core's business.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Final

from eventmesh.base.errors import ConfigError
from eventmesh.base.frozen import frozen

DIRECTORY_VARIABLE: Final = "EVENTMESH_FILTERS"
"""Environment variable that names the directory of filters. A configuration, which may come from elsewhere, can only
choose among the files that whoever started the process has put there."""

_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}\.py")


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


@frozen
class Filter:
    """A filter, as the decorator makes it of a function."""

    name: str
    decide: Callable[[Seen], Decision | Awaitable[Decision]]

    def __call__(self, request: Seen) -> Decision | Awaitable[Decision]:
        """Return the decision about `request`, or what has to be awaited for it."""
        return self.decide(request)


def filter(decide: Callable[[Seen], Decision | Awaitable[Decision]]) -> Filter:  # noqa: A001 - what it is called in the field
    """Make a filter of a function, plain or async, under the function's name."""
    return Filter(decide.__name__, decide)


class FilterFiles:
    """The filters in a directory; a file is read when a configuration first names it, and again when it has changed."""

    def __init__(self, directory: Path | None) -> None:
        """`directory` None: this process has no filters."""
        self._directory = directory
        self._read: dict[str, tuple[int, Mapping[str, Filter]]] = {}

    def find(self, wanted: Iterable[tuple[str, str]]) -> dict[str, Filter]:
        """Return those called (file, name), by `FILE:NAME`. Raises ConfigError for one that there is not."""
        return {f"{file}:{name}": self._one(file, name) for file, name in sorted(set(wanted))}

    def _one(self, file: str, name: str) -> Filter:
        filters = self._of(file)
        if name not in filters:
            known = ", ".join(sorted(filters)) or "none"
            raise ConfigError(f"filter {file}", f"has no filter {name!r}; it has: {known}")
        return filters[name]

    def _of(self, file: str) -> Mapping[str, Filter]:
        path = f"filter {file}"
        if self._directory is None:
            raise ConfigError(path, f"this process has no filters: start it with {DIRECTORY_VARIABLE}=DIRECTORY")
        if _FILE.fullmatch(file) is None:
            raise ConfigError(path, f"is no plain name of a Python file in {self._directory}")
        try:
            changed = (self._directory / file).stat().st_mtime_ns
        except OSError as error:
            raise ConfigError(path, f"cannot be read: {error.strerror or error}") from error
        known = self._read.get(file)
        if known is None or known[0] != changed:
            known = self._read[file] = changed, load_file(self._directory / file)
        return known[1]


def load_file(path: Path) -> Mapping[str, Filter]:
    """Run a file and return its filters by name. Raises ConfigError when it cannot be run."""
    spec = importlib.util.spec_from_file_location(f"eventmesh_filter_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"filter {path.name}", "is no Python file")
    module = importlib.util.module_from_spec(spec)
    former = sys.modules.get(spec.name)
    sys.modules[spec.name] = module  # where dataclasses, pickle and others look up what its annotations name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever its author has written: the former configuration stays in force
        if former is None:
            del sys.modules[spec.name]
        else:
            sys.modules[spec.name] = former
        raise ConfigError(f"filter {path.name}", f"cannot be run: {type(error).__name__}: {error}") from error
    return {one.name: one for one in vars(module).values() if isinstance(one, Filter)}
