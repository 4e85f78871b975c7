"""What may stand in one place in several shapes."""

from __future__ import annotations


class Tagged:
    """A value that the core is told with its type: it may stand where another type of value may (`CoreEncoder`)."""

    __slots__ = ()
