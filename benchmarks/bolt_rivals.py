"""What Bolt through the sidecar is held against: a bare proxy in C, MOSN, and proxies that pass its bytes on unread."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import yaml

from benchmarks.bolt import SERVICE
from benchmarks.contenders import compiled, find
from benchmarks.measure import PROXY_CPU, Server, free_port
from tests.peers import mosn

FLOOR, HAPROXY, ENVOY, MOSN = "bare C", "HAProxy, TCP", "Envoy, TCP", "MOSN"


def at_hand() -> tuple[str, ...]:
    """Return the rivals that can be started here."""
    return (FLOOR, *((MOSN,) if mosn.found() else ()), HAPROXY, ENVOY)


def start(name: str, backend_port: int) -> tuple[int, Server]:
    """Start the rival `name` before a server of Bolt; return its port."""
    directory, port = Path(mkdtemp(prefix="bench-bolt-")), free_port()
    if name == FLOOR:
        argv = [compiled("bolt", directory), str(port), str(backend_port)]
    elif name == HAPROXY:
        config = directory / "haproxy.cfg"
        config.write_text(_haproxy(port, backend_port))
        argv = [find("haproxy"), "-db", "-f", str(config)]
    elif name == MOSN:
        config = mosn.configuration(directory, port, backend_port, SERVICE)
        argv = ["env", "GOMAXPROCS=1", find("mosn"), "start", "--config", str(config)]
    else:
        config = directory / "envoy.yaml"
        config.write_text(_envoy(port, backend_port))
        argv = [find("envoy"), "-c", str(config), "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
    server = Server(argv, directory, cpus={PROXY_CPU})
    server.wait_for(port)
    return port, server


def _haproxy(port: int, backend_port: int) -> str:
    return f"""
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend bolt
  bind 127.0.0.1:{port}
  default_backend server
backend server
  server one 127.0.0.1:{backend_port}
"""


def _envoy(port: int, backend_port: int) -> str:
    def address(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "bolt",
        "cluster": "server",
    }
    chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}
    endpoint = {"endpoint": {"address": address(backend_port)}}
    cluster = {
        "name": "server",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {"name": "bolt", "address": address(port), "filter_chains": [chain]}
    return yaml.safe_dump({"static_resources": {"listeners": [listener], "clusters": [cluster]}}, sort_keys=False)
