"""Gateway API objects in the world of `ingress_world`: created, and waited for."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from eventmesh.kube.api import Object, Resource
from eventmesh.kube.resources import (
    GATEWAY,
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    NAMESPACE,
    REFERENCE_GRANT,
    SECRET,
)
from eventmesh.xds.control.gateway_api.values import CONTROLLER_NAME
from tests.component.ingress_world import SERVICE_PORT, World, world
from tests.waiting import WAIT_S

FILES = Path(__file__).parents[1] / "vectors" / "tls"
CLASS = "eventmesh"


@asynccontextmanager
async def gateway_api_world(directory: Path, free_port: Callable[[], int]) -> AsyncIterator[World]:
    """Run control and a gateway, with a class of Gateways."""
    async with world(directory, [free_port() for _ in range(3)]) as made:
        await gateway_class(made)
        yield made


def host(mesh: World) -> str:
    """Return a host that no other test has."""
    return f"{mesh.name('host')}.example.com"


async def suffix(mesh: World, name: str, path: str = "/", **headers: str) -> object:
    """Return which backend answers; the status when none does."""
    seen = await mesh.get(name, path, **headers)
    return seen.request.get("suffix", seen.status)


async def write(mesh: World, resource: Resource, name: str, body: Object, namespace: str = "default") -> Object:
    """Create an object, or bring what there is of that name to `body`."""
    metadata = {"name": name, **({"namespace": namespace} if resource.namespaced else {})}
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **body}
    where = namespace if resource.namespaced else None
    known = mesh.bench.informers.of(resource).get(name, namespace if resource.namespaced else "")
    if known is None:
        return await mesh.bench.api.create(resource, obj, where)
    stored = await mesh.bench.api.get(resource, name, where)
    return await mesh.bench.api.replace(resource, {**stored, **body})


async def until(mesh: World, resource: Resource, name: str, holds: Callable[[Object], bool], namespace: str) -> Object:
    """Return the object as soon as it `holds`."""
    changed = asyncio.Event()
    informer = mesh.bench.informers.of(resource)
    informer.add_handler(lambda old, new: changed.set())
    async with asyncio.timeout(WAIT_S):
        while (found := informer.get(name, namespace)) is None or not holds(found):
            changed.clear()
            await changed.wait()
    return found


def said(conditions: list[Object], generation: int, **wanted: str) -> bool:
    """True when the conditions of this generation have these reasons; a leading - says that one does not hold."""
    found = {
        one["type"]: ("" if one["status"] == "True" else "-") + one["reason"]
        for one in conditions
        if one["observedGeneration"] == generation
    }
    return all(found.get(type_) == reason for type_, reason in wanted.items())


async def gateway_class(mesh: World) -> None:
    await write(mesh, GATEWAY_CLASS, CLASS, {"spec": {"controllerName": CONTROLLER_NAME}})


async def namespace(mesh: World, name: str, **labels: str) -> str:
    obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    await mesh.bench.api.create(NAMESPACE, obj)
    return name


async def gateway(mesh: World, *listeners: Object, name: str = "", **wanted: str) -> str:
    """Create a Gateway, or change it; return its name once it says what is wanted, or that it is programmed."""
    name = name or mesh.name("gateway")
    body = {"spec": {"gatewayClassName": CLASS, "listeners": list(listeners) or [listener("http")]}}
    written = await write(mesh, GATEWAY, name, body)
    generation, reasons = written["metadata"]["generation"], wanted or {"Programmed": "Programmed"}

    def holds(obj: Object) -> bool:
        return said((obj.get("status") or {}).get("conditions") or [], generation, **reasons)

    await until(mesh, GATEWAY, name, holds, "default")
    return name


def listener(name: str, port: int = 80, protocol: str = "HTTP", **more: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **more}


async def route(
    mesh: World,
    parent: str | Object,
    *rules: Object,
    hosts: list[str] | None = None,
    name: str = "",
    kind: Resource = HTTP_ROUTE,
    namespace: str = "default",
    **wanted: str,
) -> str:
    """Create a route, or change it; return its name once its first parent says what is wanted, or programmed."""
    name = name or mesh.name("route")
    ref = {"name": parent} if isinstance(parent, str) else parent
    spec = {"parentRefs": [ref], "rules": list(rules), **({"hostnames": hosts} if hosts else {})}
    written = await write(mesh, kind, name, {"spec": spec}, namespace)
    generation, reasons = written["metadata"]["generation"], wanted or {"Programmed": "Programmed"}

    def holds(obj: Object) -> bool:
        parents = (obj.get("status") or {}).get("parents") or []
        return bool(parents) and said(parents[0]["conditions"], generation, **reasons)

    await until(mesh, kind, name, holds, namespace)
    return name


async def grpc_route(mesh: World, parent: str, *rules: Object, hosts: list[str]) -> str:
    return await route(mesh, parent, *rules, hosts=hosts, kind=GRPC_ROUTE)


def to(*services: str, weights: tuple[int, ...] = (), **rule: Any) -> Object:
    """Return a rule that leads to Services."""
    refs = [{"name": name, "port": SERVICE_PORT} for name in services]
    for ref, weight in zip(refs, weights, strict=False):
        ref["weight"] = weight
    return {"backendRefs": refs, **rule}


def at(value: str, kind: str = "PathPrefix", **more: Any) -> Object:
    """Return a match of a path."""
    return {"path": {"type": kind, "value": value}, **more}


async def grant(mesh: World, source: str, target: str) -> None:
    """Let HTTPRoutes of the namespace `source` refer to Services of `target`."""
    spec = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": source}],
        "to": [{"group": "", "kind": "Service"}],
    }
    await write(mesh, REFERENCE_GRANT, "routes", {"spec": spec}, target)


async def certificate(mesh: World, **data: bytes) -> str:
    """Create a Secret with the certificate of the vectors, or with `data`; return its name."""
    name = mesh.name("secret")
    shown = data or {"crt": (FILES / "server.pem").read_bytes(), "key": (FILES / "server.key").read_bytes()}
    encoded = {f"tls.{word}": base64.b64encode(content).decode() for word, content in shown.items()}
    await write(mesh, SECRET, name, {"type": "kubernetes.io/tls", "data": encoded})
    return name
