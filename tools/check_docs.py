"""Fail when a document names a file, a make target, a command or a test that is not there, or forgets a decision."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"`make ([a-z-]+)")
COMMAND = re.compile(r"`eventmesh ([a-z-]+)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROW = re.compile(r"^\| \[(\d+)\]\([^)]+\) \| (.+?) \|$", re.MULTILINE)


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


def missing_tests(path: Path) -> Iterator[str]:
    """Yield one line for each test that `path` names and that is not there."""
    for file, name in TEST.findall(path.read_text(encoding="utf-8")):
        if not (ROOT / file).exists() or f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8"):
            yield f"{path.relative_to(ROOT)}: `{file}::{name}`, which is not a test"


def index_faults(index: Path) -> Iterator[str]:
    """Yield one line for each row of the table of decisions that is not the one its place wants."""
    files = sorted(index.parent.glob("[0-9]*.md"))
    titles = [path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for path in files]
    rows = [f"{number}: {title}" for number, title in ROW.findall(index.read_text(encoding="utf-8"))]
    for wanted, row in zip_longest(titles, rows):
        if wanted != row:
            yield f"{index.relative_to(ROOT)}: a row says {row!r} where {wanted!r} should stand"


def main() -> int:
    """Return 1 when a fault was found."""
    from eventmesh.cli.main import COMMANDS

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = [fault for path in documents() for fault in faults(path, targets, set(COMMANDS))]
    found += [fault for path in documents() for fault in missing_tests(path)]
    found += index_faults(ROOT / "docs" / "adr" / "README.md")
    for fault in found:
        sys.stderr.write(fault + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
