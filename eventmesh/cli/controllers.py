"""`eventmesh controllers`: the controllers of Serving and Eventing by themselves, beside any Kubernetes API."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from eventmesh.base.errors import UsageError
from eventmesh.cli import replica

if TYPE_CHECKING:
    from eventmesh.base.clock import Clock
    from eventmesh.controllers.serving.settings import LocalSettings
    from eventmesh.kube.api import Api

SERVING: Final = "serving"
EVENTING: Final = "eventing"
_BOTH: Final = (SERVING, EVENTING)
_MODULES: Final = ("eventmesh.controllers.serving.app", "eventmesh.controllers.eventing.app")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    replica.add_flags(parser)
    parser.add_argument(
        "--only",
        choices=_BOTH,
        help="the controllers of one of the two, where Knative's own do the other's work (default: both)",
    )
    parser.add_argument("--domain", metavar="NAME", help="of functions, while config-domain names none")
    parser.add_argument(
        "--sidecar-image", metavar="IMAGE", help="of the container queue-proxy, while config-deployment names none"
    )
    parser.add_argument(
        "--broker-url", default="", metavar="URL", help="where brokers can be reached from outside the cluster, if so"
    )
    parser.add_argument(
        "--channel-url", default="", metavar="URL", help="where channels can be reached from outside the cluster, if so"
    )


def run(args: argparse.Namespace) -> int:
    """Work whenever this replica leads, until SIGINT or SIGTERM. Raises MeshError."""
    for flag, url in (("--broker-url", args.broker_url), ("--channel-url", args.channel_url)):
        if url and not url.startswith(("http://", "https://")):
            raise UsageError(f"{flag}: {url!r} is no URL; write http://HOST or https://HOST")
    return replica.run(args, "controllers", _MODULES, partial(_work, args))


async def _work(args: argparse.Namespace, api: Api, clock: Clock) -> None:
    from eventmesh.controllers.eventing.addresses import BROKERS, CHANNELS
    from eventmesh.controllers.eventing.app import EventingControllers
    from eventmesh.controllers.serving.app import ServingControllers
    from eventmesh.controllers.serving.images import AsWritten
    from eventmesh.kube.informer import Informers

    wanted = _BOTH if args.only is None else (args.only,)
    informers = Informers(api, clock)
    serving = ServingControllers(api, informers, clock, AsWritten(), _local(args)) if SERVING in wanted else None
    eventing = None
    if EVENTING in wanted:
        brokers, channels = replace(BROKERS, outside=args.broker_url), replace(CHANNELS, outside=args.channel_url)
        eventing = EventingControllers(api, informers, clock, brokers=brokers, channels=channels)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(informers.stop)
        await informers.start()
        if serving is not None:
            stack.push_async_callback(serving.stop)
            await serving.start()
        if eventing is not None:
            stack.push_async_callback(eventing.stop)
            eventing.start()
        await asyncio.Event().wait()


def _local(args: argparse.Namespace) -> LocalSettings:
    from eventmesh.controllers.serving.settings import LocalSettings

    named = {"default_domain": args.domain, "sidecar_image": args.sidecar_image}
    return LocalSettings(**{name: value for name, value in named.items() if value})
