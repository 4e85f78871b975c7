"""A function without any mesh: the same command in a network namespace of its own, asked as soon as it listens."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eventmesh.base import linux

REQUEST = b"GET / HTTP/1.1\r\nHost: direct\r\nConnection: close\r\n\r\n"
GIVE_UP_S = 10.0
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Program:
    """What the mesh runs for a function, read from one that it is running."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    workdir: str

    @classmethod
    def of(cls, pid: int) -> Program:
        """Return the program of the running process `pid`."""
        process = Path(f"/proc/{pid}")
        argv = tuple(word.decode() for word in (process / "cmdline").read_bytes().split(b"\0")[:-1])
        pairs = [pair.decode().partition("=") for pair in (process / "environ").read_bytes().split(b"\0") if pair]
        return cls(argv, {name: value for name, _, value in pairs}, os.readlink(process / "cwd"))


def first_answer_s(program: Program) -> float:
    """Return the seconds from exec to the first answer. The namespace is made before the clock starts."""
    network = linux.new_network()
    try:
        return linux.call_in_network(network, lambda: _run(program))
    finally:
        os.close(network)


def _run(program: Program) -> float:
    port = int(program.env["PORT"])
    began = time.monotonic()
    # Forked by a thread that lives in the namespace, so the child lives there too.
    process = subprocess.Popen(
        program.argv, env=dict(program.env), cwd=program.workdir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        while time.monotonic() - began < GIVE_UP_S:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    connection.sendall(REQUEST)
                    answer = b""
                    while more := connection.recv(_CHUNK_BYTES):
                        answer += more
                    if not answer.startswith(b"HTTP/1.1 200"):
                        raise RuntimeError(f"the direct run answered {answer[:200]!r}")
                    return time.monotonic() - began
            time.sleep(0.0002)
    finally:
        process.kill()
        process.wait()
    raise RuntimeError(f"the direct run did not listen within {GIVE_UP_S:.0f} s")
