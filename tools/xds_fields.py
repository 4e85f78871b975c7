"""Writes docs/protocols/xds-fields.md from the message table: which of Envoy's fields are carried out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from eventmesh.xds.schema.table import ALIASES, MESSAGES
from eventmesh.xds.schema.types import Field, Kind, MessageType, Policy, message_type

TARGET = Path(__file__).resolve().parent.parent / "docs" / "protocols" / "xds-fields.md"

_HEAD = """# Envoy's fields, one by one

Written by `tools/xds_fields.py` from the table that the readers use. A *refused* field is an error with its path, an
*ignored* one a warning; both only when the field is set. `field = value` means that this one value describes what
eventmesh does anyway, and any other is refused.
"""


def document() -> str:
    """Return the whole document."""
    names = sorted(f"{ALIASES[short.partition('.')[0]]}.{short.partition('.')[2]}" for short in MESSAGES)
    return _HEAD + "".join(_section(message_type(name)) for name in names if not name.startswith("google."))


def _section(message: MessageType) -> str:
    lines = [f"\n## {message.name}\n\n"]
    for policy in Policy:
        fields = [field for field in message.by_number.values() if field.policy is policy]
        if fields:
            lines.append(f"- {policy.value}: {_names(fields)}\n")
    if len(lines) == 1:
        lines.append("No fields.\n")
    return "".join(lines)


def _names(fields: Iterable[Field]) -> str:
    return ", ".join(f"`{field.name}{_only(field)}`" for field in sorted(fields, key=lambda field: field.name))


def _only(field: Field) -> str:
    if field.only is None:
        return ""
    word = str(field.only).lower() if field.kind is Kind.BOOL else str(field.only)
    return f" = {word}"


def main() -> int:
    """Write the document."""
    TARGET.write_text(document(), encoding="utf-8")
    sys.stdout.write(f"{TARGET}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
