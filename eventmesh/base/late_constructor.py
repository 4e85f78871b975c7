"""Constructors of dataclasses that are written as source, as the standard library does it, but not before they are
called: a process declares many more classes than it makes things of in its first second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, Final

BY_NAME: Final = "_self.{name} = {given}"
"""How a field is set where anybody may. It is `_self`, for messages of Envoy have fields called `self`."""
BY_SLOT: Final = "_set_{name}(_self, {given})"
"""How it is set in a class with slots that refuses: `object.__setattr__` would have to find the slot each time."""


def late_constructor(made: type, setting: str) -> Callable[..., None]:
    """Return `__init__` for the class `made`, a dataclass without one, that sets each field by the statement `setting`.

    The class gets the constructor that was written when it is first called. Raises TypeError for fields that cannot all
    be given by position.
    """
    declared: tuple[Field[Any], ...] = fields(made)
    if not all(each.init and not each.kw_only for each in declared):
        raise TypeError(f"{made.__qualname__}: fields are given by position here: no init=False, no kw_only")
    optional = [each.default is not MISSING or each.default_factory is not MISSING for each in declared]
    if optional != sorted(optional):
        raise TypeError(f"{made.__qualname__}: a field without a default follows one that has one")

    def construct(self: object, *args: object, **named: object) -> None:
        written = _written(made, declared, setting)
        made.__init__ = written  # type: ignore[misc]  # from the second call on
        written(self, *args, **named)

    return construct


def _written(made: type, declared: tuple[Field[Any], ...], setting: str) -> Callable[..., None]:
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
    exec(source, names)  # noqa: S102 - made of field names alone, as the standard library does it
    constructor: Any = names["__init__"]
    constructor.__qualname__ = f"{made.__qualname__}.__init__"  # which errors about arguments name
    return constructor  # type: ignore[no-any-return]
