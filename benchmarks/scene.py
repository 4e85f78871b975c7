"""The bench scene: 20 hosts x 3 routes, one header edit the backend checks, access log and metrics on.

One Envoy v3 bootstrap drives both Envoy and eventmesh; HAProxy and nginx get the same rules in their own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


def host_names(count: int) -> tuple[str, ...]:
    """Return the first `count` hosts."""
    return tuple(f"host{n}.bench.test" for n in range(count))


HOSTS = host_names(20)
PATHS = ("/alpha", "/beta", "/gamma")
EDIT = ("x-mesh-edit", "on")
BODY_BYTES = 1024
MAX_CONFIGURED_BODY = 2048
"""Longer bodies do not fit a parameter of nginx's configuration; they are a file."""
HEADERS = {
    "user-agent": "bench/1.0 (load)",
    "accept": "application/json",
    "accept-language": "en-GB,en;q=0.7",
    "x-tenant": "tenant-4711",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "cookie": "session=0123456789abcdef0123456789abcdef",
}
"""Six request headers beside Host."""


CERTIFICATES = Path(__file__).parents[1] / "tests" / "vectors" / "tls"


@dataclass(frozen=True, slots=True)
class Scene:
    """Ports and files of one contender's run."""

    directory: Path
    listen_port: int
    backend_port: int
    admin_port: int
    http2: bool
    tls: bool = False
    """TLS in front, mTLS behind."""
    hosts: tuple[str, ...] = HOSTS

    @property
    def access_log(self) -> Path:
        """Return where the contender writes its access log."""
        return self.directory / "access.log"


def envoy_bootstrap(scene: Scene) -> str:
    """Return the bootstrap (YAML) for Envoy and for `eventmesh sidecar`."""
    hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager = {
        "@type": hcm,
        "stat_prefix": "bench",
        "codec_type": "AUTO",
        "route_config": {"name": "bench", "virtual_hosts": [_virtual_host(host) for host in scene.hosts]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(scene.access_log),
                },
            }
        ],
    }
    listener: dict[str, Any] = {
        "name": "bench",
        "address": _address(scene.listen_port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    if scene.tls:
        listener["filter_chains"] = [{**listener["filter_chains"][0], "transport_socket": _tls("Downstream", "server")}]
    document = {
        "node": {"id": "bench", "cluster": "bench"},
        "admin": {"address": _address(scene.admin_port)},
        "static_resources": {"listeners": [listener], "clusters": [_cluster(scene)]},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _tls(direction: str, shown: str) -> dict[str, object]:
    common: dict[str, object] = {
        "tls_certificates": [
            {
                "certificate_chain": {"filename": f"{CERTIFICATES}/{shown}.pem"},
                "private_key": {"filename": f"{CERTIFICATES}/{shown}.key"},
            }
        ]
    }
    if direction == "Upstream":
        common["validation_context"] = {"trusted_ca": {"filename": f"{CERTIFICATES}/authority.pem"}}
    kind = f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{direction}TlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": common}}


def _virtual_host(host: str) -> dict[str, object]:
    name, value = EDIT
    edit = {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "name": host,
        "domains": [host],
        "routes": [
            {"match": {"prefix": path}, "route": {"cluster": "backend"}, "request_headers_to_add": [edit]}
            for path in PATHS
        ],
    }


def _cluster(scene: Scene) -> dict[str, object]:
    endpoint = {"endpoint": {"address": _address(scene.backend_port)}}
    cluster: dict[str, object] = {
        "name": "backend",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if scene.tls:
        cluster["transport_socket"] = _tls("Upstream", "caller")
    if scene.http2:
        options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return cluster


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def haproxy_config(scene: Scene) -> str:
    """Return HAProxy's configuration; the map holds host and path, as its users write large tables."""
    table = scene.directory / "routes.map"
    table.write_text("".join(f"{host}{path} backend\n" for host in HOSTS for path in PATHS))
    proto = " proto h2" if scene.http2 else ""
    front, behind = proto, proto
    if scene.tls:
        front += f" ssl crt {_joined(scene.directory, 'server')}"
        behind += f" ssl verify required ca-file {CERTIFICATES}/authority.pem crt {_joined(scene.directory, 'caller')}"
    name, value = EDIT
    return f"""
global
  nbthread 1
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend bench
  bind 127.0.0.1:{scene.listen_port}{front}
  http-request set-header {name} {value}
  use_backend %[base,map_beg({table},none)]
frontend stats
  bind 127.0.0.1:{scene.admin_port}
  http-request use-service prometheus-exporter if {{ path /metrics }}
  stats enable
backend backend
  http-reuse always
  server one 127.0.0.1:{scene.backend_port}{behind}
backend none
  http-request return status 404
"""


def _joined(directory: Path, name: str) -> Path:
    """Return a file with certificate and key in one, as HAProxy takes them."""
    path = directory / f"{name}.pem"
    path.write_text((CERTIFICATES / f"{name}.pem").read_text() + (CERTIFICATES / f"{name}.key").read_text())
    return path


def _nginx_tls(shown: str, prefix: str = "") -> str:
    files = {"certificate": f"{CERTIFICATES}/{shown}.pem", "certificate_key": f"{CERTIFICATES}/{shown}.key"}
    return "".join(f" {prefix}ssl_{name} {path};" for name, path in files.items())


def nginx_config(scene: Scene) -> str:
    """Return nginx's configuration as a proxy (it speaks HTTP/1.1 upstream, always)."""
    name, value = EDIT
    http2 = " http2" if scene.http2 else ""
    scheme, front, behind = "http", "", ""
    if scene.tls:
        http2 += " ssl"
        scheme, front, behind = "https", _nginx_tls("server"), _nginx_tls("caller", "proxy_")
        behind += f" proxy_ssl_trusted_certificate {CERTIFICATES}/authority.pem; proxy_ssl_verify on;"
        behind += " proxy_ssl_name example.com;"
    locations = "".join(
        f"    location {path} {{ proxy_pass {scheme}://backend; proxy_set_header {name} {value}; }}\n" for path in PATHS
    )
    servers = "".join(
        f"  server {{\n    listen 127.0.0.1:{scene.listen_port}{http2};\n    server_name {host};\n{locations}  }}\n"
        for host in HOSTS
    )
    return f"""
worker_processes 1; daemon off; pid {scene.directory}/nginx.pid; error_log {scene.directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {scene.access_log}; keepalive_requests 100000000; http2_max_requests 100000000;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  server_names_hash_bucket_size 128;{front}{behind}
  client_body_temp_path {scene.directory}; proxy_temp_path {scene.directory};
  fastcgi_temp_path {scene.directory}; uwsgi_temp_path {scene.directory}; scgi_temp_path {scene.directory};
  upstream backend {{ server 127.0.0.1:{scene.backend_port}; keepalive 256; keepalive_requests 100000000; }}
{servers}}}
"""


def backend_config(directory: Path, port: int, http2: bool, body_bytes: int = BODY_BYTES, *, tls: bool = False) -> str:
    """Return nginx's configuration as the backend: one body, and 400 when the edited header is missing."""
    variable = "$http_" + EDIT[0].replace("-", "_")
    answer = f'return 200 "{"x" * body_bytes}";'
    if body_bytes > MAX_CONFIGURED_BODY:
        (directory / "body").write_bytes(b"x" * body_bytes)
        answer = f"root {directory}; try_files /body =404;"
    words, secure = (" http2" if http2 else ""), ""
    if tls:
        words += " ssl"
        secure = _nginx_tls("server")
        secure += f" ssl_client_certificate {CERTIFICATES}/authority.pem; ssl_verify_client on;"
    return f"""
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; http2_max_requests 100000000;
  open_file_cache max=8; sendfile on;
  client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{
    listen 127.0.0.1:{port}{words};{secure}
    default_type application/json;
    if ({variable} != "{EDIT[1]}") {{ return 400; }}
    location / {{ {answer} }}
  }}
}}
"""
