"""`eventmesh control`: the control component by itself, beside any Kubernetes API; and bootstraps for its clients."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventmesh.base.errors import UsageError
from eventmesh.cli import output
from eventmesh.cli.admin_port import CONTROL

if TYPE_CHECKING:
    from eventmesh.xds.control.services import Settings

ROLES = ("gateway", "activator", "sidecar", "envoy", "grpc")


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
        "--admin-address", default="127.0.0.1:18001", metavar="HOST:PORT", help="admin pages, /metrics (%(default)s)"
    )
    actions = parser.add_subparsers(metavar="ACTION", dest="action")
    shown = actions.add_parser("bootstrap", help="print the bootstrap of a client of control")
    shown.add_argument("--for", dest="role", choices=ROLES, required=True, help="what the client is")
    shown.add_argument("--id", default="", help="its node id, unique in the mesh (its role)")
    shown.add_argument("--ads", default="127.0.0.1:18000", metavar="HOST:PORT", help="where control is (%(default)s)")
    shown.add_argument("--admin", default="127.0.0.1:9901", metavar="HOST:PORT", help="its admin page (%(default)s)")
    shown.add_argument("--namespace", default="", help="namespace of a sidecar: it is told of that one alone (all)")
    status = actions.add_parser("status", help="show who is connected, on which versions, and who refused what")
    output.add_flag(status)
    CONTROL.add_flags(status)
    rotate = actions.add_parser("rotate", help="replace certificates at once, or begin to move to a new root")
    rotate.add_argument("what", choices=("certificates", "root"), help="what to replace")
    CONTROL.add_flags(rotate)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, or print a bootstrap. Raises MeshError."""
    if args.action == "bootstrap":
        made = client_bootstrap(args.role, args.id or args.role, args.ads, args.admin, args.namespace)
        sys.stdout.write(json.dumps(made, indent=2))
        sys.stdout.write("\n")
        return 0
    if args.action == "status":
        return show_status(CONTROL.ask(args, "/status"), args.output)
    if args.action == "rotate":
        replaced = CONTROL.order(args, "/rotate", {"what": args.what})["replaced"]
        told = f"{replaced} certificates replaced" if replaced else "the new root is trusted now and signs later"
        sys.stdout.write(f"{told}\n")
        return 0
    import uvloop

    from eventmesh.base import log

    log.configure()
    return uvloop.run(_serve(args))


def show_status(found: Mapping[str, Any], form: str) -> int:
    """Print what control says of its clients; return the exit code."""
    if form != "table":
        output.document(found, form)
        return 0
    rows = []
    refusals = []
    for client in found["clients"]:
        types = client["types"]
        rows.append(
            (
                client["node"],
                client["role"],
                client["namespace"] or "-",
                client["identity"].removeprefix("spiffe://") or "-",
                client["certificateExpires"] or "-",
                *(_progress(types[short]) for short in types),
                f"{client['connectedSeconds']:.0f}s",
            )
        )
        refusals += [
            f"{client['node']} refused {short} {', '.join(known['refused'])}: {known['reason']}"
            for short, known in types.items()
            if "refused" in known
        ]
    heads = [short.upper() for short in (found["clients"][0]["types"] if found["clients"] else ())]
    if rows:
        output.table(("NODE", "ROLE", "NAMESPACE", "IDENTITY", "EXPIRES", *heads, "CONNECTED"), rows)
    else:
        sys.stdout.write("nobody is connected\n")
    for line in refusals:
        sys.stdout.write(f"{line}\n")
    waiting = found["awaited"]
    sys.stdout.write(f"generation {found['generation']}; objects awaiting acknowledgement: {waiting}\n")
    return 0


def _progress(known: Mapping[str, Any]) -> str:
    if known["state"] == "NOT_ASKED":
        return "-"
    return f"{known['state']} {known['version'][:8] or 'none'} ({known['resources']})"


def client_bootstrap(role: str, node_id: str, ads: str, admin: str, namespace: str = "") -> dict[str, Any]:
    """Return what a client of that role starts with: Envoy's form, or gRPC's. Raises UsageError for a bad address."""
    host, _ = _address("--ads", ads)
    _address("--admin", admin)
    if role == "grpc":
        server = {"server_uri": ads, "channel_creds": [{"type": "insecure"}], "server_features": ["xds_v3"]}
        return {"xds_servers": [server], "node": {"id": node_id}}
    from eventmesh.cluster.bootstrap import bootstrap

    metadata = {"namespace": namespace} if namespace else {}
    made = bootstrap("gateway" if role == "envoy" else role, node_id, admin, ads, **metadata)
    # Envoy's node is 60 KiB of extension names, and it would be sent with every request.
    made["dynamic_resources"]["ads_config"]["set_node_on_first_message_only"] = True
    if not _is_ip(host):
        made["static_resources"]["clusters"][0]["type"] = "STRICT_DNS"
    return made


async def _serve(args: argparse.Namespace) -> int:
    from eventmesh.base.clock import SystemClock
    from eventmesh.kube.client import HttpApi
    from eventmesh.kube.config import load_config
    from eventmesh.kube.informer import Informers
    from eventmesh.xds.control.app import Control

    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    clock = SystemClock()
    host, _ = _address("--address", args.address)
    admin_host, admin_port = _address("--admin-address", args.admin_address)
    settings = _settings(args)
    api = HttpApi(await load_config(args.kubeconfig), "eventmesh-control")
    informers = Informers(api, clock)
    control = Control(api, informers, clock, settings)
    try:
        await informers.start()
        port = await control.start(args.address)
        await control.start_admin(admin_host, admin_port)
        sys.stdout.write(f"eventmesh control: ADS on {host}:{port}\n")
        sys.stdout.flush()
        await asked.wait()
    finally:
        await control.stop()
        await informers.stop()
        await api.close()
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    from eventmesh.xds.control.services import Settings

    plain = Settings()
    activators = tuple(_address("--activator", text) for text in args.activator or ())
    brokers = tuple(_address("--broker", text) for text in args.broker or ())
    return Settings(
        public=_address("--gateway", args.gateway),
        secure=_address("--gateway-tls", args.gateway_tls),
        local=_address("--local", args.local),
        activators=activators,
        activator=activators[0] if activators else plain.activator,
        brokers=brokers or plain.brokers,
        domain=args.domain,
    )


def _address(flag: str, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) < 65_536:
        raise UsageError(f"{flag}: {text!r} is no address; write HOST:PORT, such as 127.0.0.1:18000")
    return host.strip("[]"), int(port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
