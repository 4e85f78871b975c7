"""`eventmesh status`: what runs: processes, functions, brokers and data planes, a table each.

Of a mesh of this machine everything is told; of a cluster (`--kubeconfig`) its objects, and its data planes and
backlogs where the kubeconfig names the admin ports of control and activator.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from eventmesh import __version__
from eventmesh.base.errors import UnavailableError, UsageError
from eventmesh.cli import connection, local_mesh, output
from eventmesh.cli.admin_port import ACTIVATOR, CONTROL, AdminPort
from eventmesh.kube.api import Api, Object
from eventmesh.kube.objects import key_of, labels_of
from eventmesh.kube.resources import BROKER, KSERVICE, POD, TRIGGER
from eventmesh.kube.status import condition
from eventmesh.kube.trigger_brokers import broker_of

Row = dict[str, Any]

_GAUGE: Final = re.compile(
    r'(eventmesh_trigger_backlog|eventmesh_trigger_dead_letters)\{namespace="(.*?)",trigger="(.*?)"\} (\d+)'
)
_TIMEOUT_S: Final = 10.0
_SERVICE: Final = "serving.knative.dev/service"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    output.add_flag(parser)
    connection.add_flags(parser, namespace=False)
    parser.set_defaults(admin="")


def run(args: argparse.Namespace) -> int:
    """Print what runs; raises UnavailableError when nothing does."""
    told: dict[str, Any] = {}
    if args.kubeconfig is None and (found := _local(args)) is not None:
        told = found
        args.kubeconfig = Path(told["mesh"]["kubeconfig"])
    told |= asyncio.run(_objects(args))
    told["dataPlanes"] = _data_planes(args)
    if args.output != "table":
        output.document(told, args.output)
        return 0
    _print(told)
    return 0


def _local(args: argparse.Namespace) -> dict[str, Any] | None:
    """Return the mesh of the data directory and its processes; None: $KUBECONFIG names one, and none runs there."""
    from eventmesh.cluster.running import processes

    try:
        found = local_mesh.running(args)
    except UnavailableError:
        if connection.is_named_by_environment():
            return None
        raise
    mesh = {
        "dataDir": str(args.data_dir.absolute()),
        "pid": found.main,
        "version": found.version,
        "since": found.since,
        "kubeconfig": found.kubeconfig,
        "addresses": dict(found.addresses or {}),
    }
    listed = [
        {
            "pid": process.pid,
            "name": "eventmesh up" if process.pid == found.main else process.name,
            "memoryBytes": process.usage.memory_bytes,
            "cpuSeconds": round(process.usage.cpu_s, 2),
        }
        for process in processes(found.main)
    ]
    return {"mesh": mesh, "processes": listed}


async def _objects(args: argparse.Namespace) -> dict[str, Any]:
    async with connection.open_api(connection.kubeconfig_of(args)) as api:
        functions, pods, brokers, triggers = await asyncio.gather(
            *(_items(api, resource) for resource in (KSERVICE, POD, BROKER, TRIGGER))
        )
    return {"functions": _functions(functions, pods), "brokers": _brokers(brokers, triggers, _gauges(args))}


async def _items(api: Api, resource: Any) -> Sequence[Object]:
    return (await api.list(resource)).items


def _functions(functions: Sequence[Object], pods: Sequence[Object]) -> list[Row]:
    running: dict[tuple[str, str], int] = {}
    for pod in pods:
        key = (pod["metadata"]["namespace"], labels_of(pod).get(_SERVICE, ""))
        running[key] = running.get(key, 0) + 1
    return [
        {
            **_named(obj),
            "revision": (obj.get("status") or {}).get("latestReadyRevisionName", ""),
            "pods": running.get((obj["metadata"]["namespace"], obj["metadata"]["name"]), 0),
            "url": (obj.get("status") or {}).get("url", ""),
        }
        for obj in functions
    ]


def _brokers(
    brokers: Sequence[Object], triggers: Sequence[Object], gauges: Mapping[tuple[str, str, str], int] | None
) -> list[Row]:
    rows = []
    for obj in brokers:
        row = _named(obj)
        mine = [key_of(trigger) for trigger in triggers if broker_of(trigger) == key_of(obj)]
        row["triggers"] = len(mine)
        for field, family in (("waiting", "eventmesh_trigger_backlog"), ("dead", "eventmesh_trigger_dead_letters")):
            known = None if gauges is None else sum(gauges.get((family, *key), 0) for key in mine)
            row[field] = known
        rows.append(row)
    return rows


def _named(obj: Object) -> Row:
    ready = condition(obj, "Ready") or {}
    row = {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "ready": ready.get("status", "Unknown"),
    }
    return row | ({"reason": ready["reason"]} if ready.get("reason") else {})


def _gauges(args: argparse.Namespace) -> dict[tuple[str, str, str], int] | None:
    """Return what waits for each trigger; None when the activator is not to be asked from here."""
    address = _address(args, ACTIVATOR)
    if not address:
        return None
    asked = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        asked.request("GET", "/stats/prometheus")
        page = asked.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        # It may be starting again; the rest is worth telling.
        return None
    finally:
        asked.close()
    return {(family, namespace, name): int(value) for family, namespace, name, value in _GAUGE.findall(page)}


def _data_planes(args: argparse.Namespace) -> list[Row] | None:
    """Return control's clients; None when control is not to be asked from here."""
    if not _address(args, CONTROL):
        return None
    try:
        clients = CONTROL.ask(args, "/status")["clients"]
    except UnavailableError:
        return None
    return [
        {
            "node": client["node"],
            "role": client["role"],
            "namespace": client["namespace"],
            "state": _worst([known["state"] for known in client["types"].values()]),
            "connectedSeconds": client["connectedSeconds"],
        }
        for client in clients
    ]


def _worst(states: Sequence[str]) -> str:
    return next((state for state in ("ERROR", "STALE", "SYNCED") if state in states), "NOT_ASKED")


def _address(args: argparse.Namespace, port: AdminPort) -> str:
    try:
        return port.address_of(args)
    except UsageError:
        return ""


def _print(told: Mapping[str, Any]) -> None:
    mesh = told.get("mesh")
    python = platform.python_version()
    sys.stdout.write(f"eventmesh {mesh['version'] if mesh else __version__}, Python {python}")
    if mesh:
        sys.stdout.write(f"; process {mesh['pid']} since {mesh['since']}, state in {mesh['dataDir']}")
    sys.stdout.write("\n")
    if "processes" in told:
        running = [
            (row["name"], row["pid"], f"{row['memoryBytes'] / 2**20:.1f}", f"{row['cpuSeconds']:.2f}")
            for row in told["processes"]
        ]
        _section(("PROCESS", "PID", "OWN MIB", "CPU S"), running, "")
    _section(
        ("FUNCTION", "NAMESPACE", "READY", "PODS", "REVISION", "URL"),
        [
            (row["name"], row["namespace"], _readiness(row), row["pods"], row["revision"], row["url"])
            for row in told["functions"]
        ],
        "no functions",
    )
    _section(
        ("BROKER", "NAMESPACE", "READY", "TRIGGERS", "WAITING", "DEAD"),
        [
            (
                row["name"],
                row["namespace"],
                _readiness(row),
                row["triggers"],
                _known(row["waiting"]),
                _known(row["dead"]),
            )
            for row in told["brokers"]
        ],
        "no brokers",
    )
    planes = told["dataPlanes"]
    rows = [
        (row["node"], row["role"], row["namespace"] or "-", row["state"], f"{row['connectedSeconds']:.0f}s")
        for row in planes or ()
    ]
    nobody = "no data planes" if planes is not None else "data planes: control cannot be asked from here"
    _section(("DATA PLANE", "ROLE", "NAMESPACE", "STATE", "CONNECTED"), rows, nobody)


def _section(heads: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> None:
    sys.stdout.write("\n")
    if rows:
        output.table(heads, rows)
    else:
        sys.stdout.write(f"{nothing}\n")


def _readiness(row: Row) -> str:
    return f"{row['ready']} ({row['reason']})" if "reason" in row else str(row["ready"])


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)
