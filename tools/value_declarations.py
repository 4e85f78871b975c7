"""Hold eventmesh/ to one way of declaring values: `@frozen` (`eventmesh/base/frozen.py`, docs/adr/0085).

A `@dataclass(frozen=True)` is left for what `@frozen` does not give: an order, and instances without slots, which can
be known weakly, keep what a cached property has found, or extend a class that can.
Prints each declaration that could be `@frozen`; the exit status is 1 if there is one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCES = Path("eventmesh")
_GIVEN = {"frozen", "slots"}
"""The arguments whose effect `@frozen` has too."""


def needless(tree: ast.AST) -> Iterator[ast.ClassDef]:
    """Yield the classes that are dataclasses, frozen and slotted, and nothing more."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(map(_is_plain_value, node.decorator_list)):
            yield node


def _is_plain_value(decorator: ast.expr) -> bool:
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) not in ("dataclass", "dataclasses.dataclass"):
        return False
    arguments = {keyword.arg for keyword in decorator.keywords if ast.unparse(keyword.value) == "True"}
    return arguments == _GIVEN


def main() -> int:
    """Look at every module."""
    status = 0
    for path in sorted(SOURCES.rglob("*.py")):
        for found in needless(ast.parse(path.read_text(encoding="utf-8"))):
            status = 1
            sys.stdout.write(f"{path}:{found.lineno}: {found.name}: declare it `@frozen` (eventmesh.base.frozen)\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
