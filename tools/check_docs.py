"""Fail when a document names a file, a make target or a command that does not exist."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"`make ([a-z-]+)")
COMMAND = re.compile(r"`eventmesh ([a-z-]+)")


def documents() -> Iterator[Path]:
    """Yield the Markdown files of the repository."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in ("docs", "functions", "knative", "benchmarks", "tests", "changes"):
        yield from sorted((ROOT / folder).rglob("*.md"))


def faults(path: Path, targets: set[str], commands: set[str]) -> Iterator[str]:
    """Yield one line for each name in `path` that leads nowhere."""
    text = path.read_text(encoding="utf-8")
    for link in LINK.findall(text):
        if "://" not in link and not (path.parent / link).exists():
            yield f"{path.relative_to(ROOT)}: link to {link}, which does not exist"
    for target in set(MAKE.findall(text)) - targets:
        yield f"{path.relative_to(ROOT)}: `make {target}`, which is not in the Makefile"
    for command in set(COMMAND.findall(text)) - commands:
        yield f"{path.relative_to(ROOT)}: `eventmesh {command}`, which is not a command"


def main() -> int:
    """Return 1 when a fault was found."""
    from eventmesh.cli.main import COMMANDS

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = [fault for path in documents() for fault in faults(path, targets, set(COMMANDS))]
    for fault in found:
        sys.stderr.write(fault + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
