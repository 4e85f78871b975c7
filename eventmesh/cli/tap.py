"""`eventmesh tap TARGET`: exchanges as they pass through one data plane, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from eventmesh.base.errors import UsageError
from eventmesh.cli import connection
from eventmesh.cli.admin_port import ACTIVATOR, GATEWAY, AdminPort
from eventmesh.kube.client import HttpApi
from eventmesh.kube.resources import POD

SIDECAR_ADMIN_PORT: Final = 15000
"""Where sidecars of a local mesh have their admin port, at the pod's address."""

SERVICE_LABEL = "serving.knative.dev/service"
FILTERS = ("method", "host", "path", "status", "header")
"""What exchanges are chosen by; `path` is how it begins, `status` a number or a class such as 5xx."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="gateway, activator, a Knative Service or a pod (its sidecar), or the HOST:PORT of an admin port",
    )
    parser.add_argument(
        "--filter",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="method, host, path (how it begins), status (503 or 5xx) or header (NAME=VALUE); several times",
    )
    parser.add_argument("--percent", type=float, default=100.0, metavar="P", help="share that is drawn (%(default)s)")
    parser.add_argument("--body", type=int, default=0, metavar="BYTES", help="show so much of each body, up to 4096")
    parser.add_argument("--max", type=int, default=None, metavar="N", help="end after so many exchanges, up to 10000")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the headers too")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="json: one object a line")
    connection.add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line for each exchange. Raises UsageError and UnavailableError."""
    parameters = terms(args)
    port = _port(args)
    session = ""
    while True:
        news = port.ask(args, "/tap", {**parameters, "session": session} if not session else {"session": session})
        session = news["session"]
        for row in news["rows"]:
            sys.stdout.writelines(f"{line}\n" for line in lines(row, args))
        if news["lost"]:
            sys.stdout.write(f"({news['lost']} exchanges more than could be kept)\n")
        sys.stdout.flush()
        if news["over"]:
            return 0


def terms(args: argparse.Namespace) -> dict[str, object]:
    """Return the parameters of the first question; raises UsageError for an unknown filter."""
    found: dict[str, Any] = {"percent": args.percent, "body": args.body or None, "max": args.max, "header": []}
    for text in args.filter:
        name, equals, value = text.partition("=")
        if name not in FILTERS or not equals:
            raise UsageError(f"--filter {text!r}: write KEY=VALUE with one of {', '.join(FILTERS)}")
        if name == "header":
            found["header"].append(value)
        else:
            found[name] = value
    return found


def _port(args: argparse.Namespace) -> AdminPort:
    """Return where to ask; the address stands in `args.admin` unless the kubeconfig says it."""
    args.admin = ""
    match args.target:
        case "gateway":
            return GATEWAY
        case "activator":
            return ACTIVATOR
        case target if ":" in target:
            args.admin = target
            return AdminPort(target, "")
    args.admin = connection.run(args, lambda api: _sidecar(api, args.target, args.namespace))
    return AdminPort(f"sidecar of {args.target}", "")


async def _sidecar(api: HttpApi, name: str, namespace: str) -> str:
    pods = (await api.list(POD, namespace, label_selector=f"{SERVICE_LABEL}={name}")).items
    pods = pods or (await api.list(POD, namespace, field_selector=f"metadata.name={name}")).items
    running = [pod for pod in pods if pod.get("status", {}).get("podIP")]
    if not running:
        raise UsageError(f"no pod {name} and no pod of a service {name}: the function may be asleep")
    if len(running) > 1:
        names = ", ".join(sorted(pod["metadata"]["name"] for pod in running))
        raise UsageError(f"{name} has {len(running)} pods: name one of {names}")
    return f"{running[0]['status']['podIP']}:{SIDECAR_ADMIN_PORT}"


def lines(row: Mapping[str, Any], args: argparse.Namespace) -> Iterator[str]:
    """Yield what is shown of one exchange."""
    if args.output == "json":
        yield json.dumps(row, ensure_ascii=False)
        return
    at = datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    status = row["status"] or "-"
    flags = "" if row["flags"] == "-" else f" {row['flags']}"
    where = f"{row['host']}{row['path']}" if row["path"].startswith("/") else f"{row['host']} {row['path']}"
    leads_to = f" -> {row['upstream'] or '?'} ({row['cluster']})" if row["cluster"] else ""
    yield (
        f"{at}Z  {row['method']} {where}  {status}{flags}  {row['took_s'] * 1000:.1f} ms  {row['protocol']}"
        f"  {row['peer']}{leads_to}"
    )
    for mark, part in ((">", "request"), ("<", "response")):
        if args.verbose:
            yield from (f"  {mark} {name}: {value}" for name, value in row[f"{part}_headers"])
        if row[f"{part}_body"]:
            yield f"  {mark} {row[f'{part}_body'].encode('latin-1')!r}"
