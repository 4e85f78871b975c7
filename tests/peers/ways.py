"""The four ways from caller to service: straight, with a sidecar beside either of them, and with one beside each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.component.processes import DataPlaneProcess, data_plane

_OURS = "type.googleapis.com/eventmesh.extensions.filters.network"
_ENVOYS = "type.googleapis.com/envoy.extensions"
DECLARATIONS = Path(__file__).parents[2] / "docs" / "protocols" / "declarations"


@dataclass(frozen=True, slots=True)
class Wire:
    """What caller and service speak, in the words of a bootstrap."""

    filter: Mapping[str, Any]
    """The network filter of a listener, but for its routes."""
    cluster: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    """Where sidecars listen."""


def _http(*, host: str = "127.0.0.1", **cluster: Any) -> Wire:
    router = {"@type": f"{_ENVOYS}.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{_ENVOYS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return Wire(manager, cluster, host)


def _frames(kind: str, protocol: Mapping[str, str], *, host: str = "127.0.0.1", **fields: str) -> Wire:
    proxy = {"@type": f"{_OURS}.{kind}", **fields}
    return Wire(proxy, {"metadata": {"filter_metadata": {"eventmesh": protocol}}}, host)


HTTP1 = _http()
HTTP2 = _http(http2_protocol_options={})
TRIPLE = _http(host="0.0.0.0", http2_protocol_options={})
BOLT = _frames("bolt_proxy.v3.BoltProxy", {"protocol": "bolt"})
DUBBO = _frames("dubbo_proxy.v3.DubboProxy", {"protocol": "dubbo"}, host="0.0.0.0")
"""Java's Dubbo takes any loopback address for the machine's own, as with Triple."""


def declared(name: str) -> Wire:
    """Return the wire of a declaration that the documents show."""
    file = str(DECLARATIONS / f"{name}.yaml")
    return _frames("framed_proxy.v3.FramedProxy", {"protocol": "framed", "declaration": name}, declaration_file=file)


def bootstrap(path: Path, wire: Wire, ports: Mapping[str, int]) -> Path:
    """Write a bootstrap with a listener for each name, that leads everything to the server at its port."""
    listeners = [_listener(name, wire, [_route(name)]) for name in ports]
    return _written(path, listeners, [_cluster(name, wire, port) for name, port in ports.items()])


def routed(
    path: Path, wire: Wire, ports: Mapping[str, int], when: Mapping[str, Mapping[str, str]], **route: str
) -> Path:
    """Write a bootstrap with the one listener `service`, that leads to each name's port what has the headers of `when`.

    `route` are more terms of every route: "timeout", and "prefix" of the path.
    """
    routes = [_route(name, when[name], **route) for name in ports]
    clusters = [_cluster(name, wire, port) for name, port in ports.items()]
    return _written(path, [_listener("service", wire, routes)], clusters)


def _route(cluster: str, headers: Mapping[str, str] | None = None, *, prefix: str = "/", timeout: str = "20s") -> Any:
    conditions = [{"name": name, "string_match": {"exact": value}} for name, value in (headers or {}).items()]
    match = {"prefix": prefix, "headers": conditions}
    return {"match": match, "route": {"cluster": cluster, "timeout": timeout}}


def _address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _listener(name: str, wire: Wire, routes: list[Any]) -> dict[str, Any]:
    table = {"name": name, "virtual_hosts": [{"name": "any", "domains": ["*"], "routes": routes}]}
    typed = {**wire.filter, "stat_prefix": name, "route_config": table}
    chains = [{"filters": [{"name": "wire", "typed_config": typed}]}]
    return {"name": name, "address": _address(0, wire.host), "filter_chains": chains}


def _cluster(name: str, wire: Wire, port: int) -> dict[str, Any]:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **wire.cluster}


def _written(path: Path, listeners: list[Any], clusters: list[Any]) -> Path:
    resources = {"listeners": listeners, "clusters": clusters}
    tree = {"node": {"id": "peer"}, "admin": {"address": _address(0)}, "static_resources": resources}
    path.write_text(json.dumps(tree))
    return path


def address_of(sidecar: DataPlaneProcess, listener: str = "service") -> str:
    """Return where the machine dials a listener of a sidecar."""
    return f"127.0.0.1:{_port(sidecar, listener)}"


def _port(sidecar: DataPlaneProcess, listener: str) -> int:
    return int(sidecar.addresses[listener].rpartition(":")[2])


@asynccontextmanager
async def ways(directory: Path, wire: Wire, port: int) -> AsyncIterator[dict[str, str]]:
    """Give where to call a service on `port`: itself, through a sidecar at either side, and through both."""
    async with data_plane("sidecar", bootstrap(directory / "server.json", wire, {"service": port})) as server:
        inner = _port(server, "service")
        near = bootstrap(directory / "client.json", wire, {"alone": port, "both": inner})
        async with data_plane("sidecar", near) as client:
            ends = {"none": port, "server": inner, "client": _port(client, "alone"), "both": _port(client, "both")}
            yield {way: f"127.0.0.1:{end}" for way, end in ends.items()}
