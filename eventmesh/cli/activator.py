"""`eventmesh activator`: holds requests for functions at zero, and keeps the broker."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eventmesh.base.errors import UsageError
from eventmesh.cli.data_plane import add_arguments
from eventmesh.cli.durations import duration

if TYPE_CHECKING:
    from eventmesh.activator.broker.store.values import Retention


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_arguments(parser)
    parser.add_argument(
        "--autoscaler",
        metavar="URL",
        required=True,
        help="where load is reported: http://host:port/stats, or ws://host:port as Knative's own takes it",
    )
    parser.add_argument(
        "--broker", metavar="ADDRESS", default="0.0.0.0:8080", help="where events are taken in (default: %(default)s)"
    )
    parser.add_argument(
        "--broker-tls",
        metavar="ADDRESS",
        default="0.0.0.0:8443",
        help="where events are taken in by https, while transport-encryption asks for it (default: %(default)s)",
    )
    parser.add_argument(
        "--keep-events",
        metavar="DURATION",
        help="how long events stay that no trigger waits for, such as 90m (default: 24h)",
    )
    parser.add_argument(
        "--keep-bytes",
        metavar="N",
        type=int,
        help="size of the store beyond which the oldest of them go before their time (default: 1 GiB)",
    )
    parser.add_argument("--data-dir", metavar="DIR", type=Path, required=True, help="where events are kept")
    add_store(parser)
    add_event_limit(parser)
    parser.add_argument(
        "--protect",
        metavar="HOST:PORT",
        action="append",
        default=[],
        help="a control port of the mesh that no event is delivered to, beside those of the API, control and this "
        "process; may be repeated",
    )
    parser.add_argument(
        "--kubeconfig", metavar="FILE", type=Path, help="how to reach the API (default: as kubectl does)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    from eventmesh.activator.app import ActivatorSettings, serve
    from eventmesh.activator.broker.ingress import MAX_EVENT_BYTES
    from eventmesh.base import log
    from eventmesh.dataplane.process import run as run_process
    from eventmesh.xds.bootstrap import load_bootstrap

    log.configure()
    bootstrap = load_bootstrap(args.bootstrap)
    retention = _retention(args)
    settings = ActivatorSettings(
        args.autoscaler,
        args.broker,
        args.data_dir,
        args.kubeconfig,
        args.drain_time_s,
        retention,
        args.store,
        event_limit(args) or MAX_EVENT_BYTES,
        tuple(args.protect),
        args.broker_tls,
        os.environ.get("POD_IP", ""),
    )
    return run_process(lambda: serve(bootstrap, settings))


def add_store(parser: argparse.ArgumentParser) -> None:
    """Declare `--store`, which a whole mesh has as well."""
    parser.add_argument(
        "--store",
        metavar="URL",
        default="",
        help="a store that several activators share, such as nats://HOST:4222?monitor=http://HOST:8222 "
        "or kafka://HOST:9092 (docs/stores.md); the data directory then holds a copy "
        "(default: the data directory alone)",
    )


def add_event_limit(parser: argparse.ArgumentParser) -> None:
    """Declare `--max-event-bytes`, which a whole mesh has as well."""
    parser.add_argument(
        "--max-event-bytes",
        metavar="N",
        type=int,
        help="longest event that brokers and channels take in, 64 KiB to 4 MiB (default: 1 MiB)",
    )


def event_limit(args: argparse.Namespace) -> int | None:
    """Return what `--max-event-bytes` says, None when it is not given; raises UsageError when that cannot be."""
    asked: int | None = args.max_event_bytes
    if asked is None:
        return None
    from eventmesh.activator.broker.ingress import LEAST_MAX_EVENT_BYTES, MOST_MAX_EVENT_BYTES

    if not LEAST_MAX_EVENT_BYTES <= asked <= MOST_MAX_EVENT_BYTES:
        raise UsageError(
            f"--max-event-bytes: {asked} is not between {LEAST_MAX_EVENT_BYTES} and {MOST_MAX_EVENT_BYTES}"
        )
    return asked


def _retention(args: argparse.Namespace) -> Retention:
    from eventmesh.activator.broker.app import DEFAULT_RETENTION

    retention = DEFAULT_RETENTION
    if args.keep_events is not None:
        retention = replace(retention, max_age_s=duration("--keep-events", args.keep_events))
    if args.keep_bytes is not None:
        if args.keep_bytes < 0:
            raise UsageError(f"--keep-bytes: {args.keep_bytes} is negative")
        retention = replace(retention, max_bytes=args.keep_bytes)
    return retention
