"""`eventmesh up`: a whole mesh on this machine, in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path

from eventmesh.base.errors import UsageError
from eventmesh.cli import data_dir
from eventmesh.cli.activator import add_event_limit, add_store, event_limit
from eventmesh.cluster.runtime.launcher_process import ACTIVATOR_MODULES
from eventmesh.cluster.watchdog import Cradle, watch

MESH_MODULES = ("uvloop", "eventmesh.cluster.mesh", "eventmesh.cluster.runtime.process", "eventmesh.dataplane.process")
"""What the mesh process imports; named and not imported here, since other commands do without."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    data_dir.add_flag(parser)
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="where to write it (DIR/kubeconfig)")
    parser.add_argument("--port", type=_port, default=6443, metavar="N", help="of the API, 0 = any (%(default)s)")
    parser.add_argument(
        "--ca-cert",
        type=Path,
        metavar="FILE",
        help="certifies identities; with its chain and root (one of our own)",
    )
    parser.add_argument("--ca-key", type=Path, metavar="FILE", help="key of --ca-cert")
    parser.add_argument(
        "--trust-domain",
        type=_trust_domain,
        default="cluster.local",
        metavar="NAME",
        help="of identities (%(default)s)",
    )
    parser.add_argument(
        "--gateway-port", type=_port, default=8080, metavar="N", help="of the public gateway, 0 = any (%(default)s)"
    )
    add_store(parser)
    add_event_limit(parser)


def run(args: argparse.Namespace) -> int:
    """Run the mesh until SIGINT or SIGTERM; return 0, or 1 when it could not go on. Raises MeshError."""
    # Whatever is imported now stays; the collector would look through all of it a dozen times.
    gc.disable()
    if bool(args.ca_cert) != bool(args.ca_key):
        raise UsageError("--ca-cert and --ca-key go together: give both, or neither")
    # Refused before anything is written or started.
    event_limit(args)
    directory = data_dir.prepared(args.data_dir)
    kubeconfig = (args.kubeconfig or directory / "kubeconfig").absolute()
    data_dir.prepared(kubeconfig.parent, "--kubeconfig")
    _say(f"eventmesh: starting, state in {directory}")
    return watch(
        lambda cradle: _run(args, directory, kubeconfig, cradle),
        MESH_MODULES,
        # Data planes import what they need on another processor meanwhile.
        prepared={"activator": ACTIVATOR_MODULES},
    )


def _run(args: argparse.Namespace, directory: Path, kubeconfig: Path, cradle: Cradle) -> int:
    import uvloop

    from eventmesh.base import log

    log.configure()
    return uvloop.run(_serve(args, directory, kubeconfig, cradle))


async def _serve(args: argparse.Namespace, directory: Path, kubeconfig: Path, cradle: Cradle) -> int:
    from eventmesh.base.clock import SystemClock
    from eventmesh.cluster.mesh import Mesh, MeshSettings
    from eventmesh.cluster.runtime.process import ProcessLauncher
    from eventmesh.dataplane.process import quiet_collector

    clock = SystemClock()
    launcher = ProcessLauncher(cradle.channel, cradle.launcher_pid)
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask, asked)
    authority = (args.ca_cert, args.ca_key) if args.ca_cert else None
    ports = (args.port, args.gateway_port)
    settings = MeshSettings(directory, kubeconfig, *ports, authority, args.trust_domain, args.store, event_limit(args))
    mesh = Mesh(settings, clock, launcher, again=cradle.again, inherits=cradle.inherits)
    await mesh.start()
    quiet_collector()
    cradle.ready()
    _say(f"eventmesh: ready in {clock.monotonic() - cradle.began:.1f} s\n")
    where = mesh.addresses
    _say(f"  Kubernetes API   https://{where.api}")
    _say(f"  functions        http://NAME.NAMESPACE.localhost:{where.gateway_port}")
    _say(f"  events           {where.events_url}/NAMESPACE/BROKER\n")
    _say(f"  export KUBECONFIG={kubeconfig}")
    if directory != data_dir.default():
        _say(f"  export EVENTMESH_DATA_DIR={directory}")
    _say("")
    _say("Ctrl-C stops the mesh and every process it started.")
    try:
        await asyncio.wait((asked, mesh.lost), return_when=asyncio.FIRST_COMPLETED)
        if mesh.lost.done():
            sys.stderr.write(f"eventmesh: {mesh.lost.result()}\n")
            return 1
        return 0
    finally:
        _say("eventmesh: stopping")
        await mesh.stop()


def _ask(asked: asyncio.Future[None]) -> None:
    if not asked.done():
        asked.set_result(None)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; use 0 to 65535")
    return int(text)


def _trust_domain(text: str) -> str:
    from eventmesh.xds.identity.spiffe import check_trust_domain

    try:
        return check_trust_domain(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
