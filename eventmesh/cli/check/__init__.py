"""`eventmesh check`: what is wrong with this machine, or with a cluster, and how to mend it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from eventmesh.cli import data_dir, output
from eventmesh.cli.check import cluster, machine, tools
from eventmesh.cli.check.findings import Finding, Standing

_MARKS = {Standing.OK: "ok  ", Standing.WARNING: "warn", Standing.FAILURE: "FAIL"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    data_dir.add_flag(parser)
    parser.add_argument(
        "--port", type=int, default=6443, metavar="N", help="of the API that `up` would get (%(default)s)"
    )
    parser.add_argument(
        "--gateway-port", type=int, default=8080, metavar="N", help="of the gateway that `up` would get (%(default)s)"
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="look at that cluster, and not at whether this machine can run one",
    )
    output.add_flag(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found; return 1 when something will not work, 0 when all does, be it less well than it could."""
    findings = list(tools.findings())
    if args.kubeconfig is not None:
        findings += asyncio.run(cluster.findings(args.kubeconfig))
    else:
        findings += machine.findings(args.data_dir.absolute(), args.port, args.gateway_port)
    if args.output == "table":
        _print(findings)
    else:
        output.document([_document(finding) for finding in findings], args.output)
    return 1 if any(finding.standing is Standing.FAILURE for finding in findings) else 0


def _document(finding: Finding) -> dict[str, str]:
    told = {"subject": finding.subject, "standing": finding.standing.value, "found": finding.found}
    return told | ({"mend": finding.mend} if finding.mend else {})


def _print(findings: Iterable[Finding]) -> None:
    widest = max(len(finding.subject) for finding in findings)
    for finding in findings:
        sys.stdout.write(f"{_MARKS[finding.standing]}  {finding.subject.ljust(widest)}  {finding.found}\n")
        if finding.mend:
            sys.stdout.write(f"      {'':{widest}}  -> {finding.mend}\n")
