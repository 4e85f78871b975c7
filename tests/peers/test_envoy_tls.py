"""mTLS between eventmesh and Envoy: either of them begins it, either of them ends it, both refuse the same callers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from eventmesh.base.clock import SystemClock
from eventmesh.dataplane.plane import DataPlane
from eventmesh.xds.bootstrap import load_bootstrap
from tests.peers.backends import backend
from tests.peers.envoy import envoy_on

pytestmark = pytest.mark.peer

TYPES = "type.googleapis.com/envoy.extensions"
FILES = Path(__file__).parents[1] / "vectors" / "tls"
PROXIES = ("eventmesh", "envoy")


def _socket(direction: str, shown: str, name: dict[str, Any], **context: Any) -> dict[str, Any]:
    common = {
        "tls_certificates": [
            {
                "certificate_chain": {"filename": str(FILES / f"{shown}.pem")},
                "private_key": {"filename": str(FILES / f"{shown}.key")},
            }
        ],
        "validation_context": {
            "trusted_ca": {"filename": str(FILES / "authority.pem")},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": name}],
        },
        "alpn_protocols": context.pop("alpn"),
    }
    kind = f"{TYPES}.transport_sockets.tls.v3.{direction}TlsContext"
    return {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": common, **context}}


def _ending() -> dict[str, Any]:
    """Return how a listener ends mTLS: it shows `server` and believes `caller`."""
    name = {"exact": "spiffe://cluster.local/ns/default/sa/caller"}
    return _socket("Downstream", "server", name, alpn=["h2", "http/1.1"], require_client_certificate=True)


def _beginning(shown: str, *, http2: bool) -> dict[str, Any]:
    """Return how a cluster begins mTLS: it shows `shown` and believes `server`."""
    name = {"prefix": "spiffe://cluster.local/ns/default/"}
    return _socket("Upstream", shown, name, alpn=["h2" if http2 else "http/1.1"], sni="example.com")


def _bootstrap(
    upstream: tuple[str, int], *, ending: bool = False, shown: str = "", http2: bool = False
) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {
            "name": "all",
            "virtual_hosts": [
                {"name": "any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}
            ],
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}],
    }
    chain: dict[str, Any] = {"filters": [{"name": "http", "typed_config": manager}]}
    cluster: dict[str, Any] = {
        "name": "up",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "up",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(*upstream)}}]}],
        },
    }
    if ending:
        chain["transport_socket"] = _ending()
    if shown:
        cluster["transport_socket"] = _beginning(shown, http2=http2)
    if http2:
        options = f"{TYPES.partition('/')[0]}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            options.partition("/")[2]: {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    return {
        "node": {"id": "peer", "cluster": "peer"},
        "admin": {"address": _address("127.0.0.1", 0)},
        "static_resources": {
            "listeners": [{"name": "in", "address": _address("127.0.0.1", 0), "filter_chains": [chain]}],
            "clusters": [cluster],
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


@asynccontextmanager
async def proxy(kind: str, directory: Path, document: dict[str, Any]) -> AsyncIterator[tuple[str, int]]:
    """Run eventmesh or Envoy on `document`; yield the address of its listener `in`."""
    directory.mkdir()
    config = directory / "bootstrap.json"
    config.write_text(json.dumps(document))
    async with AsyncExitStack() as stack:
        if kind == "envoy":
            envoy = await stack.enter_async_context(envoy_on(config))
            yield "127.0.0.1", await envoy.port("in")
            return
        plane = DataPlane(SystemClock(), {})
        stack.push_async_callback(plane.stop)
        await plane.start()
        bootstrap = load_bootstrap(config)
        assert bootstrap.warnings == ()
        await plane.apply(bootstrap.snapshot)
        yield "127.0.0.1", int(plane.addresses()["in"].rpartition(":")[2])


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("ends", PROXIES)
@pytest.mark.parametrize("begins", PROXIES)
async def test_either_begins_mtls_and_either_ends_it(tmp_path: Path, begins: str, ends: str, http2: bool) -> None:
    async with (
        backend("function") as function,
        proxy(ends, tmp_path / "ends", _bootstrap(function, ending=True)) as inner,
        proxy(begins, tmp_path / "begins", _bootstrap(inner, shown="caller", http2=http2)) as (host, port),
        proxy(begins, tmp_path / "forges", _bootstrap(inner, shown="forged", http2=http2)) as forger,
        aiohttp.ClientSession() as http,
    ):
        for number in range(3):
            async with http.post(f"http://{host}:{port}/{number}", data=b"x" * 100_000) as response:
                assert response.status == 200, await response.text()
                seen = await response.json()
                assert (seen["name"], seen["path"]) == ("function", f"/{number}")
        async with http.get(f"http://{forger[0]}:{forger[1]}/") as response:
            text = await response.text()
            assert response.status == 503 and text.startswith("upstream connect error or disconnect/reset"), text
