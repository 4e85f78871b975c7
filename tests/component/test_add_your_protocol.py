"""The guide to private protocols does what it says: its files and commands are taken from the page and run."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.component.processes import START_TIMEOUT_S, data_plane, program

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "protocols" / "add-your-protocol.md"
FILE = re.compile(r"^```(?:yaml|python) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:[^$].*\n)*)", re.MULTILINE)
INTERPRETER = {"eventmesh": (sys.executable, "-m", "eventmesh.cli.main"), "python": (sys.executable,)}


async def said_by(command: str, folder: Path) -> str:
    """Run a command of the guide in `folder`; return what it says."""
    name, _, rest = command.partition(" ")
    words = [word.replace('"', "") for word in re.findall(r'"[^"]*"|\S+', rest)]
    running = program(
        *INTERPRETER[name],
        *words,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    async with running as process, asyncio.timeout(START_TIMEOUT_S):
        said, _ = await process.communicate()
    return said.decode()


async def test_the_steps_of_the_guide_do_what_the_page_shows(tmp_path: Path, unused_tcp_port: int) -> None:
    page = GUIDE.read_text()
    files = dict(FILE.findall(page))
    assert sorted(files) == ["bootstrap.yaml", "caller.py", "lamp.yaml", "server.py"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    # The page's ports are examples; here any free ones serve.
    bootstrap = files["bootstrap.yaml"].replace("9901", "0").replace("7002", "0").replace("7001", str(unused_tcp_port))
    bootstrap = bootstrap.replace("lamp.yaml", str(tmp_path / "lamp.yaml"))
    (tmp_path / "bootstrap.yaml").write_text(bootstrap)
    async with program(
        sys.executable, "server.py", str(unused_tcp_port), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        async with asyncio.timeout(START_TIMEOUT_S):
            assert await server.stdout.readline() == b"ready\n"
        async with data_plane("sidecar", tmp_path / "bootstrap.yaml") as sidecar:
            port = sidecar.addresses["lamps"].rpartition(":")[2]
            steps = [step for block in CONSOLE.findall(page) for step in COMMAND.findall(block)]
            assert len(steps) == 5
            for command, expected in steps:
                assert await said_by(command.replace("7002", port), tmp_path) == expected, command
