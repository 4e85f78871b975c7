"""Finds the functions that a directory, a file or `MODULE:NAME` means."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from eventmesh.base.errors import UsageError
from eventmesh.functions.declared import Declared, declared_in, function

SCRIPT: Final = "function.py"

_IMPORT: Final = re.compile(r"^\s*(from|import)\s+eventmesh\.functions\b", re.MULTILINE)


def is_served(script: str) -> bool:
    """Return whether the text of a `function.py` declares functions: it imports this package. Any other runs itself."""
    return _IMPORT.search(script) is not None


def load(what: str) -> list[Declared]:
    """Return the functions of `what`: a directory with `function.py`, a Python file, or `MODULE:NAME`.

    A NAME without a decorator receives events. Raises UsageError when there is nothing of the kind; what the code
    itself raises passes.
    """
    path = Path(what)
    if path.is_dir():
        path = path / SCRIPT
        if not path.is_file():
            raise UsageError(f"{what}: has no {SCRIPT}")
    if path.suffix == ".py":
        return _some(declared_in(vars(_module(path))), str(path))
    name, colon, attribute = what.partition(":")
    if not colon:
        raise UsageError(f"{what!r} is no directory, no Python file and no MODULE:NAME")
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UsageError(f"{what}: {error}") from None
    called = getattr(module, attribute, None)
    if not callable(called):
        raise UsageError(f"{what}: {name} has no function {attribute!r}")
    return declared_in({attribute: called}) or declared_in({attribute: function(called)})


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    # Beside it lies what it imports, as when Python runs it.
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # noqa: S101  # it is a Python file
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _some(found: list[Declared], where: str) -> list[Declared]:
    if not found:
        raise UsageError(f"{where}: declares no function; put @function, @http_function or @bolt_function above one")
    return found
