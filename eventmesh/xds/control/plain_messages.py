"""Has the classes of envoy-data-plane made as plain dataclasses, for control makes and encodes them without validation
(`encoding`), and the type checker has checked them.

As generated they are dataclasses of pydantic, which builds a validator for each of some five hundred when it is
imported: a fifth of all the processor time that a mesh takes to start.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final, TypeVar

from eventmesh.base.late_constructor import BY_NAME, late_constructor

T = TypeVar("T")

PACKAGE: Final = "envoy_data_plane"


def install() -> None:
    """Do so from now on; modules that were imported before stay what they are, which differs in cost alone."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{PACKAGE}."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with _plain_dataclasses():
            super().exec_module(module)


@contextmanager
def _plain_dataclasses() -> Iterator[None]:
    """Let whoever imports pydantic's decorator meanwhile find one that makes dataclasses and nothing more."""
    import pydantic.dataclasses as source

    # Entered again for what a module imports in turn: then this is the plain one already.
    former = source.dataclass
    vars(source)["dataclass"] = _dataclass
    try:
        yield
    finally:
        vars(source)["dataclass"] = former


def _dataclass(*, eq: bool, repr: bool, config: Any = None) -> Callable[[type[T]], type[T]]:  # noqa: A002 - pydantic's
    """Be called as the generated code calls pydantic's; `config` is about validation."""
    del config
    declare = dataclasses.dataclass(init=False, eq=eq, repr=repr)

    def plain(cls: type[T]) -> type[T]:
        if cls.__doc__ is None:
            cls.__doc__ = cls.__name__  # or it would be read off a signature
        declare(cls)
        # Control makes messages without their constructors (`encoding.made`): nearly all of these are never written.
        cls.__init__ = late_constructor(cls, BY_NAME)  # type: ignore[method-assign]
        return cls

    return plain
