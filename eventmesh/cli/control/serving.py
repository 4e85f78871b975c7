"""The control process: an API to watch, ports to serve at, and an end."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Final

from eventmesh.base.clock import SystemClock
from eventmesh.base.tasks import first_of
from eventmesh.cli import leading
from eventmesh.cli.addresses import address
from eventmesh.cli.control.certifying import Certifying
from eventmesh.cli.durations import duration
from eventmesh.dataplane.process import Termination
from eventmesh.kube.api import Api
from eventmesh.kube.client import HttpApi
from eventmesh.kube.config import load_config
from eventmesh.kube.informer import Informers
from eventmesh.xds.control.app import Control
from eventmesh.xds.control.services import Settings

LEASE: Final = "eventmesh-control"

_LEAST_REFRESH_S: Final = 10.0
"""Issuers are other people's servers."""


async def serve(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Raises MeshError."""
    termination = Termination()
    termination.install()
    settings = _settings(args)
    api = HttpApi(await load_config(args.kubeconfig), "eventmesh-control")
    try:
        # Whoever still waits for an API that does not answer is to end as well.
        await first_of(_work(args, settings, api), termination.wanted())
    finally:
        await api.close()
    return 0


async def _work(args: argparse.Namespace, settings: Settings, api: Api) -> None:
    """Serve until cancelled."""
    clock = SystemClock()
    host, _ = address("--address", args.address)
    admin_host, admin_port = address("--admin-address", args.admin_address)
    election = leading.election(args, api, clock, LEASE)
    informers = Informers(api, clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(informers.stop)
        certifying = await Certifying.of(args, api, clock, election)
        identities = certifying.identities if certifying is not None else None
        writers = () if certifying is None else certifying.watch(informers)
        control = Control(api, informers, clock, settings, identities, election, writers)
        stack.push_async_callback(control.stop)
        if certifying is not None:
            stack.push_async_callback(certifying.stop)
        await informers.start()
        port = await control.start(args.address, args.secured_address if certifying is not None else "")
        await control.start_admin(admin_host, admin_port)
        _say(f"ADS on {host}:{port}")
        if certifying is not None:
            certificates = await certifying.start(args.certificate_address, control.metrics)
            _say(f"ADS under mTLS on {control.secured_port}, certificates on {certificates}")
        await asyncio.Event().wait()


def _say(line: str) -> None:
    sys.stdout.write(f"eventmesh control: {line}\n")
    sys.stdout.flush()


def _settings(args: argparse.Namespace) -> Settings:
    plain = Settings()
    activators = tuple(address("--activator", text) for text in args.activator or ())
    brokers = tuple(address("--broker", text) for text in args.broker or ())
    return Settings(
        public=address("--gateway", args.gateway),
        secure=address("--gateway-tls", args.gateway_tls),
        local=address("--local", args.local),
        activators=activators,
        activator=activators[0] if activators else plain.activator,
        brokers=brokers or plain.brokers,
        domain=args.domain,
        jwks_refresh_s=duration("--jwks-refresh", args.jwks_refresh, _LEAST_REFRESH_S),
    )
