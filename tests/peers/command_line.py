"""Running kubectl and kn as a user does, against an API of this process."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from tests.peers.tools import tool

COMMAND_TIMEOUT_S = 90
"""Longer than any `--timeout` that it is given."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a command did."""

    code: int
    out: str
    err: str


class CommandLine:
    """One foreign command with a home directory of its own."""

    def __init__(self, name: str, kubeconfig: Path, home: Path) -> None:
        self.path = tool(name)
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}

    async def run(self, *arguments: str, stdin: str = "") -> Output:
        """Run the command to its end."""
        process = await self.start(*arguments)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                out, err = await process.communicate(stdin.encode())
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        assert process.returncode is not None
        return Output(process.returncode, out.decode(), err.decode())

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start the command with pipes; the caller ends it."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            self.path, *arguments, env=self.environment, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run the command, require success, and return what it printed."""
        result = await self.run(*arguments, stdin=stdin)
        assert result.code == 0, f"{arguments}: exit {result.code}\n{result.out}{result.err}"
        return result.out
