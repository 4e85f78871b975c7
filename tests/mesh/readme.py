"""The commands of a README, and what it says they print."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.component.processes import program
from tests.mesh.processes import MeshProcess
from tests.peers.tools import TOOLS
from tests.waiting import WAIT_S

REPOSITORY = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """Commands, and the lines that the last of them prints."""

    commands: tuple[str, ...]
    promised: tuple[str, ...]


def steps(readme: Path) -> list[Step]:
    """Return the `sh` blocks of a README, each with the `text` block that must follow it."""
    blocks = BLOCK.findall(readme.read_text())
    kinds = [kind for kind, _ in blocks]
    assert blocks and kinds == ["sh", "text"] * (len(kinds) // 2), f"{readme}: commands and what they print take turns"
    texts = [tuple(text.splitlines()) for _, text in blocks]
    return [Step(commands, promised) for commands, promised in zip(texts[::2], texts[1::2], strict=True)]


class Shell:
    """A user's shell in the repository, with a mesh, and eventmesh, kn, kubectl and curl on PATH."""

    def __init__(self, mesh: MeshProcess, home: Path) -> None:
        home.mkdir(exist_ok=True)
        command = home / "eventmesh"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m eventmesh.cli.main "$@"\n')
        command.chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{home}:{os.environ['PATH']}:{TOOLS}",
            "HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "KUBECONFIG": str(mesh.kubeconfig),
            "EVENTMESH_DATA_DIR": str(mesh.data_dir),
        }

    async def run(self, command: str) -> str:
        """Run a line, require success and return what it printed."""
        pipe = asyncio.subprocess.PIPE
        shell = program("bash", "-euc", command, cwd=REPOSITORY, env=self._environment, stdout=pipe, stderr=pipe)
        async with shell as process, asyncio.timeout(WAIT_S):
            out, err = await process.communicate()
        assert process.returncode == 0, f"{command}: exit {process.returncode}\n{out.decode()}{err.decode()}"
        return out.decode()

    async def follow(self, readme: Path) -> None:
        """Do what a README says; its last commands print what it promises, at once or after a while."""
        for step in steps(readme):
            *before, last = step.commands
            for command in before:
                await self.run(command)
            async with asyncio.timeout(WAIT_S):
                while not set(step.promised) <= set((await self.run(last)).splitlines()):
                    await asyncio.sleep(0.1)
