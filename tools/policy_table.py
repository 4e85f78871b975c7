"""Writes docs/protocols/policies.md: which policy holds for which protocol, and the test that shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tools.policies import PROTOCOLS, ROWS, UNIT

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "protocols" / "policies.md"

_HEAD = """# Policies by protocol

Written by `python -m tools.policy_table` from `tools/policies.py`. A cell names the test that shows the policy on that
protocol, or why there is none. [What each one does](../policies.md).
"""


def document() -> str:
    """Return the whole document."""
    lines = [f"\n| policy | field | {' | '.join(PROTOCOLS)} |\n", f"|---|---|{'---|' * len(PROTOCOLS)}\n"]
    for row in ROWS:
        cells = " | ".join(_cell(row.shown[protocol]) for protocol in PROTOCOLS)
        lines.append(f"| {row.name} | `{row.fields}` | {cells} |\n")
    return _HEAD + "".join(lines)


def _cell(shown: str) -> str:
    file, found, test = shown.partition("::")
    if not found:
        return shown
    return f"[{test.removeprefix('test_').replace('_', ' ')}](../../{UNIT}{file})"


def missing() -> Iterator[str]:
    """Yield each test that the table names and that does not exist."""
    for row in ROWS:
        for shown in row.shown.values():
            file, found, test = shown.partition("::")
            if found and f"def {test}(" not in (ROOT / UNIT / file).read_text(encoding="utf-8"):
                yield shown


def main() -> int:
    """Write the document."""
    TARGET.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{TARGET}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
