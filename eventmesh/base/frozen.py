"""Immutable values, as `dataclass(frozen=True, slots=True)` makes them, but cheap to declare: a sidecar declares fifty
of them before its first answer.

The standard library writes six methods of each class as source and compiles it, half a millisecond. Here a class gets
its fields from the standard library, so that `fields`, `replace`, `asdict` and `match` work as ever, its methods share
their code, and a constructor is written when it is first called (docs/adr/0085-cheap-values.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

from eventmesh.base.late_constructor import BY_SLOT, late_constructor

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
    compared = _reader(each.name for each in all_fields if each.compare)
    hashed = _reader(each.name for each in all_fields if (each.compare if each.hash is None else each.hash))

    def equals(self: object, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_of(self: object) -> int:
        return hash(hashed(self))

    def show(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def reduce(self: object) -> tuple[type, tuple[object, ...]]:
        return type(self), tuple(getattr(self, name) for name in names)

    return {
        "__init__": late_constructor(made, BY_SLOT),
        "__eq__": equals,
        "__hash__": hash_of,
        "__repr__": show,
        "__reduce__": reduce,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }


def _reader(names: Iterable[str]) -> Callable[[object], object]:
    """Return what reads those fields of a value: what two values are compared by."""
    wanted = tuple(names)
    return attrgetter(*wanted) if wanted else lambda _value: ()


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
