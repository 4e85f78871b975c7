"""Flags of components of which several replicas may run: one of them works, by a Lease (`kube.lease`)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eventmesh.base.errors import UsageError

if TYPE_CHECKING:
    from eventmesh.base.clock import Clock
    from eventmesh.kube.api import Api
    from eventmesh.kube.lease import Election


def add_flags(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the flags; `what` says what one replica does at a time."""
    parser.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help=f"of several replicas {what}, by a Lease (default: yes)",
    )
    parser.add_argument(
        "--lease-duration-s",
        type=int,
        default=15,
        metavar="SECONDS",
        help="how long after a replica was lost another one takes over (%(default)s)",
    )


def check(args: argparse.Namespace) -> None:
    """Raise UsageError for a duration that is none."""
    if args.lease_duration_s < 1:
        raise UsageError(f"--lease-duration-s: {args.lease_duration_s} is no number of seconds; the least is 1")


def election(args: argparse.Namespace, api: Api, clock: Clock, lease: str) -> Election | None:
    """Return this process's part in the election for `lease`; None: it need not be elected."""
    from eventmesh.kube.lease import Election, LeaseTiming, process_identity
    from eventmesh.xds.identity.spiffe import SYSTEM_NAMESPACE

    if not args.leader_elect:
        return None
    # The proportions are client-go's, of its 15 seconds.
    duration_s: int = args.lease_duration_s
    timing = LeaseTiming(duration_s, duration_s * 2 / 3, duration_s * 2 / 15)
    return Election(api, clock, lease, SYSTEM_NAMESPACE, process_identity(), timing=timing)
