"""What commands print: tables for people, JSON or YAML on request."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Declare `-o`."""
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table", help="(default: %(default)s)"
    )


def document(value: Any, form: str) -> None:
    """Print `value` as JSON or YAML."""
    if form == "json":
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
        return
    import yaml

    yaml.safe_dump(value, sys.stdout, sort_keys=False, allow_unicode=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns as wide as their widest cell, as kubectl does."""
    texts = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[at]) for row in texts) for at in range(len(heads))]
    for row in texts:
        line = "   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
