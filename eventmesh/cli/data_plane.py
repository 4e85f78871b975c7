"""What the commands `sidecar` and `gateway` share."""

from __future__ import annotations

import argparse
import gc
import os
from typing import TYPE_CHECKING, Final

from eventmesh.base.errors import UsageError
from eventmesh.base.late_modules import late_inspect, late_module
from eventmesh.base.late_patterns import late_patterns
from eventmesh.base.without_openssl import load_loop

if TYPE_CHECKING:
    from eventmesh.xds.bootstrap import Bootstrap

DRAIN_TIME_S: Final = 30.0
"""Kubernetes' own terminationGracePeriodSeconds: longer, and the kubelet would kill in the middle."""

_PATTERNS_UNUSED: Final = ("dataclasses", "eventmesh", "json", "logging", "string")
"""Packages whose regular expressions a data plane does not use before its first answer, or never."""

_MODULES_UNUSED: Final = ("linecache", "locale", "queue", "textwrap")
"""Modules that others import for what a data plane does not do before its first answer: tracebacks, processes,
threads."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a data plane."""
    parser.add_argument(
        "--bootstrap",
        metavar="FILE",
        required=True,
        help="Envoy v3 bootstrap, YAML or JSON: the file Envoy itself takes",
    )
    parser.add_argument(
        "--drain-time-s",
        metavar="SECONDS",
        type=float,
        default=DRAIN_TIME_S,
        help="longest time requests in flight get to end after SIGTERM (default: %(default)s)",
    )


def add_process_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how many processes serve, and how one takes over from another."""
    parser.add_argument(
        "--hot-restart",
        metavar="PATH",
        default="",
        help="take over listeners and connections from the process that was started with the same PATH, a unix socket",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=1,
        help="processes that serve the same listeners, about one for each processor (default: %(default)s)",
    )


def start(args: argparse.Namespace, *, function: bool) -> int:
    """Run the data plane that the flags describe, beside the function that the environment describes if `function`.

    Returns its exit code; raises MeshError when it cannot start.
    """
    # A tenth of the time to the first answer would be the collector's, which finds nothing while modules load;
    # `process.run` turns it on again.
    gc.disable()
    with late_patterns(*_PATTERNS_UNUSED):
        late_inspect()
        for name in _MODULES_UNUSED:
            late_module(name)
        load_loop()
        from eventmesh.base import log
        from eventmesh.dataplane.process import run
        from eventmesh.sidecar.app import serve
        from eventmesh.sidecar.environment import ignored, read_pod
        from eventmesh.xds.bootstrap import load_bootstrap

    if not args.drain_time_s >= 0:
        raise UsageError(f"--drain-time-s: {args.drain_time_s} is not a positive number of seconds")
    if args.workers < 1:
        raise UsageError(f"--workers: {args.workers} is no number of processes; the least is 1")
    log.configure()
    pod = read_pod(os.environ) if function else None
    if pod is not None:
        for name in ignored(os.environ):
            log.get("sidecar").warning("variable without effect", name=name, value=os.environ[name])
    bootstrap = load_bootstrap(args.bootstrap)
    if args.hot_restart and pod is not None:
        raise UsageError(
            "--hot-restart: beside a function there is nothing to take over: its pod is replaced as a whole"
        )
    if args.workers > 1 and pod is None:
        return _supervise(bootstrap, args)
    if args.workers > 1:
        why = "a function has one sidecar process: its concurrency is one limit, and its load is told as one number"
        log.get("sidecar").warning("flag without effect", flag="--workers", value=args.workers, why=why)
    return run(lambda: serve(bootstrap, pod, args.drain_time_s, args.hot_restart))


def _supervise(bootstrap: Bootstrap, args: argparse.Namespace) -> int:
    # One process is the common case, and would feel the import.
    from eventmesh.dataplane.process import run
    from eventmesh.dataplane.workers import MAX_WORKERS
    from eventmesh.sidecar.supervisor import serve

    if args.workers > MAX_WORKERS:
        raise UsageError(f"--workers: {args.workers} is more than {MAX_WORKERS}; processors are what more of them need")
    return run(lambda: serve(bootstrap, args.workers, args.drain_time_s, args.hot_restart))
