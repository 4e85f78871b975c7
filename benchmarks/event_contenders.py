"""Who takes events in: our activator on its own store, on JetStream and on Kafka, and nats-server with JetStream that
syncs each message."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from benchmarks import report
from benchmarks.contenders import find, others
from benchmarks.event_api import NAME, NAMESPACE
from benchmarks.measure import PROXY_CPU, Server, free_port
from eventmesh.activator.broker.app import STORE_FILE
from eventmesh.cluster.bootstrap import bootstrap
from tests.peers import kafka_server

Fill = Callable[[Path, str], None]
"""Puts events of a broker, given by its key, into the store at a path."""

NAMES = ("eventmesh", "over-jetstream", "over-kafka", "jetstream")

SYNCS = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync")
"""Only these two calls stop at the tracer; all others run as without it."""


@dataclass(slots=True)
class EventContender:
    """A running store of events."""

    name: str
    port: int
    server: Server
    trace: Path
    beside: list[Server] = field(default_factory=list)
    admin: int = 0
    """Its admin port, when it is ours."""

    def syncs(self) -> int:
        """Return the syncs so far, when it was started with `traced`."""
        return sum(1 for line in self.trace.read_text().splitlines() if "sync(" in line)

    def cpu_s(self) -> float:
        """Return the processor time of whoever takes events in, and of the server that they are kept on."""
        return self.server.cpu_s() + (self.beside[0].cpu_s() if self.name.startswith("over-") else 0.0)

    def stop(self) -> None:
        """End it and what it needs."""
        for server in (self.server, *self.beside):
            server.stop()


def start(name: str, *, traced: bool = False, subscriber: str = "", fill: Fill | None = None) -> EventContender:
    """Start a contender, with its files on the disk that holds the results; ours delivers to `subscriber`, if any, and
    finds in its store what `fill` puts there."""
    report.RESULTS.mkdir(parents=True, exist_ok=True)
    directory = Path(mkdtemp(prefix=f"events-{name}-", dir=report.RESULTS)).absolute()
    port = free_port()
    admin = free_port()
    if fill is not None:
        fill(directory / "data" / STORE_FILE, f"{NAMESPACE}/{NAME}")
    beside: list[Server] = []
    trace = directory / "trace"
    before = [*SYNCS, "-o", str(trace)] if traced else []
    if name.startswith("over-"):
        kept_at = free_port()
        kept_in = _jetstream(directory, kept_at) if name == "over-jetstream" else _kafka(directory, kept_at)
        beside.append(Server([*before, *kept_in], directory, cpus={PROXY_CPU}))
        beside[0].wait_for(kept_at)
        engine = "nats" if name == "over-jetstream" else "kafka"
        argv = [*_eventmesh(directory, port, admin, beside, subscriber), "--store", f"{engine}://127.0.0.1:{kept_at}"]
    else:
        made = (
            _jetstream(directory, port)
            if name == "jetstream"
            else _eventmesh(directory, port, admin, beside, subscriber)
        )
        argv = [*before, *made]
    server = Server(argv, directory, cpus={PROXY_CPU})
    server.wait_for(port)
    return EventContender(name, port, server, trace, beside, admin)


def _jetstream(directory: Path, port: int) -> list[str]:
    config = directory / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{\n  store_dir: "{directory}/data"\n  sync_interval: always\n}}\n'
    )
    return [find("nats-server"), "-c", str(config)]


def _kafka(directory: Path, port: int) -> list[str]:
    kafka, config = find("kafka"), str(kafka_server.configured(directory, port))
    subprocess.run([kafka, *kafka_server.FORMAT, config, "--standalone"], check=True, capture_output=True)
    return [kafka, kafka_server.START, config]


def _eventmesh(directory: Path, port: int, admin: int, beside: list[Server], subscriber: str) -> list[str]:
    (directory / "api").mkdir()
    beside.append(
        Server(
            [sys.executable, "-m", "benchmarks.event_api", str(directory), subscriber], directory / "api", cpus=others()
        )
    )
    kubeconfig, config = directory / "kubeconfig", directory / "bootstrap.json"
    deadline = time.monotonic() + 20
    while not kubeconfig.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    # Where nothing is delivered no routes are needed: control is absent then, as it may be.
    absent = f"127.0.0.1:{free_port()}"
    control = f"127.0.0.1:{(directory / 'control').read_text()}" if subscriber else absent
    config.write_text(json.dumps(bootstrap("activator", "bench", f"127.0.0.1:{admin}", control)))
    flags = ("--bootstrap", str(config), "--kubeconfig", str(kubeconfig), "--data-dir", str(directory / "data"))
    where = ("--broker", f"127.0.0.1:{port}", "--autoscaler", f"http://{absent}/")
    return [sys.executable, "-m", "eventmesh.cli.main", "activator", *flags, *where]
