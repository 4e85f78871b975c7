"""Methods of dataclasses that are written as source, as the standard library does it, but not before they are called: a
process declares many more classes than it makes things of in its first second, and compares fewer still.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field
from typing import Any, Final

BY_NAME: Final = "_self.{name} = {given}"
"""How a field is set where anybody may. It is `_self`, for messages of Envoy have fields called `self`."""
BY_SLOT: Final = "_set_{name}(_self, {given})"
"""How it is set in a class with slots that refuses: `object.__setattr__` would have to find the slot each time."""


MADE_BEFORE_WRITING: Final = 48
"""So many things of a class are made field by field, 2 us each, before its constructor is written, which takes 100 us:
most classes are made a few times by a process that starts, and then it is never written."""

_before_writing = MADE_BEFORE_WRITING


@contextmanager
def written_at_once() -> Iterator[None]:
    """Until the block ends, write constructors when they are first called: for a process that forks others, which find
    them written. Not for several threads."""
    global _before_writing
    _before_writing = 0
    try:
        yield
    finally:
        _before_writing = MADE_BEFORE_WRITING


def late_constructor(made: type, declared: Sequence[Field[Any]], setting: str) -> Callable[..., None]:
    """Return `__init__` for the class `made` of these fields that sets each of them as the statement `setting` does.

    The class gets the constructor that was written when it has been called often, or wrongly: its errors are those of
    any function. Raises TypeError for fields that cannot all be given by position.
    """
    if not all(each.init and each.kw_only is not True for each in declared):
        raise TypeError(f"{made.__qualname__}: fields are given by position here: no init=False, no kw_only")
    optional = [each.default is not MISSING or each.default_factory is not MISSING for each in declared]
    if optional != sorted(optional):
        raise TypeError(f"{made.__qualname__}: a field without a default follows one that has one")

    names = [each.name for each in declared]
    known = set(names)
    needed = {name for name, has_default in zip(names, optional, strict=True) if not has_default}
    checks = hasattr(made, "__post_init__")
    places: list[tuple[str, Callable[[object, Any], None], Any, Any]] = []
    calls = 0

    def first(_self: object, *args: object, **named: object) -> None:
        nonlocal calls
        calls += 1
        given = dict(zip(names, args, strict=False))
        given.update(named)
        twice_or_too_many = len(given) < len(args) + len(named)
        if twice_or_too_many or not needed <= given.keys() <= known or calls > _before_writing:
            written = _constructor(made, declared, setting)
            made.__init__ = written  # type: ignore[misc]  # in whose place this function stood
            return written(_self, *args, **named)
        if not places:
            places.extend(
                (one.name, _setter(made, one.name, setting), one.default, one.default_factory) for one in declared
            )
        for name, put, default, make in places:
            put(_self, given[name] if name in given else default if make is MISSING else make())
        if checks:
            _self.__post_init__()  # type: ignore[attr-defined]
        return None

    return first


def _setter(made: type, name: str, setting: str) -> Callable[[object, Any], None]:
    if setting is BY_NAME:
        return lambda message, value: setattr(message, name, value)
    put: Callable[[object, Any], None] = getattr(made, name).__set__
    return put


def late_method(made: type, name: str, write: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """Return a method for the class `made` that gives its place, and its first call, to what `write` then returns."""

    def first(self: object, *args: object, **named: object) -> Any:
        written = write()
        setattr(made, name, written)
        return written(self, *args, **named)

    return first


def compiled(made: type, name: str, source: str, names: dict[str, object]) -> Callable[..., Any]:
    """Return the method `name` that `source` defines; `source` may use `names`, and is made of fields' names alone."""
    exec(source, names)  # noqa: S102 - as the standard library does it
    method: Any = names[name]
    method.__qualname__ = f"{made.__qualname__}.{name}"  # which errors about arguments name
    return method  # type: ignore[no-any-return]


def _constructor(made: type, declared: Sequence[Field[Any]], setting: str) -> Callable[..., None]:
    parameters, lines, names = ["_self"], ["pass"], dict[str, object](MISSING=MISSING)
    for each in declared:
        name, given = each.name, each.name
        if setting is BY_SLOT:
            names[f"_set_{name}"] = getattr(made, name).__set__
        if each.default_factory is not MISSING:
            names[f"_make_{name}"] = each.default_factory
            parameters.append(f"{name}=MISSING")
            given = f"_make_{name}() if {name} is MISSING else {name}"
        elif each.default is not MISSING:
            names[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(setting.format(name=name, given=given))
    if hasattr(made, "__post_init__"):
        lines.append("_self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(lines)
    return compiled(made, "__init__", source, names)
