"""One replica of a component that works while it leads, and waits meanwhile."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventmesh.cli import leading

if TYPE_CHECKING:
    from eventmesh.base.clock import Clock
    from eventmesh.kube.api import Api

Work = Callable[["Api", "Clock"], Coroutine[Any, Any, None]]
"""What the leader does until it is cancelled; done anew, with nothing remembered, when the lease is won again."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that all such components have."""
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="the API to work on ($KUBECONFIG, the pod's own)"
    )
    leading.add_flags(parser, "one works")


def run(args: argparse.Namespace, name: str, modules: Iterable[str], work: Work) -> int:
    """Do `work`, which needs `modules`, whenever this replica leads, until SIGINT or SIGTERM; return 0.

    The lease is called `eventmesh-NAME`. Raises MeshError.
    """
    leading.check(args)
    from eventmesh.base import log
    from eventmesh.dataplane.process import run as run_process

    log.configure()
    # Now: a replica that leads must not stand still for a second of imports, in which its lease is not renewed.
    for module in modules:
        import_module(module)
    return run_process(lambda: _serve(args, name, work))


async def _serve(args: argparse.Namespace, name: str, work: Work) -> int:
    from eventmesh.base.clock import SystemClock
    from eventmesh.base.tasks import first_of
    from eventmesh.dataplane.process import Termination
    from eventmesh.kube.client import HttpApi
    from eventmesh.kube.config import load_config

    termination = Termination()
    termination.install()
    clock = SystemClock()
    api = HttpApi(await load_config(args.kubeconfig), f"eventmesh-{name}")

    async def lead() -> None:
        sys.stdout.write(f"eventmesh {name}: working\n")
        sys.stdout.flush()
        await work(api, clock)

    election = leading.election(args, api, clock, f"eventmesh-{name}")
    try:
        await first_of(lead() if election is None else election.campaign(lead), termination.wanted())
    finally:
        await api.close()
    return 0
