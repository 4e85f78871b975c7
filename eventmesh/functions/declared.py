"""The decorators. Each leaves the function as it is, so that a test calls it directly, and notes what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, overload

from eventmesh.base.errors import UsageError
from eventmesh.base.frozen import frozen

_MARK: Final = "__eventmesh_functions__"

Function = TypeVar("Function", bound=Callable[..., Any])


class Kind(Enum):
    """What a function is called with."""

    EVENT = "event"
    HTTP = "http"
    BOLT = "bolt"


@frozen
class Declared:
    """A function and what leads to it."""

    kind: Kind
    call: Callable[..., Any]
    path: str = "/"
    """Of events and HTTP: where it is reached. `/` also takes what no other path takes."""
    methods: frozenset[str] = frozenset()
    """Of HTTP: the methods it takes; empty: all."""
    interface: str = ""
    method: str = ""
    """Of Bolt: what a caller names."""

    @property
    def name(self) -> str:
        """Return what messages call it."""
        return str(getattr(self.call, "__name__", self.call))


@overload
def function(target: Function) -> Function: ...


@overload
def function(*, path: str = "/") -> Callable[[Function], Function]: ...


def function(target: Function | None = None, *, path: str = "/") -> Function | Callable[[Function], Function]:
    """Have a function receive CloudEvents that are sent to `path`, over HTTP in any mode.

    It gets a `cloudevents` event and returns one, which is the reply, or None. It may be a coroutine function; a plain
    one runs in a thread. Raises UsageError for a path that does not begin with a slash.
    """
    _require_path(path)
    mark = _marker(lambda call: Declared(Kind.EVENT, call, path))
    return mark if target is None else mark(target)


@overload
def http_function(target: Function) -> Function: ...


@overload
def http_function(*, path: str = "/", methods: Iterable[str] = ()) -> Callable[[Function], Function]: ...


def http_function(
    target: Function | None = None, *, path: str = "/", methods: Iterable[str] = ()
) -> Function | Callable[[Function], Function]:
    """Have a function answer HTTP requests (`Request`) at `path`.

    It returns a `Response`, text, bytes, None (204), or anything that JSON knows.
    """
    _require_path(path)
    allowed = frozenset(method.upper() for method in methods)
    mark = _marker(lambda call: Declared(Kind.HTTP, call, path, allowed))
    return mark if target is None else mark(target)


def bolt_function(interface: str, *, method: str = "") -> Callable[[Function], Function]:
    """Have a function answer calls (`Call`) of `method`, its own name if none is given, of a SOFARPC interface.

    It returns bytes, which are sent as they are, or anything that JSON knows.
    """
    if not interface:
        raise UsageError("bolt_function: the interface is empty; name it as callers do, such as com.example.Hello:1.0")
    return _marker(lambda call: Declared(Kind.BOLT, call, interface=interface, method=method or str(call.__name__)))


def declared_in(namespace: Mapping[str, object]) -> list[Declared]:
    """Return what the functions in a module's namespace are for, each once.

    Raises UsageError when two of them want the same calls.
    """
    found: list[Declared] = []
    for value in namespace.values():
        notes = getattr(value, _MARK, ())
        found += [note for note in notes if note not in found] if isinstance(notes, tuple) else []
    taken: dict[tuple[str, ...], str] = {}
    for one in found:
        bolt = one.kind is Kind.BOLT
        key = (one.interface, one.method) if bolt else (one.path,)
        if key in taken:
            where = f"{one.method} of {one.interface}" if bolt else f"the path {one.path}"
            raise UsageError(f"the functions {taken[key]} and {one.name} both want {where}: give one of them another")
        taken[key] = one.name
    return found


def _marker(note: Callable[[Callable[..., Any]], Declared]) -> Callable[[Function], Function]:
    def mark(call: Function) -> Function:
        if not callable(call):
            raise UsageError(f"a function is declared by a decorator above it, not with {call!r}")
        setattr(call, _MARK, (*getattr(call, _MARK, ()), note(call)))
        return call

    return mark


def _require_path(path: str) -> None:
    if not path.startswith("/"):
        raise UsageError(f"path {path!r} of a function does not begin with a slash")
