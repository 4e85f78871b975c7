"""Has the classes of envoy-data-plane made as plain dataclasses, for control makes and encodes them without validation
(`encoding`), and the type checker has checked them.

As generated they are dataclasses of pydantic, which builds a validator for each of some five hundred when it is
imported: a fifth of all the processor time that a mesh takes to start. Plain, they need nothing of pydantic, and it is
not loaded: another twentieth.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, Final, TypeVar

from eventmesh.base.late_methods import BY_NAME, late_constructor

T = TypeVar("T")

PACKAGE: Final = "envoy_data_plane"


def install() -> None:
    """Do so from now on; modules that were imported before stay what they are, which differs in cost alone."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if "pydantic" not in sys.modules:
        # The runtime of the generated classes looks for pydantic once, and does without where there is none.
        with _modules({"pydantic": None, "pydantic_core": None}):
            import betterproto2  # noqa: F401
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
        with _modules(_STAND_INS):
            super().exec_module(module)


@contextmanager
def _modules(meanwhile: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Let whoever imports modules of these names find these; None: there is none."""
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]  # None says that there is none
    former = {name: modules[name] for name in meanwhile if name in modules}
    modules.update(meanwhile)
    try:
        yield
    finally:
        for name in meanwhile:
            del modules[name]
        modules.update(former)


def _dataclass(*, eq: bool, repr: bool, config: Any = None) -> Callable[[type[T]], type[T]]:  # noqa: A002 - pydantic's
    """Be called as the generated code calls pydantic's; `config` is about validation."""
    del config
    declare = dataclasses.dataclass(init=False, eq=eq, repr=repr)

    def plain(cls: type[T]) -> type[T]:
        if cls.__doc__ is None:
            cls.__doc__ = cls.__name__  # or it would be read off a signature
        declare(cls)
        # Control makes messages without their constructors (`encoding.made`): nearly all of these are never written.
        cls.__init__ = late_constructor(cls, dataclasses.fields(cls), BY_NAME)  # type: ignore[method-assign, arg-type]
        return cls

    return plain


def _unchecked(**_how: str) -> Callable[[T], T]:
    """Be called as `model_validator` is, for checks that nobody calls."""
    return lambda check: check


def _stand_ins() -> dict[str, ModuleType]:
    """Return what generated modules import of pydantic, by name."""
    package, classes = ModuleType("pydantic", _dataclass.__doc__), ModuleType("pydantic.dataclasses")
    vars(classes).update(dataclass=_dataclass)
    vars(package).update(dataclasses=classes, model_validator=_unchecked)
    # These two stand in annotations alone, which the runtime resolves to find the types of fields.
    vars(package).update(AfterValidator=lambda check: check, Field=lambda **bounds: tuple(bounds.items()))
    return {module.__name__: module for module in (package, classes)}


_STAND_INS: Final = _stand_ins()
