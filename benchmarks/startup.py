"""From exec to the first answered request, and resident memory: how much a sidecar costs a pod that does nothing."""

from __future__ import annotations

import argparse
import compileall
import http.client
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import yaml

import eventmesh
from benchmarks import ads, contenders, load, report
from benchmarks.measure import PROXY_CPU, Server, free_port
from benchmarks.scene import EDIT, HOSTS, PATHS, Scene, envoy_bootstrap

STARTS = 7
PATIENCE_S = 20.0
EXEC_TO_ANSWER_MS = 150.0
STATIC_MIB = 30.0
ADS_MIB = 45.0
UP_S = 2.0
MESHES = 3
BUSY_MIB = 60.0
"""With 1,000 connections that have carried requests."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the starts of one contender with one configuration cost; a figure a start."""

    wall_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Processor time until the first answer: what a busy machine cannot blur."""
    rss_mib: list[float] = field(default_factory=list)
    pss_mib: list[float] = field(default_factory=list)
    """Pages that several processes share count in parts: what one more sidecar costs."""
    busy_mib: list[float] = field(default_factory=list)
    """RSS after `load`; of the first start alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """A way to start: the arguments before the configuration file, and that file."""

    name: str
    argv: tuple[str, ...]
    port: int
    config: Path


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 0, or raise RuntimeError when somebody does not start."""
    # pip compiles what it installs; a checkout is compiled by its first run, which must not be one that is measured.
    compileall.compile_dir(Path(eventmesh.__file__).parent, quiet=2)
    backend_port, backend = contenders.start_backend(False)
    servers = [backend]
    try:
        cases = _prepare(backend_port, servers)
        figures = {case.name: Figures() for case in cases}
        for number in range(STARTS):
            for case in cases:
                report.progress(f"start {number + 1}/{STARTS} {case.name}")
                _measure(case, figures[case.name], busy=number == 0)
        meshes = [_mesh_ready_s(number) for number in range(MESHES)]
    finally:
        report.clear_progress()
        for server in servers:
            server.stop()
    _print(figures)
    print(report.limit_bar("`eventmesh up`, exec to ready", statistics.median(meshes), UP_S, "s"))
    report.save("startup", {name: _columns(row) for name, row in figures.items()} | {"up_ready_s": meshes})
    return 0


def _prepare(backend_port: int, servers: list[Server]) -> list[Case]:
    """Start control, which joins `servers`; return every case, each with ports and files of its own."""
    us = (sys.executable, "-m", "eventmesh.cli.main", "sidecar", "--bootstrap")
    envoy = (contenders.find("envoy"), "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "-c")
    cases: list[Case] = []
    directory = Path(mkdtemp(prefix="bench-startup-"))
    for contender, argv in (("eventmesh", us), ("envoy", envoy)):
        text, port = _bootstrap(directory, backend_port)
        cases.append(_case(directory, contender, argv, port, "config.yaml", text))
    text, port = _bootstrap(directory, backend_port)
    cases.append(_case(directory, "eventmesh, JSON", us, port, "config.json", json.dumps(yaml.safe_load(text))))
    # One control serves both, which never run at once: they may listen on the same port.
    text, port = _bootstrap(directory, backend_port)
    control_port = free_port()
    subscribing, resources = ads.dynamic(yaml.safe_load(text), control_port)
    (directory / "resources.json").write_text(json.dumps(resources))
    control = Server(
        [sys.executable, "-m", "benchmarks.ads", str(control_port), str(directory / "resources.json")],
        directory,
        cpus=contenders.others(),
    )
    servers.append(control)
    control.wait_for(control_port)
    for contender, argv in (("eventmesh, ADS", us), ("envoy, ADS", envoy)):
        cases.append(_case(directory, contender, argv, port, "config.json", json.dumps(subscribing)))
    return cases


def _bootstrap(directory: Path, backend_port: int) -> tuple[str, int]:
    port = free_port()
    return envoy_bootstrap(Scene(directory, port, backend_port, free_port(), http2=False)), port


def _case(directory: Path, name: str, argv: Sequence[str], port: int, file: str, text: str) -> Case:
    config = directory / f"{name.replace(', ', '-').lower()}-{file}"
    config.write_text(text)
    return Case(name, tuple(argv), port, config)


def _measure(case: Case, figures: Figures, *, busy: bool) -> None:
    """Start once, ask until there is an answer, and look at the process."""
    server = Server([*case.argv, str(case.config)], case.config.parent, cpus={PROXY_CPU})
    try:
        figures.wall_ms.append(_first_answer(case, server) * 1e3)
        figures.cpu_ms.append(server.cpu_s() * 1e3)
        figures.rss_mib.append(server.rss_mib())
        figures.pss_mib.append(server.pss_mib())
        if busy:
            load.http1(case.port, 1000, 2.0)
            figures.busy_mib.append(server.rss_mib())
    finally:
        server.stop()


def _first_answer(case: Case, server: Server) -> float:
    """Return the seconds from exec to the first answered request."""
    while time.monotonic() < server.started_at + PATIENCE_S:
        connection = http.client.HTTPConnection("127.0.0.1", case.port, timeout=5)
        try:
            connection.request("GET", f"{PATHS[0]}/x", headers={"Host": HOSTS[0], EDIT[0]: EDIT[1]})
            if connection.getresponse().status == 200:
                return time.monotonic() - server.started_at
        except OSError:
            time.sleep(0.001)
        finally:
            connection.close()
    raise RuntimeError(f"{case.name} did not answer within {PATIENCE_S:g} s:\n{server.output()}")


def _mesh_ready_s(number: int) -> float:
    """Return the seconds from exec of `eventmesh up`, in an empty directory, until it says that it is ready."""
    report.progress(f"mesh {number + 1}/{MESHES}")
    directory = Path(mkdtemp(prefix="bench-up-"))
    argv = [sys.executable, "-m", "eventmesh.cli.main", "up", "--data-dir", str(directory / "data")]
    server = Server([*argv, "--port", "0", "--gateway-port", "0"], directory)
    try:
        while time.monotonic() < server.started_at + PATIENCE_S:
            if "ready in" in server.output():
                return time.monotonic() - server.started_at
            time.sleep(0.005)
        raise RuntimeError(f"`eventmesh up` was not ready within {PATIENCE_S:g} s:\n{server.output()}")
    finally:
        server.stop()


def _print(figures: dict[str, Figures]) -> None:
    print(f"\nStart and memory: medians of {STARTS} starts")
    print(f"  {'':16}{'exec to answer ms':>18}{'CPU ms':>8}{'RSS MiB':>9}{'PSS':>7}{'1,000 connections':>19}")
    medians = {
        name: {column: statistics.median(values) for column, values in _columns(row).items()}
        for name, row in figures.items()
    }
    for name, row in medians.items():
        print(
            f"  {name:16}{row['wall_ms']:18.0f}{row['cpu_ms']:8.0f}{row['rss_mib']:9.1f}{row['pss_mib']:7.1f}"
            f"{row['busy_mib']:19.1f}"
        )
    static, by_ads = medians["eventmesh"], medians["eventmesh, ADS"]
    print(report.limit_bar("exec to answer", static["wall_ms"], EXEC_TO_ANSWER_MS, "ms"))
    print(report.limit_bar("memory, static bootstrap", static["rss_mib"], STATIC_MIB, "MiB"))
    print(report.limit_bar("memory, 1,000 connections", static["busy_mib"], BUSY_MIB, "MiB"))
    print(report.limit_bar("memory with ADS", by_ads["rss_mib"], ADS_MIB, "MiB"))


def _columns(row: Figures) -> dict[str, list[float]]:
    return {name: getattr(row, name) for name in row.__slots__}
