"""Immutable values, as `dataclass(frozen=True, slots=True)` makes them, but cheap to declare: a sidecar declares fifty
of them before its first answer.

The standard library writes six methods of each class as source and compiles it, half a millisecond. Here a class gets
its fields from the standard library, so that `fields`, `replace`, `asdict` and `match` work as ever; methods that are
called often are written when they are first called, the others are code that all classes share
(docs/adr/0085-cheap-values.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from typing import Any, NoReturn, TypeVar, dataclass_transform

from eventmesh.base.late_methods import BY_SLOT, compiled, late_constructor, late_method

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_T]) -> type[_T]:
    """Make the class one of values, by its annotations and by `dataclasses.field`, as any dataclass.

    Values are equal when their fields are, have a hash when their fields have one, can be pickled, and raise
    FrozenInstanceError when somebody sets or deletes a field. A method that the class defines itself stays.
    Raises TypeError for fields that a constructor would not take by position.
    """
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # the standard library would spell out a signature, for which it loads a tokenizer
    made: type[_T] = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    for name, method in _methods(made, fields(made)).items():  # type: ignore[arg-type]  # a dataclass by now
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


def _methods(made: type, all_fields: tuple[Field[Any], ...]) -> dict[str, Callable[..., object]]:
    names = tuple(each.name for each in all_fields)
    shown = tuple(each.name for each in all_fields if each.repr)
    compared = [each.name for each in all_fields if each.compare]
    hashed = [each.name for each in all_fields if (each.compare if each.hash is None else each.hash)]

    def show(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def reduce(self: object) -> tuple[type, tuple[object, ...]]:
        return type(self), tuple(getattr(self, name) for name in names)

    return {
        "__init__": late_constructor(made, BY_SLOT),
        "__eq__": late_method(made, "__eq__", lambda: _comparison(made, compared)),
        "__hash__": late_method(made, "__hash__", lambda: _hashing(made, hashed)),
        "__repr__": show,
        "__reduce__": reduce,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }


def _comparison(made: type, names: Iterable[str]) -> Callable[..., Any]:
    same = f"{_fields_of('self', names)} == {_fields_of('other', names)}"
    source = f"def __eq__(self, other): return {same} if other.__class__ is self.__class__ else NotImplemented"
    return compiled(made, "__eq__", source, {})


def _hashing(made: type, names: Iterable[str]) -> Callable[..., Any]:
    return compiled(made, "__hash__", f"def __hash__(self): return hash({_fields_of('self', names)})", {})


def _fields_of(thing: str, names: Iterable[str]) -> str:
    """Return the expression of a tuple of these fields."""
    return f"({''.join(f'{thing}.{name}, ' for name in names)})"


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
