"""Immutable values, as `dataclass(frozen=True, slots=True)` makes them, but cheap to declare: a sidecar declares fifty
of them before its first answer.

The standard library writes six methods of each class as source and compiles it, half a millisecond. Here a class gets
its fields from the standard library, so that `fields`, `replace`, `asdict` and `match` work as ever; methods that are
called often are written when they are first called, the others are code that all classes share
(docs/adr/0085-cheap-values.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from threading import RLock
from types import MemberDescriptorType
from typing import Any, Final, NoReturn, TypeVar, dataclass_transform

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
    declared = _declared(cls)
    if declared is None:
        made: type[_T] = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
        declared = list(fields(made))  # type: ignore[arg-type]  # a dataclass by now
    else:
        made = _slotted(cls, declared)
    for name, method in _methods(made, declared).items():
        if name not in cls.__dict__:
            setattr(made, name, method)
    return made


_SPECIAL: Final = ("ClassVar", "InitVar", "KW_ONLY")
"""Annotations with these words may not be those of a field: a question for the standard library."""


def _declared(cls: type) -> list[Field[Any]] | None:
    """Return the fields of a class that inherits none, and has nothing that only the standard library understands.

    They know their name and default alone.
    """
    inherits = any(_FIELDS in vars(base) for base in cls.__mro__[1:])
    annotations: dict[str, object] = vars(cls).get("__annotations__", {})
    plain = all(isinstance(said, str) and not any(word in said for word in _SPECIAL) for said in annotations.values())
    if inherits or not annotations or not plain:
        return None
    found: list[Field[Any]] = []
    for name in annotations:
        default = vars(cls).get(name, MISSING)
        if default.__class__.__hash__ is None or isinstance(default, MemberDescriptorType):
            return None
        each: Field[Any] = default if isinstance(default, Field) else field(default=default)
        if each.default.__class__.__hash__ is None:
            return None
        each.name = name
        found.append(each)
    return found


_FIELDS: Final = "__dataclass_fields__"
_PARAMS: Final = "__dataclass_params__"


def _slotted(cls: type[_T], declared: Sequence[Field[Any]]) -> type[_T]:
    """Return the class with slots for its fields; the standard library looks at it when somebody asks for them."""
    names = tuple(each.name for each in declared)
    members = {name: member for name, member in vars(cls).items() if name not in names}
    members.pop("__dict__", None)
    members.pop("__weakref__", None)
    late = _LateFields(cls)
    members.update({"__slots__": names, "__match_args__": names, _FIELDS: late})
    metaclass: Any = type(cls)
    made: type[_T] = metaclass(cls.__name__, cls.__bases__, members)
    made.__qualname__ = cls.__qualname__
    late.made = made
    return made


_lock: Final = RLock()


class _LateFields:
    """The attribute by which a dataclass is known, worked out when it is first read."""

    made: type
    """The class that has it."""

    def __init__(self, declared: type) -> None:
        self._declared = declared

    def __get__(self, _value: object, _owner: type) -> object:
        with _lock:
            if vars(self.made)[_FIELDS] is self:
                plain: type = dataclass(init=False, repr=False, eq=False)(self._declared)
                for name in (_PARAMS, _FIELDS):
                    setattr(self.made, name, getattr(plain, name))
        return vars(self.made)[_FIELDS]


def _methods(made: type, declared: Sequence[Field[Any]]) -> dict[str, Callable[..., object]]:
    names = tuple(each.name for each in declared)

    def show(self: object) -> str:
        shown = (each.name for each in declared if each.repr)
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def reduce(self: object) -> tuple[type, tuple[object, ...]]:
        return type(self), tuple(getattr(self, name) for name in names)

    return {
        "__init__": late_constructor(made, declared, BY_SLOT),
        "__eq__": late_method(made, "__eq__", lambda: _comparison(made, declared)),
        "__hash__": late_method(made, "__hash__", lambda: _hashing(made, declared)),
        "__repr__": show,
        "__reduce__": reduce,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }


def _comparison(made: type, declared: Sequence[Field[Any]]) -> Callable[..., Any]:
    names = [each.name for each in declared if each.compare]
    same = f"{_fields_of('self', names)} == {_fields_of('other', names)}"
    source = f"def __eq__(self, other): return {same} if other.__class__ is self.__class__ else NotImplemented"
    return compiled(made, "__eq__", source, {})


def _hashing(made: type, declared: Sequence[Field[Any]]) -> Callable[..., Any]:
    names = [each.name for each in declared if (each.compare if each.hash is None else each.hash)]
    return compiled(made, "__hash__", f"def __hash__(self): return hash({_fields_of('self', names)})", {})


def _fields_of(thing: str, names: Iterable[str]) -> str:
    """Return the expression of a tuple of these fields."""
    return f"({''.join(f'{thing}.{name}, ' for name in names)})"


def _refuse_to_set(_self: object, name: str, _value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
