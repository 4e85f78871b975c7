"""Immutable values, as `dataclass(frozen=True, slots=True)` makes them, but cheap to declare: a sidecar declares fifty
of them before its first answer.

The standard library writes six methods of each class as source and compiles it, half a millisecond. Here a class gets
its fields from the standard library, so that `fields`, `replace`, `asdict` and `match` work as ever, its methods share
their code, and a constructor is written when it is first called (docs/adr/0085-cheap-values.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

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
    if not all(each.init and not each.kw_only for each in all_fields):
        raise TypeError(f"{made.__qualname__}: a value's fields are given by position: no init=False, no kw_only")
    optional = [each.default is not MISSING or each.default_factory is not MISSING for each in all_fields]
    if optional != sorted(optional):
        raise TypeError(f"{made.__qualname__}: a field without a default follows one that has one")
    names = tuple(each.name for each in all_fields)
    shown = tuple(each.name for each in all_fields if each.repr)
    compared = _reader(each.name for each in all_fields if each.compare)
    hashed = _reader(each.name for each in all_fields if (each.compare if each.hash is None else each.hash))

    def construct(self: object, *args: object, **named: object) -> None:
        constructor = _constructor(made, all_fields)
        made.__init__ = constructor  # type: ignore[misc]  # from the second value on
        constructor(self, *args, **named)

    def equals(self: object, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hash_of(self: object) -> int:
        return hash(hashed(self))

    def show(self: object) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def reduce(self: object) -> tuple[type, tuple[object, ...]]:
        return type(self), tuple(getattr(self, name) for name in names)

    return {
        "__init__": construct,
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


def _constructor(made: type, all_fields: Iterable[Field[Any]]) -> Callable[..., None]:
    """Return `__init__`, which sets fields by their slots: `object.__setattr__` would have to find each first."""
    parameters, lines, names = ["self"], ["pass"], dict[str, object](MISSING=MISSING)
    for each in all_fields:
        name, given = each.name, each.name
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
        lines.append(f"_set_{name}(self, {given})")
    if hasattr(made, "__post_init__"):
        lines.append("self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n    " + "\n    ".join(lines)
    exec(source, names)  # noqa: S102 - made of field names alone, as the standard library does it
    constructor: Any = names["__init__"]
    constructor.__qualname__ = f"{made.__qualname__}.__init__"  # which errors about arguments name
    return constructor  # type: ignore[no-any-return]


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
