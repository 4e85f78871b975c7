"""`eventmesh control`: the control component by itself, beside any Kubernetes API; and bootstraps for its clients."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path

from eventmesh.cli import leading, output
from eventmesh.cli.admin_port import CONTROL
from eventmesh.cli.control import bootstraps, certifying
from eventmesh.cli.control.status import show_status


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="the API to watch ($KUBECONFIG, the pod's own)")
    parser.add_argument(
        "--address", default="127.0.0.1:18000", metavar="HOST:PORT", help="ADS, port 0 = any (%(default)s)"
    )
    parser.add_argument("--gateway", default="0.0.0.0:8080", metavar="HOST:PORT", help="public listener (%(default)s)")
    parser.add_argument("--gateway-tls", default="0.0.0.0:8443", metavar="HOST:PORT", help="TLS (%(default)s)")
    parser.add_argument("--local", default="0.0.0.0:8081", metavar="HOST:PORT", help="private listener (%(default)s)")
    parser.add_argument(
        "--activator",
        action="append",
        metavar="HOST:PORT",
        help="where an activator takes requests; several times for several (127.0.0.2:8012)",
    )
    parser.add_argument(
        "--broker",
        action="append",
        metavar="HOST:PORT",
        help="where brokers take events in; several times for several (127.0.0.2:8080)",
    )
    parser.add_argument(
        "--domain", default="localhost", help="domain of the broker ingress's public host (%(default)s)"
    )
    parser.add_argument(
        "--jwks-refresh",
        default="20m",
        metavar="DURATION",
        help="how often key sets of issuers are fetched anew, from 10s on (%(default)s)",
    )
    parser.add_argument(
        "--admin-address", default="127.0.0.1:18001", metavar="HOST:PORT", help="admin pages, /metrics (%(default)s)"
    )
    leading.add_flags(parser, "one writes and all serve")
    certifying.add_flags(parser)
    actions = parser.add_subparsers(metavar="ACTION", dest="action")
    shown = actions.add_parser("bootstrap", help="print the bootstrap of a client of control")
    bootstraps.add_flags(shown)
    status = actions.add_parser("status", help="show who is connected, on which versions, and who refused what")
    output.add_flag(status)
    CONTROL.add_flags(status)
    rotate = actions.add_parser("rotate", help="replace certificates at once, or begin to move to a new root")
    rotate.add_argument("what", choices=("certificates", "root"), help="what to replace")
    CONTROL.add_flags(rotate)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, or print a bootstrap. Raises MeshError."""
    if args.action == "bootstrap":
        sys.stdout.write(json.dumps(bootstraps.printed(args), indent=2))
        sys.stdout.write("\n")
        return 0
    if args.action == "status":
        return show_status(CONTROL.ask(args, "/status"), args.output)
    if args.action == "rotate":
        replaced = CONTROL.order(args, "/rotate", {"what": args.what})["replaced"]
        told = f"{replaced} certificates replaced" if replaced else "the new root is trusted now and signs later"
        sys.stdout.write(f"{told}\n")
        return 0
    certifying.check(args)
    leading.check(args)
    # `process.run` turns it on again, and leaves out what is imported until then: to look through that took 70 ms.
    gc.disable()
    from eventmesh.base import log
    from eventmesh.cli.control.serving import serve
    from eventmesh.dataplane.process import run as run_process

    log.configure()
    return run_process(lambda: serve(args))
