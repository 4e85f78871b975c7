"""`eventmesh routes TARGET`: what a data plane would do with a request, match by match."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from eventmesh.base.errors import UsageError
from eventmesh.cli import output
from eventmesh.cli.admin_port import CONTROL

ENTRANCES = ("gateway", "gateway-local", "sidecar", "activator")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("target", metavar="TARGET", help="HOST[/PATH] or http://HOST/PATH")
    parser.add_argument("-X", "--method", default="GET", help="(%(default)s)")
    parser.add_argument(
        "-H", "--header", action="append", default=[], metavar="NAME=VALUE", help="a request header; several times"
    )
    parser.add_argument(
        "--as",
        dest="entrance",
        choices=ENTRANCES,
        default="gateway",
        help="where the request enters the mesh; a sidecar is one of the namespace -n (%(default)s)",
    )
    output.add_flag(parser)
    CONTROL.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print the way of the request. Returns 0 when it is forwarded or answered by a route, 1 when there is none."""
    host, path = split_target(args.target)
    asked = {"host": host, "path": path, "method": args.method, "header": args.header, "as": args.entrance}
    found = CONTROL.ask(args, "/routes", {**asked, "namespace": args.namespace})
    if args.output != "table":
        output.document(found, args.output)
    else:
        for hop in found["hops"]:
            sys.stdout.writelines(f"{line}\n" for line in _lines(hop))
    return 0 if "forward" in found["hops"][-1]["outcome"] or "redirect" in found["hops"][-1]["outcome"] else 1


def split_target(target: str) -> tuple[str, str]:
    """Return host and path (with its query) of a target; raises UsageError when it has no host."""
    parts = urlsplit(target if "://" in target else f"http://{target}")
    if not parts.netloc:
        raise UsageError(f"TARGET {target!r} names no host; write HOST, HOST/PATH or http://HOST/PATH")
    return parts.netloc, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _lines(hop: Mapping[str, Any]) -> Iterator[str]:
    where = f"{hop['at']} of {hop['namespace']}" if hop["namespace"] else hop["at"]
    yield f"{where}: route table {hop['table']}, version {hop['version'][:8]}"
    if hop["virtualHost"] is not None:
        yield f"  virtual host {hop['virtualHost']['name']} ({', '.join(hop['virtualHost']['domains'])})"
    for route in hop["routes"]:
        verdicts = ", ".join(f"{one['what']}: {'yes' if one['holds'] else 'no'}" for one in route["conditions"])
        yield f"  route {route['number']} {'TAKEN ' if route['taken'] else 'passed'}  {verdicts}"
    yield from (f"  {line}" for line in _outcome(hop["outcome"]))


def _outcome(outcome: Mapping[str, Any]) -> Iterator[str]:
    if "redirect" in outcome:
        changes = " ".join(f"{key}={value}" for key, value in outcome["redirect"].items())
        yield f"redirect {outcome['status']} {changes}"
        return
    if "forward" not in outcome:
        yield f"{outcome.get('status', '')} {outcome['why']}".strip()
        return
    for share in outcome["forward"]:
        endpoints = share["endpoints"]
        leads_to = "no such cluster: 503" if endpoints is None else ", ".join(endpoints) or "no endpoint: 503"
        yield f"-> {share['percent']:g} % {share['cluster']}  [{leads_to}]"
        yield from (f"   set {name}: {value}" for name, value in share["requestHeaders"].items())
    yield from (f"set {name}: {value}" for name, value in outcome["requestHeaders"].items())
    for name, key in (("host", "hostRewrite"), ("path prefix", "prefixRewrite")):
        if outcome[key]:
            yield f"{name} becomes {outcome[key]}"
    timeout = outcome["timeoutSeconds"]
    yield f"timeout {f'{timeout:g} s' if timeout else 'none'}, retries {outcome['retries']}"
