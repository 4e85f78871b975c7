"""Print the share of Rust among the product's lines; above 40 % wants an ADR (docs/adr)."""

from __future__ import annotations

import sys
from pathlib import Path

LIMIT_PERCENT = 40


def lines(folder: str, suffix: str) -> int:
    """Return the number of non-blank lines in the product's files of that suffix, unit tests in Rust files left out."""
    total = 0
    for path in Path(folder).rglob(f"*{suffix}"):
        if path.name.startswith("test") or "tests" in path.parts:
            continue
        text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
        total += sum(1 for line in text.splitlines() if line.strip())
    return total


def main() -> int:
    """Print the share; return 0 always, since an ADR may have argued for more."""
    rust = lines("crates", ".rs")
    python = lines("eventmesh", ".py")
    share = 100 * rust / max(1, rust + python)
    sys.stdout.write(
        f"rust: {rust} of {rust + python} product lines, {share:.0f} % (more than {LIMIT_PERCENT} % wants an ADR)\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
