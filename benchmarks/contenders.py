"""Who is measured: each contender's command line and configuration file for a scene."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from benchmarks import scene as scenes
from benchmarks.measure import PROXY_CPU, Server, free_port

NAMES = ("direct", "relay", "eventmesh", "envoy", "haproxy", "nginx")


def compiled(name: str, directory: Path) -> str:
    """Compile `floor`/`name`.c into `directory`; return the program's path."""
    program = directory / name
    source = Path(__file__).parent / "floor" / f"{name}.c"
    subprocess.run([find("cc"), "-O2", "-Wall", "-Werror", "-o", str(program), str(source)], check=True)
    return str(program)


@dataclass(frozen=True, slots=True)
class Contender:
    """A running proxy (or, for `direct`, the backend itself)."""

    name: str
    port: int
    server: Server


def find(program: str) -> str:
    """Return the path of `program`; raises SystemExit saying how to get it when it is missing."""
    variable = f"EVENTMESH_{program.upper()}"
    path = os.environ.get(variable) or shutil.which(program) or shutil.which(program, path=str(Path(".tools/bin")))
    if path is None:
        raise SystemExit(f"benchmarks: {program} not found on PATH, in .tools/bin or in ${variable}: run `make peers`")
    return path


def start_backend(http2: bool, body_bytes: int = scenes.BODY_BYTES, *, tls: bool = False) -> tuple[int, Server]:
    """Start the backend, which answers with `body_bytes`; return its port."""
    directory = Path(mkdtemp(prefix="bench-backend-"))
    port = free_port()
    (directory / "nginx.conf").write_text(scenes.backend_config(directory, port, http2, body_bytes, tls=tls))
    server = Server([find("nginx"), "-c", str(directory / "nginx.conf")], directory, cpus=others())
    server.wait_for(port)
    return port, server


def others() -> set[int]:
    """Return the processors that load and backend use."""
    return (os.sched_getaffinity(0) - {PROXY_CPU}) or {PROXY_CPU}


def start(
    name: str,
    backend_port: int,
    backend: Server,
    *,
    http2: bool,
    tls: bool = False,
    wait: bool = True,
    hosts: tuple[str, ...] = scenes.HOSTS,
) -> Contender:
    """Start the contender `name` before `backend`; with `wait` return once it listens."""
    if name == "direct":
        return Contender(name, backend_port, backend)
    directory = Path(mkdtemp(prefix=f"bench-{name}-"))
    scene = scenes.Scene(directory, free_port(), backend_port, free_port(), http2, tls, hosts)
    server = Server(_command(name, scene), scene.directory, cpus={PROXY_CPU})
    if wait:
        server.wait_for(scene.listen_port)
    return Contender(name, scene.listen_port, server)


def _command(name: str, scene: scenes.Scene) -> list[str]:
    config = scene.directory / "config.yaml"
    if name in ("eventmesh", "envoy"):
        config.write_text(scenes.envoy_bootstrap(scene))
        if name == "eventmesh":
            return [sys.executable, "-m", "eventmesh.cli.main", "sidecar", "--bootstrap", str(config)]
        return [find("envoy"), "-c", str(config), "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
    if name == "haproxy":
        config.write_text(scenes.haproxy_config(scene))
        return [find("haproxy"), "-db", "-f", str(config)]
    if name == "relay":
        return [compiled(name, scene.directory), str(scene.listen_port), str(scene.backend_port)]
    config.write_text(scenes.nginx_config(scene))
    return [find("nginx"), "-c", str(config)]
