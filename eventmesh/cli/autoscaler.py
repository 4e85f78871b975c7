"""`eventmesh autoscaler`: scales revisions by what activators and pods report, beside any Kubernetes API."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from eventmesh.cli import replica
from eventmesh.cli.addresses import address

if TYPE_CHECKING:
    from eventmesh.base.clock import Clock
    from eventmesh.kube.api import Api

_MODULES: Final = ("eventmesh.controllers.autoscaler.app",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    replica.add_flags(parser)
    parser.add_argument(
        "--address",
        default="127.0.0.1:18080",
        metavar="HOST:PORT",
        help="where activators report; listened at by the replica that works, and no other (%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Scale whenever this replica leads, until SIGINT or SIGTERM. Raises MeshError."""
    return replica.run(args, "autoscaler", _MODULES, partial(_work, address("--address", args.address)))


async def _work(where: tuple[str, int], api: Api, clock: Clock) -> None:
    from eventmesh.controllers.autoscaler.app import Autoscaler
    from eventmesh.controllers.serving.settings import LocalSettings
    from eventmesh.controllers.serving.settings_store import SettingsStore
    from eventmesh.kube.events import EventRecorder
    from eventmesh.kube.informer import Informers
    from eventmesh.kube.resources import CONFIG_MAP

    informers = Informers(api, clock)
    recorder = EventRecorder(api, "autoscaler", clock)
    settings = SettingsStore(informers.of(CONFIG_MAP), clock, recorder, LocalSettings())
    autoscaler = Autoscaler(api, informers, clock, settings, where)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(informers.stop)
        await informers.start()
        stack.push_async_callback(autoscaler.stop)
        await autoscaler.start()
        await asyncio.Event().wait()
