"""Pack a program as the published image of a test does: `python -m tools.conformance.pack PROGRAM ARCHIVE`.

Published by ko over distroless: the program at /ko-app/NAME, which tests name, run by the user 65532.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.component.container_archives import archive, directory, file

USER = "65532"


def pack(program: Path, where: Path) -> None:
    """Write the image of `program` to the archive `where`."""
    layer = [
        directory("etc"),
        file("etc/passwd", f"nonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin\n".encode()),
        directory("tmp", 0o1777),
        directory("ko-app"),
        file(f"ko-app/{program.name}", program.read_bytes(), 0o555),
    ]
    archive(where, [layer], {"Entrypoint": [f"/ko-app/{program.name}"], "User": USER})


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
