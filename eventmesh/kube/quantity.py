"""Quantities as Kubernetes writes them: `250m`, `1Gi`, `1.5`, `12345n` (`apimachinery/pkg/api/resource`)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

MAX_CHARS: Final = 64
"""A number of nanocores or bytes has twenty digits at most; more is no quantity that means anything."""

_QUANTITY: Final = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d{1,2})?")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def parse_quantity(value: object) -> Decimal:
    """Return the number that `value` spells; raises ValueError naming a value that spells none."""
    text = str(value)
    found = _QUANTITY.fullmatch(text) if len(text) <= MAX_CHARS else None
    if found is None or isinstance(value, bool):
        raise ValueError(f"{text[:MAX_CHARS]!r} is no quantity such as 250m, 1.5 or 64Mi")
    number, suffix = Decimal(found[1]), found[2] or ""
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))
