"""Names of Java types, as a signature is written: `int`, `java.lang.String`, `com.shop.Order[]`. Pure."""

from __future__ import annotations

import re
from typing import Final

VOID: Final = "void"

PRIMITIVES: Final = {
    "boolean": "Z",
    "byte": "B",
    "char": "C",
    "double": "D",
    "float": "F",
    "int": "I",
    "long": "J",
    "short": "S",
}
"""Each with its letter in a descriptor (JVM specification, table 4.3-A)."""

TYPE: Final = re.compile(r"[A-Za-z_$][\w$]{0,127}(\.[A-Za-z_$][\w$]{0,127}){0,15}(\[\]){0,2}", re.ASCII)
"""What a signature may name. Generic parameters are left out, as the compiled interface leaves them out."""

METHOD: Final = re.compile(r"[A-Za-z_$][\w$]{0,127}", re.ASCII)


def descriptor(name: str) -> str:
    """Return the descriptor of a type: `I`, `Ljava/lang/String;`, `[B`."""
    element = name.rstrip("[]")
    depth = (len(name) - len(element)) // 2
    letter = PRIMITIVES.get(element) or f"L{element.replace('.', '/')};"
    return "[" * depth + letter


def class_name(name: str) -> str:
    """Return what `Class.getName` tells of a type: `int`, `java.lang.String`, `[B`, `[Lcom.shop.Order;`."""
    return descriptor(name).replace("/", ".") if element_of(name) else name


def element_of(name: str) -> str:
    """Return the type of an array's elements; empty for what is no array."""
    return name.removesuffix("[]") if name.endswith("[]") else ""
