"""What Hessian carries, as Python values.

None, bool, int (Java's int, and long where it does not fit), float, str, bytes, list, dict, aware datetime, and these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from eventmesh.base.errors import MeshError
from eventmesh.base.frozen import frozen

INT_RANGE: Final = range(-(2**31), 2**31)
LONG_RANGE: Final = range(-(2**63), 2**63)

MAX_DEPTH: Final = 64
"""Values inside of values. Java objects nest a dozen deep; each level costs the reader a frame of Python's stack."""


class HessianError(MeshError):
    """Bytes that are no Hessian, or a value that Hessian has no form for."""


@frozen
class Long:
    """A number that Java declares as long, however small it is."""

    value: int


@frozen
class TypedList:
    """A list whose type is told, such as an array."""

    type: str
    items: list[object]


@dataclass(slots=True, eq=False)
class JavaObject:
    """An instance of a class. One that was read may hold itself, so objects are compared by identity."""

    class_name: str
    fields: Mapping[str, object] = field(default_factory=dict)
