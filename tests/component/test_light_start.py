"""What a sidecar with a static bootstrap loads and compiles until its first answer: each pod waits for its start.

Nothing is timed. The interpreter tells what was imported (`PYTHONPROFILEIMPORTTIME`) and compiled (an audit hook).
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.component.planes import ask, backend
from tests.component.processes import data_plane, write_bootstrap

NOT_NEEDED = frozenset(
    ("ast", "dis", "_ssl", "datetime", "decimal", "email", "http", "urllib", "pathlib", "tempfile", "random")
    + ("base64", "encodings.idna", "linecache", "locale", "queue", "textwrap", "tokenize", "zlib")
)
"""Modules of the standard library that cost a start some part of a millisecond or more, and that it can do without."""

MOST_OF_OURS = 86
"""Modules of eventmesh, 0.1 to 1 ms each; a module more wants a reason why a static bootstrap needs it."""

MOST_COMPILED = 10
"""Pieces of source compiled while it runs, 0.1 ms each: constructors of what a configuration holds many of."""

COMPILING = """
import os, sys
def told(event, arguments):
    if event == "compile" and arguments[1] in ("<string>", b"<string>", None):
        os.write(2, b"compiled source\\n")
sys.addaudithook(told)
"""


async def test_a_static_start_loads_and_compiles_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(COMPILING)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))
    env = {"PYTHONPROFILEIMPORTTIME": "1", "PYTHONPATH": path}
    async with (
        backend() as upstream,
        data_plane("sidecar", write_bootstrap(tmp_path / "bootstrap.json", upstream), env=env) as sidecar,
    ):
        assert (await ask(sidecar.addresses["edge"])).status == 200
        sidecar.process.terminate()
        assert sidecar.process.stderr is not None
        after = (await sidecar.process.stderr.read()).decode().splitlines()
    lines = [line.get("msg", "") for line in sidecar.lines] + after
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert {"asyncio", "uvloop", "eventmesh.sidecar.app"} <= imported
    assert imported & NOT_NEEDED == set()
    assert not [name for name in imported if name.split(".")[0] in ("yaml", "aiohttp", "grpc", "cryptography")]
    assert len([name for name in imported if name.startswith("eventmesh")]) <= MOST_OF_OURS
    assert 0 < sum("compiled source" in line for line in lines) <= MOST_COMPILED
