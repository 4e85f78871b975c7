"""Modules of the standard library that are loaded when somebody asks something of them.

`inspect` brings `ast`, `dis` and a tokenizer along, 5 ms of a sidecar's start and 2 MiB of its memory. asyncio, uvloop
and `dataclasses` import it; what they ask in a process that serves are small questions, which are answered here.
`linecache`, which brings a tokenizer too, and others are imported for what few processes ever do.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from threading import RLock
from types import FunctionType, GeneratorType, ModuleType
from typing import Any, Final

_COROUTINE: Final = 0x80
"""`inspect.CO_COROUTINE`: what the compiler writes into the flags of an `async def`."""


def late_module(name: str) -> ModuleType | None:
    """Let `import name` give a module, written in Python and of no package, that loads itself when it is asked for any
    attribute; return it.

    It is the module itself from then on, for those too who imported it before. None: it is there already, or
    nowhere, and nothing happens.
    """
    spec = None if name in sys.modules else PathFinder.find_spec(name)
    if spec is None or spec.loader is None:
        return None
    module = _Late(name)
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    sys.modules[name] = module
    return module


def late_inspect() -> None:
    """Let `import inspect` give such a module, which loads itself when it is asked for more than is written here."""
    module = late_module("inspect")
    if module is not None:
        asked = _Asked(module)
        vars(module).update(
            isgenerator=_is_generator,
            isfunction=_is_function,
            iscoroutinefunction=asked.is_coroutine_function,
            unwrap=asked.unwrapped,
        )


class _Late(ModuleType):
    """A module before it is loaded."""

    def __getattr__(self, name: str) -> Any:
        _load(self)
        return getattr(self, name)


_lock: Final = RLock()


def _load(module: ModuleType) -> None:
    with _lock:
        if isinstance(module, _Late):
            loader: Any = module.__loader__
            loader.exec_module(module)
            module.__class__ = ModuleType  # type: ignore[assignment]  # mypy narrows it to what it was


def _is_generator(asked: object) -> bool:
    return isinstance(asked, GeneratorType)


def _is_function(asked: object) -> bool:
    return isinstance(asked, FunctionType)


class _Asked:
    """Answers what is easy, and hands the rest to the module; uvloop keeps the first of these for good."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def is_coroutine_function(self, asked: Any) -> bool:
        """Answer for functions and methods, of which uvloop asks before it calls them at a signal; anything else, and
        what may have been marked, is for the module."""
        function = getattr(asked, "__func__", asked)
        if type(function) is FunctionType and isinstance(self._module, _Late):
            return bool(function.__code__.co_flags & _COROUTINE)
        _load(self._module)
        found: bool = self._module.iscoroutinefunction(asked)
        return found

    def unwrapped(self, asked: Any, **terms: Any) -> Any:
        """Return what is wrapped by nothing as it is: so asyncio shows a task, as it does when it starts."""
        if not terms and not hasattr(asked, "__wrapped__"):
            return asked
        _load(self._module)
        return self._module.unwrap(asked, **terms)
